import { rmSync } from "node:fs";
import { join } from "node:path";
import { type CountingProxy, startCountingProxy, type WireCounts } from "../figures/proxy.js";
import { median } from "../figures/summary.js";
import { CHANGED_HERE, CHANGED_THERE, changedHere, changedThere, createBases, LARGE_ID, settingOf } from "./bases.js";
import { type ClientChild, type Profile, startClientChild, startServerChild } from "./children.js";
import type { Contender } from "./contenders.js";
import { contentOf, FIRST_VERSION } from "./items.js";
import type { SyncFigures } from "./orders.js";
import { changesOf, LARGE_BYTES, type Scenario } from "./scenarios.js";
import { copySite, type Site } from "./sites.js";
import { type Measured, type RunFigures, summarize, type WireFigures } from "./summary.js";

/** Hears what happens, in order. */
export interface Teller {
  begin(what: string): void;
  measured(measured: Measured): void;
}

/** How to measure. */
export interface MeasureOptions {
  /** Where files go. */
  readonly directory: string;
  readonly runs: number;
  /** Count bytes, in one more run of each. */
  readonly wire: boolean;
  /** Where CPU profiles of Tercet's processes go. */
  readonly profile: string | undefined;
}

/** More items than this are not moved once more to count bytes. */
const MOST_WIRE_ITEMS = 1_000_000;
/** Milliseconds after which nothing more is taken to belong to what passed. */
const QUIET_MS = 50;

/** Measures the scenarios one after the other, and the contenders of each in turn: run 1 of each, then run 2 of each ... */
export async function measureAll(
  contenders: readonly Contender[],
  scenarios: readonly Scenario[],
  options: MeasureOptions,
  tell: Teller,
): Promise<Measured[]> {
  const measured: Measured[] = [];
  for (const group of groupsOf(scenarios)) {
    const bases = createBases(join(options.directory, "bases"));
    for (const scenario of group) {
      const able = contenders.filter((each) => isIn(each, scenario));
      const sites = new Map<Contender, Site>();
      for (const contender of able) {
        tell.begin(`${scenario.name} ${scenario.items}: preparing ${contender.name}`);
        sites.set(contender, await bases.prepare(contender, scenario));
      }
      for (const each of await measureScenario(scenario, sites, options, tell)) {
        measured.push(each);
        tell.measured(each);
      }
    }
    bases.clear();
  }
  return measured;
}

function isIn({ workloads, mostItems }: Contender, { workload, items }: Scenario): boolean {
  return workloads.includes(workload) && items <= mostItems;
}

/** Those that can share their bases. */
function groupsOf(scenarios: readonly Scenario[]): Scenario[][] {
  const groups = new Map<string, Scenario[]>();
  for (const scenario of scenarios) {
    const key = `${scenario.items} ${scenario.ids}`;
    groups.set(key, [...(groups.get(key) ?? []), scenario]);
  }
  return [...groups.values()];
}

async function measureScenario(
  scenario: Scenario,
  sites: ReadonlyMap<Contender, Site>,
  { directory, runs, wire, profile }: MeasureOptions,
  tell: Teller,
): Promise<Measured[]> {
  const figures = new Map<Contender, RunFigures[]>([...sites.keys()].map((contender) => [contender, []]));
  const wires = new Map<Contender, WireFigures | undefined>();
  const copy = join(directory, "run");
  const once = async (contender: Contender, base: Site, how: How): Promise<OneRun> => {
    const site = copySite(base, copy);
    try {
      return await measureOnce(contender, scenario, site, how);
    } catch (error) {
      throw new Error(`${scenario.name} of ${contender.name}: ${error instanceof Error ? error.message : error}`);
    } finally {
      rmSync(copy, { recursive: true, force: true, maxRetries: 5 });
    }
  };
  for (let run = 1; run <= runs; run++) {
    for (const [contender, base] of sites) {
      tell.begin(`${scenario.name} ${scenario.items}: run ${run} of ${runs}, ${contender.name}`);
      figures.get(contender)?.push((await once(contender, base, {})).figures);
    }
  }
  for (const [contender, base] of sites) {
    tell.begin(`${scenario.name} ${scenario.items}: bytes of ${contender.name}`);
    if (wire && scenario.items <= MOST_WIRE_ITEMS) wires.set(contender, (await once(contender, base, { wire })).wire);
    if (profile !== undefined && contender.name === "tercet") await once(contender, base, { profile });
  }
  return [...figures].map(([contender, each]) => summarize(contender.name, scenario, each, wires.get(contender)));
}

interface How {
  readonly wire?: boolean;
  readonly profile?: string;
}

interface OneRun {
  readonly figures: RunFigures;
  readonly wire: WireFigures | undefined;
}

/** One run between a server and a client that have just been started. */
async function measureOnce(contender: Contender, scenario: Scenario, site: Site, how: How): Promise<OneRun> {
  const { rttMs, action, times } = scenario;
  const server = await startServerChild(
    settingOf(contender, "server", scenario, site),
    profileOf(scenario, "server", how),
  );
  const proxied = how.wire === true || rttMs > 0;
  const proxy = proxied ? await startCountingProxy(server.address, { delayMs: rttMs / 2 }) : undefined;
  const address = proxy?.address ?? server.address;
  const setting = settingOf(contender, "client", scenario, site);
  const client = await startClientChild(setting, address, profileOf(scenario, "client", how));
  // Connecting is the same for all, and no synchronisation.
  await client.warm();
  // What is done many times is measured as what goes on all the time.
  if (times > 1) await client.sync(action);
  await proxy?.quiet(QUIET_MS);
  const before = proxy?.counts();
  await server.begin();
  const synced = await client.sync(action, times);
  const figures = { ms: median(synced.ms), client: synced.process, server: await server.end() };
  await check(scenario, client, synced);
  const wire = await wireOf(proxy, before, times);
  await client.close();
  await server.stop();
  await proxy?.close();
  return { figures, wire };
}

function profileOf(scenario: Scenario, side: string, { profile }: How): Profile | undefined {
  if (profile === undefined) return undefined;
  return { directory: profile, name: `${scenario.name.replace(" ", "-")}-${scenario.items}-${scenario.ids}-${side}` };
}

async function wireOf(
  proxy: CountingProxy | undefined,
  before: WireCounts | undefined,
  times: number,
): Promise<WireFigures | undefined> {
  if (proxy === undefined || before === undefined) return undefined;
  await proxy.quiet(QUIET_MS);
  const after = proxy.counts();
  // Whatever the last thing on a warm connection was, it came from the server: to begin is no turn.
  const begun = before.bytesUp > 0 ? 1 : 0;
  const bytesUp = (after.bytesUp - before.bytesUp) / times;
  const bytesDown = (after.bytesDown - before.bytesDown) / times;
  return { bytes: bytesUp + bytesDown, bytesUp, bytesDown, turns: (after.turns - before.turns) / times - begun };
}

/** Figures of something else than what they are said to be of would be worse than none. */
async function check(scenario: Scenario, client: ClientChild, { moved }: SyncFigures): Promise<void> {
  const { action, items } = scenario;
  const expect = (what: string, got: unknown, wanted: unknown): void => {
    if (got !== wanted) throw new Error(`${what}: ${String(got)}, not ${String(wanted)}`);
  };
  if (action === "large-pull" || action === "large-push") {
    expect("bytes of the large item", (await client.check([], LARGE_ID)).large, LARGE_BYTES);
    return;
  }
  const changes = changesOf(items);
  const wanted = { pull: [0, items], push: [items, 0], changes: [changes, changes], nothing: [0, 0] };
  if (action in wanted) {
    const [sent, received] = wanted[action as keyof typeof wanted];
    expect("sent", moved.sent, sent);
    expect("received", moved.received, received);
  }
  const there = changedThere(items)[0] ?? 0;
  const here = changedHere(items)[0] ?? 0;
  const { count, contents } = await client.check([there, here, items - 1]);
  const versionThere = action === "changes" || action === "recover" ? CHANGED_THERE : FIRST_VERSION;
  expect("items", count, items);
  expect("an item of the server's", contents[0], contentOf(there, versionThere));
  expect("an item", contents[1], contentOf(here, action === "changes" ? CHANGED_HERE : FIRST_VERSION));
  expect("the last item", contents[2], contentOf(items - 1, FIRST_VERSION));
}
