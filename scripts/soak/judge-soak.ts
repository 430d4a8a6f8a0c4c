import type { ClientAnswer, Taken } from "./plan.js";

type Report = Extract<ClientAnswer, { kind: "report" }>;

/** What the clients say together, and what is wrong with it. */
export interface SoakJudgement {
  readonly edits: number;
  /** Changes that replicas took from the server. */
  readonly changes: number;
  readonly outcomes: Readonly<Record<string, number>>;
  readonly reconnects: number;
  readonly cuts: number;
  readonly reopened: number;
  /** Items that the server holds in the end. */
  readonly items: number;
  /** Replicas that hold the same as the server, of all. */
  readonly equal: number;
  readonly replicas: number;
  /** Empty: all sides are equal, and nothing was lost. */
  readonly faults: readonly string[];
}

/**
 * Judges what the processes report. Nothing is lost: of each id, the server holds what it took last by the verdicts that
 * the clients were given, unless it took a later one whose verdict nobody could wait for (its file was closed before).
 */
export function judgeSoak(
  reports: readonly Report[],
  server: { readonly contents: ReadonlyMap<string, string>; readonly fingerprint: string },
): SoakJudgement {
  const sum = (of: (report: Report) => number): number => reports.reduce((total, report) => total + of(report), 0);
  const outcomes: Record<string, number> = {};
  for (const { outcomes: each } of reports) {
    for (const [name, count] of Object.entries(each)) outcomes[name] = (outcomes[name] ?? 0) + count;
  }
  const fingerprints = reports.flatMap((report) => report.fingerprints);
  const equal = fingerprints.filter((each) => each === server.fingerprint).length;
  const faults = reports.flatMap((report) => report.faults);
  if (equal < fingerprints.length) faults.push(`${fingerprints.length - equal} replicas differ from the server`);
  const pending = sum((report) => report.pending);
  if (pending > 0) faults.push(`${pending} changes are still pending`);
  const [gaveWay, records] = [sum((report) => report.gaveWay), sum((report) => report.records)];
  if (records < gaveWay) faults.push(`${gaveWay} changes gave way, and there are ${records} records`);
  outcomes["unheard"] = sum((report) => report.unheard.length);
  faults.push(...lost(reports, server.contents));
  return {
    edits: sum((report) => report.edits),
    changes: sum((report) => report.changes),
    outcomes,
    reconnects: sum((report) => report.reconnects),
    cuts: sum((report) => report.cuts),
    reopened: sum((report) => report.reopened),
    items: server.contents.size,
    equal,
    replicas: fingerprints.length,
    faults,
  };
}

function keyOf({ id, content }: Omit<Taken, "revision">): string {
  return `${id} ${content ?? ""}`;
}

function lost(reports: readonly Report[], contents: ReadonlyMap<string, string>): string[] {
  const last = new Map<string, Taken>();
  for (const taken of reports.flatMap((report) => report.taken)) {
    if (taken.revision > (last.get(taken.id)?.revision ?? 0)) last.set(taken.id, taken);
  }
  const unheard = new Set(reports.flatMap((report) => report.unheard.map(keyOf)));
  const differing = [...last.values()].filter(({ id, content }) => {
    const held = contents.get(id);
    return held !== content && !unheard.has(keyOf({ id, content: held }));
  });
  return differing.map(({ id, revision }) => `"${id}" is not what the server took last, as revision ${revision}`);
}
