import { join } from "node:path";
import type { SyncReport } from "../../client/index.js";
import { copySite, makeBase, remove, type Site } from "./bases.js";
import { CONTENT_BYTES } from "./items.js";
import { runJob, withServer } from "./processes.js";
import { startCountingProxy } from "./proxy.js";
import { directoryOf, type Scenario } from "./scenarios.js";
import { type RunFigures, type ScenarioFigures, summarize } from "./summary.js";

/** Hears what happens, in order. */
export interface Teller {
  begin(what: string): void;
  measured(figures: ScenarioFigures): void;
}

/** Measures the scenarios one after the other: those of one size share a base, which is there only as long as they need it. */
export async function measureAll(
  directory: string,
  scenarios: readonly Scenario[],
  runs: number,
  tell: Teller,
): Promise<ScenarioFigures[]> {
  const measured: ScenarioFigures[] = [];
  for (const items of new Set(scenarios.map((scenario) => scenario.items))) {
    tell.begin(`base of ${items} items`);
    const base = await makeBase(join(directory, `base-${items}`), items);
    for (const scenario of scenarios.filter((each) => each.items === items)) {
      const figures = await measure(directory, scenario, base, runs, tell);
      measured.push(figures);
      tell.measured(figures);
    }
    remove(base.directory);
  }
  return measured;
}

async function measure(
  parent: string,
  scenario: Scenario,
  base: Site,
  runs: number,
  tell: Teller,
): Promise<ScenarioFigures> {
  const directory = directoryOf(parent, scenario);
  tell.begin(`${scenario.name}: prepare`);
  const site = copySite(base, directory, ["server", "replica", "other"]);
  await scenario.prepare(site, base);
  remove(site.other);
  const figures: RunFigures[] = [];
  for (let run = 1; run <= runs; run++) {
    tell.begin(`${scenario.name}: run ${run} of ${runs}`);
    const copy = copySite(site, join(directory, `run-${run}`), ["server", "replica"]);
    figures.push(await measureOnce(scenario, copy));
    remove(copy.directory);
  }
  remove(directory);
  return summarize(scenario, figures);
}

/** One exchange between a server and a client that have just been started. */
async function measureOnce(scenario: Scenario, site: Site): Promise<RunFigures> {
  const { standard } = scenario;
  const { result, memoryPeak } = await withServer(site.server, async (address) => {
    const proxy = await startCountingProxy(address);
    const client = await runJob({
      kind: "sync",
      file: site.replica,
      server: proxy.address,
      ...(standard === undefined ? {} : { standard }),
    });
    return { client, wire: await proxy.close() };
  });
  const { client, wire } = result;
  const { report } = client;
  if (report === undefined) throw new Error(`${scenario.name}: there was no exchange`);
  if (wire.connections !== 1) throw new Error(`${scenario.name}: ${wire.connections} connections, not one`);
  checkReport(scenario, report);
  const contents = (report.sent + report.received) * CONTENT_BYTES;
  const beyond = wire.bytesUp + wire.bytesDown - contents;
  return {
    roundTrips: report.roundTrips,
    wireUp: wire.bytesUp,
    wireDown: wire.bytesDown,
    messagesUp: report.bytesSent,
    messagesDown: report.bytesReceived,
    contents,
    beyond,
    beyondPerDifference: scenario.differences === 0 ? undefined : beyond / scenario.differences,
    durationMs: report.durationMs,
    clientCpuMs: client.cpuMs,
    clientMemoryPeak: client.memoryPeak,
    serverMemoryPeak: memoryPeak,
    conflicts: report.conflictCount,
    recovered: report.recovery?.differences,
    sent: report.sent,
    received: report.received,
    inline: report.inline,
    eager: report.eager,
    verified: report.verified,
  };
}

/** Figures of another situation than the one that they are said to be of would be worse than none. */
function checkReport(scenario: Scenario, report: SyncReport): void {
  const { name, differences, conflicts, recovery } = scenario;
  const check = (what: string, got: unknown, wanted: unknown): void => {
    if (got !== wanted) throw new Error(`${name}: ${what}: ${String(got)}, not ${String(wanted)}`);
  };
  check("rejected changes", report.rejectedCount, 0);
  check("conflicts", report.conflictCount, conflicts);
  check("recovery", report.recovery?.why, recovery);
  if (recovery !== undefined) check("differences", report.recovery?.differences, differences);
}
