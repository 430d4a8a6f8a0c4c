import type { Content } from "../../../core/content.js";
import { fingerprintOf } from "../../../core/fingerprint.js";
import { changeStandardFromJSON } from "../../../gen/tercet/v1/item.js";
import type { ServerOptions } from "../../../server/index.js";
import type { Case } from "../case.js";
import { holdTrips, same } from "../expect.js";
import { type Ending, NOON_US, type Place } from "../place.js";
import type { Change, Report } from "../testee-replica.js";

/** One cell of the comparison table: what each side made of the item `x`. Undefined: nothing. */
interface Cell {
  readonly name: string;
  readonly base: Content | undefined;
  readonly mine: Change | undefined;
  readonly theirs: Change | undefined;
  /** What both sides end with where it is no conflict; null: no item. */
  readonly ends?: Change;
  /** The numbers of the report that are not 0, where it is no conflict. */
  readonly told?: Partial<Report>;
}

const CELLS: readonly Cell[] = [
  { name: "unchanged-x-unchanged", base: "old", mine: undefined, theirs: undefined, ends: "old", told: {} },
  {
    name: "unchanged-x-upserted",
    base: "old",
    mine: undefined,
    theirs: "theirs",
    ends: "theirs",
    told: { received: 1 },
  },
  {
    name: "unknown-x-created",
    base: undefined,
    mine: undefined,
    theirs: "theirs",
    ends: "theirs",
    told: { received: 1 },
  },
  { name: "unchanged-x-deleted", base: "old", mine: undefined, theirs: null, ends: null, told: { deleted: 1 } },
  { name: "upserted-x-unchanged", base: "old", mine: "mine", theirs: undefined, ends: "mine", told: { sent: 1 } },
  { name: "created-x-unknown", base: undefined, mine: "mine", theirs: undefined, ends: "mine", told: { sent: 1 } },
  { name: "deleted-x-unchanged", base: "old", mine: null, theirs: undefined, ends: null, told: { sent_deletions: 1 } },
  { name: "upserted-x-upserted-equal", base: "old", mine: "same", theirs: "same", ends: "same", told: { settled: 1 } },
  {
    name: "created-x-created-equal",
    base: undefined,
    mine: "same",
    theirs: Buffer.from("same"),
    ends: "same",
    told: { settled: 1 },
  },
  { name: "deleted-x-deleted", base: "old", mine: null, theirs: null, ends: null, told: { settled: 1 } },
  { name: "upserted-x-upserted", base: "old", mine: "mine", theirs: "theirs" },
  { name: "created-x-created", base: undefined, mine: "mine", theirs: "theirs" },
  { name: "upserted-x-deleted", base: "old", mine: "mine", theirs: null },
  { name: "deleted-x-upserted", base: "old", mine: null, theirs: "theirs" },
];

/** Under which standard, and who prevails in a conflict. */
interface Judged {
  readonly name: string;
  readonly standard: string;
  readonly prevails: "mine" | "theirs" | "held";
}

const STANDARDS: readonly Judged[] = [
  { name: "server", standard: "SERVER", prevails: "theirs" },
  { name: "client", standard: "CLIENT", prevails: "mine" },
  { name: "newest-here", standard: "NEWEST", prevails: "mine" },
  { name: "newest-there", standard: "NEWEST", prevails: "theirs" },
  { name: "manual", standard: "MANUAL", prevails: "held" },
];

/** How contents travel. */
const WAYS: readonly { readonly name: string; readonly limits: ServerOptions["limits"] }[] = [
  { name: "table", limits: {} },
  { name: "table-fetched", limits: { inlineBytes: 0, eagerBytes: 0 } },
];

const SECOND_US = 1_000_000;
const NOTHING = { received: 0, deleted: 0, sent: 0, sent_deletions: 0, settled: 0 };

/** Every cell of the comparison table, under every standard, with contents that ride along and that are fetched. */
export const tableCases: readonly Case[] = WAYS.flatMap(({ name: way, limits }) =>
  STANDARDS.flatMap((judged) =>
    CELLS.map((cell): Case => {
      return { name: `${way}/${judged.name}/${cell.name}`, run: (place) => runCell(place, cell, judged, limits ?? {}) };
    }),
  ),
);

async function runCell(
  place: Place,
  cell: Cell,
  judged: Judged,
  limits: NonNullable<ServerOptions["limits"]>,
): Promise<void> {
  const { base, mine, theirs, ends } = cell;
  const conflict = ends === undefined;
  if (conflict && judged.prevails === "held") place.needs("manual");
  await place.server({ limits });
  await place.setClock(NOON_US);
  const replica = await place.equal({ kept: "kept", ...(base === undefined ? {} : { x: base }) });
  await place.setClock(NOON_US + (judged.prevails === "theirs" ? 20 : 10) * SECOND_US);
  if (theirs !== undefined) await place.elsewhere({ x: theirs });
  await place.setClock(NOON_US + (judged.prevails === "theirs" ? 10 : 20) * SECOND_US);
  if (mine !== undefined) await replica.change({ x: mine });
  const { server } = { server: await place.server() };
  const relay = await place.relay({ lockstep: true });
  const report = await replica.sync({ server: relay.address, standard: judged.standard });
  same("report", report, { standard: judged.standard, verified: true, rejected: [], contended: [], recovery: null });
  if (conflict) await judgeConflict(place, report, replica, cell, judged);
  else {
    same("report", report, { ...NOTHING, conflicts: [], ...cell.told });
    const item = ends === null ? {} : { x: ends };
    await place.ends(replica, { items: { kept: "kept", ...item } });
    if (ends !== null) await judgeKind(replica, server.api, ends);
  }
  const budget = conflict || way(limits) === "fetched" ? 2 : 1;
  holdTrips(relay, budget);
}

function way(limits: NonNullable<ServerOptions["limits"]>): "inline" | "fetched" {
  return limits.inlineBytes === 0 ? "fetched" : "inline";
}

type Replica = Parameters<Place["ends"]>[0];

/** Whoever has made the same of it keeps its own way to carry it: the fingerprints are equal. */
async function judgeKind(
  replica: Replica,
  api: Awaited<ReturnType<Place["server"]>>["api"],
  ends: Content,
): Promise<void> {
  const here = Buffer.from((await replica.get("x")) ?? "no item");
  const there = Buffer.from((await api.getContents("things", ["x"])).get("x") ?? "no item");
  same("content here", here, Buffer.from(ends));
  same("content there", there, Buffer.from(ends));
}

async function judgeConflict(
  place: Place,
  report: Report,
  replica: Replica,
  cell: Cell,
  judged: Judged,
): Promise<void> {
  const { mine = null, theirs = null } = cell;
  const { standard, prevails } = judged;
  same("report", report, {
    ...NOTHING,
    ...movedBy(cell, prevails),
    conflicts: [{ id: "x", standard, prevailed: prevails }],
  });
  const print = (content: Change): string | null =>
    content === null ? null : fingerprintOf("x", content).toString("hex");
  const items = (content: Change): Record<string, Content> => ({
    kept: "kept",
    ...(content === null ? {} : { x: content }),
  });
  const ending: Readonly<Record<Judged["prevails"], () => Ending>> = {
    theirs: () => ({
      items: items(theirs),
      recordsHere: [
        {
          id: "x",
          kind: mine === null ? "deleted" : "upserted",
          content: mine,
          fingerprint: print(mine),
          prevailed: print(theirs),
          standard,
        },
      ],
    }),
    mine: () => ({
      items: items(mine),
      recordsThere: [{ id: "x", content: theirs, standard: changeStandardFromJSON(`CHANGE_STANDARD_${standard}`) }],
    }),
    held: () => ({ items: items(mine), server: items(theirs), pending: ["x"], held: ["x"] }),
  };
  await place.ends(replica, ending[prevails]());
  if (prevails === "held") same("held versions", await replica.held(), [{ id: "x", mine, theirs }]);
}

function movedBy({ mine = null, theirs = null }: Cell, prevails: Judged["prevails"]): Partial<Report> {
  if (prevails === "held") return {};
  if (prevails === "mine") return mine === null ? { sent_deletions: 1 } : { sent: 1 };
  return theirs === null ? { deleted: 1 } : { received: 1 };
}
