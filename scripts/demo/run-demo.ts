import { arch, cpus, platform } from "node:os";
import { join } from "node:path";
import type { Connection, StandardName } from "../../client/index.js";
import { editsOf, type PlannedItem, planRound } from "./cells.js";
import { checkEnds, checkRound } from "./checks.js";
import type { Place } from "./cities.js";
import { type CellFigures, type Check, type DemoFigures, type ExchangeFigures, toFigures } from "./figures.js";
import type { Job } from "./jobs.js";
import { judgeCells } from "./judge-cells.js";
import { type DemoServer, runJob } from "./processes.js";
import { createServerView, type ServerView } from "./server-view.js";

/** Name of the demo's collection. */
export const COLLECTION = "cities";
const STANDARDS = ["SERVER", "CLIENT"] as const;
const MOST_PER_CELL = 25;
/** Places that a round takes for each item of a cell: cells that do not create their items, and some air. */
const PLACES_PER_CELL = 12;

/** What the demo runs on. */
export interface DemoWorld {
  readonly directory: string;
  /** Places to load, at most. */
  readonly limit: number;
  readonly server: DemoServer;
  readonly connection: Connection;
  /** Called as things happen. */
  readonly tell: DemoTeller;
}

/** Hears what happens, in order. */
export interface DemoTeller {
  begin(what: string): void;
  loaded(figures: Pick<DemoFigures, "items" | "contentBytes" | "loadMs">): void;
  exchanged(exchange: ExchangeFigures, fullCopyBytes: number): void;
}

type SyncJob = Omit<Extract<Job, { kind: "sync" }>, "kind" | "file" | "server">;

/** Runs the whole story and checks it. */
export async function runDemo(world: DemoWorld): Promise<DemoFigures> {
  const began = performance.now();
  const { tell, limit } = world;
  const files = { A: join(world.directory, "a.replica"), B: join(world.directory, "b.replica") };
  const view = createServerView(world.connection, COLLECTION);
  const exchanges: ExchangeFigures[] = [];
  let fullCopyBytes = 0;

  async function exchange(name: string, replica: "A" | "B", job: SyncJob): Promise<ExchangeFigures> {
    tell.begin(name);
    await world.server.resetPeakMemory();
    const { report, memoryBefore, memoryPeak } = await runJob<"sync">({
      kind: "sync",
      file: files[replica],
      server: world.server.address,
      ...job,
    });
    const serverMemoryPeak = await world.server.peakMemory();
    const memory = { clientMemoryBefore: memoryBefore, clientMemoryPeak: memoryPeak, serverMemoryPeak };
    const figures = toFigures({ name, replica, ...memory }, report);
    exchanges.push(figures);
    if (name === "first pull") fullCopyBytes = figures.bytesSent + figures.bytesReceived;
    tell.exchanged(figures, fullCopyBytes);
    return figures;
  }

  tell.begin("load");
  const perCell = Math.max(1, Math.min(MOST_PER_CELL, Math.floor(limit / (2 * STANDARDS.length * PLACES_PER_CELL))));
  const sample = STANDARDS.length * PLACES_PER_CELL * perCell;
  const loaded = await runJob<"load">({ kind: "load", file: files.A, collection: COLLECTION, limit, sample });
  tell.loaded({ items: loaded.items, contentBytes: loaded.contentBytes, loadMs: loaded.durationMs });
  await exchange("first push", "A", { create: true });
  await exchange("first pull", "B", { make: COLLECTION });

  const cells: CellFigures[] = [];
  const records: DemoFigures["conflicts"][number][] = [];
  const checks: Check[] = [];
  for (const [index, standard] of STANDARDS.entries()) {
    const places = everyNth(loaded.sample, STANDARDS.length, index);
    const round = await runRound({ standard, plan: planRound(standard, places, perCell), files, view, exchange });
    cells.push(...round.cells);
    records.push(...round.records);
    checks.push(...round.checks);
  }
  await exchange("nothing changed", "B", {});
  tell.begin("check every content against the fingerprints");
  const end = await checkEnds(files, view, exchanges);
  checks.push(...end.checks);
  return {
    node: process.versions.node,
    platform: `${platform()} ${arch()}`,
    cores: cpus().length,
    collection: COLLECTION,
    items: loaded.items,
    contentBytes: loaded.contentBytes,
    loadMs: loaded.durationMs,
    fullCopyBytes,
    exchanges,
    cells,
    conflicts: records,
    ends: end.ends,
    checks,
    ok: checks.every((check) => check.ok),
    durationMs: performance.now() - began,
    example: loaded.sample.find(({ id }) => /^[\w/.,-]+$/.test(id))?.id ?? "",
  };
}

function everyNth(places: readonly Place[], n: number, offset: number): Place[] {
  return places.filter((_, index) => index % n === offset);
}

interface Round {
  readonly standard: StandardName;
  readonly plan: readonly PlannedItem[];
  readonly files: { readonly A: string; readonly B: string };
  readonly view: ServerView;
  exchange(name: string, replica: "A" | "B", job: SyncJob): Promise<ExchangeFigures>;
}

/** Both replicas edit offline; A's edits reach the server, B exchanges under the standard, A catches up. */
async function runRound({ standard, plan, files, view, exchange }: Round): Promise<{
  readonly cells: CellFigures[];
  readonly records: DemoFigures["conflicts"][number][];
  readonly checks: Check[];
}> {
  const ids = plan.map((item) => item.id);
  await runJob<"edit">({ kind: "edit", file: files.A, edits: editsOf(plan, "server") });
  await runJob<"edit">({ kind: "edit", file: files.B, edits: editsOf(plan, "client") });
  await exchange("edits go up", "A", { standard });
  const figures = await exchange(`under ${standard}`, "B", { standard });
  const here = await runJob<"look">({ kind: "look", file: files.B, ids });
  const there = { contents: await view.contents(ids), records: await view.records(ids) };
  const cells = judgeCells(plan, standard, here, there);
  const caughtUp = await exchange("catches up", "A", { standard });
  const records = [
    ...here.records.map((record) => ({ ...record, side: "client" as const })),
    ...there.records.map((record) => ({ ...record, side: "server" as const })),
  ];
  const after = {
    server: await view.collection(),
    A: (await runJob<"look">({ kind: "look", file: files.A, ids: [] })).side,
    B: here.side,
  };
  return { cells, records, checks: checkRound({ standard, figures, caughtUp, cells, after }) };
}
