import type { ReportedRecovery } from "../protocol/report.js";
import type { SyncReport } from "../sync.js";
import { oneLine } from "./failure.js";
import { colorsFor, formatBytes, formatCount, plural, shortHex } from "./output.js";

const SHOWN = 20;

/** What the replica still holds after an exchange, also from before it. */
export interface Remaining {
  readonly conflicts: number;
  readonly rejected: number;
  readonly held: number;
}

/** What an exchange did, for people. */
export function tellReport(report: SyncReport, collection: string, server: string, remaining: Remaining): string {
  const colors = colorsFor(process.stdout);
  const { sent, sentDeletions, received, deleted, settled, roundTrips, bytesSent, bytesReceived } = report;
  const seconds = (report.durationMs / 1000).toFixed(2);
  const did = report.dryRun ? "dry run, nothing was changed: a sync with" : "synced with";
  const lines = [
    `${colors.bold(collection)}: ${did} ${server} by standard ${report.standard} in ${seconds} s`,
    ...(report.recovery === undefined ? [] : recoveryLines(report.recovery, colors.yellow, report.dryRun)),
    field(report.dryRun ? "would send" : "sent", counts(sent, sentDeletions)),
    field(report.dryRun ? "would take" : "received", counts(received, deleted)),
    ...(settled > 0 ? [field("settled", `${plural(settled, "item")} equal on both sides, nothing moved`)] : []),
    ...conflictLines(report, `--server ${server} --collection ${collection}`, colors.yellow),
    ...rejectionLines(report, colors.red),
    field(
      "wire",
      `${plural(roundTrips, "round trip")}, ${formatBytes(bytesSent)} sent, ${formatBytes(bytesReceived)} received`,
    ),
    ...(report.dryRun ? [] : [field("verified", verification(report))]),
    ...remainingLines(report, remaining, colors.yellow),
  ];
  return `${lines.join("\n")}\n`;
}

function field(name: string, value: string): string {
  return `  ${name.padEnd(10)} ${value}`;
}

function counts(contents: number, deletions: number): string {
  if (contents + deletions === 0) return "nothing";
  return deletions === 0 ? plural(contents, "item") : `${plural(contents, "item")}, ${plural(deletions, "deletion")}`;
}

function verification({ verified, count, revision, fingerprint }: SyncReport): string {
  const state = `${plural(count, "item")}, revision ${formatCount(revision)}, fingerprint ${shortHex(fingerprint)}`;
  return verified ? `yes: ${state}` : "no: other writers were faster each time. Sync again when they are done";
}

const ENDS: Readonly<Record<SyncReport["conflicts"][number]["prevailed"], string>> = {
  mine: "mine prevailed, theirs is kept on the server",
  theirs: "theirs prevailed, mine is kept here",
  merged: "both gave way to a merged version, and are kept",
  held: "held, both versions are kept until it is resolved",
};

const WHY: Readonly<Record<ReportedRecovery["why"], string>> = {
  compacted: "the checkpoint is older than what the server remembers of deletions",
  history: "the server has another history, it was restored or replaced",
  recreated: "the collection was deleted on the server and made anew",
  unverified: "the proof at the end failed",
  asked: "the replica had lost its checkpoint",
};

/** What a recovery found. */
export function recoveryLines(recovery: ReportedRecovery, mark: (text: string) => string, dryRun = false): string[] {
  const { why, differences, offered, offeredCount, returned, returnedCount } = recovery;
  const lines = [field("recovery", `${WHY[why]}; compared range by range, ${plural(differences, "item")} differed`)];
  const list = (ids: readonly string[], count: number): string[] => {
    const shown = ids.slice(0, SHOWN).map((id) => `    ${id}`);
    return [...shown, ...more(count, shown.length)];
  };
  if (offeredCount > 0) {
    const verb = dryRun ? "would be offered" : "offered";
    const what = why === "recreated" ? "that the new collection lacked" : "that the server had lost";
    lines.push(field("restored", mark(`${plural(offeredCount, "item")} ${what}, ${verb} to it again`)));
    lines.push(...list(offered, offeredCount));
  }
  if (returnedCount > 0) {
    const what = "from before the backup, which this replica did not have: their deletion may have been lost";
    lines.push(field("returned", mark(`${plural(returnedCount, "item")} ${what}`)));
    lines.push(...list(returned, returnedCount));
  }
  return lines;
}

function conflictLines(
  { conflicts, conflictCount, dryRun }: SyncReport,
  onServer: string,
  mark: (text: string) => string,
): string[] {
  if (conflictCount === 0) return [];
  const shown = conflicts.slice(0, SHOWN).map(({ id, prevailed, standard }) => {
    return `    ${id}: ${ENDS[prevailed]} (${standard})`;
  });
  const mine = conflicts.some(({ prevailed }) => prevailed === "mine" || prevailed === "merged");
  const kept = mine && !dryRun ? [`    what is kept on the server: tercet conflicts list ${onServer}`] : [];
  return [
    field("conflicts", mark(formatCount(conflictCount))),
    ...shown,
    ...more(conflictCount, shown.length),
    ...kept,
  ];
}

/** A content that does not agree with its fingerprint was damaged here, as a rule. */
function hintOf(reason: string): string {
  return reason === "FINGERPRINT_MISMATCH" ? " (is the replica damaged? see tercet verify and tercet rebuild)" : "";
}

function rejectionLines(report: SyncReport, mark: (text: string) => string): string[] {
  const { rejected, rejectedCount, contended } = report;
  const lines: string[] = [];
  if (rejectedCount > 0) {
    const shown = rejected
      .slice(0, SHOWN)
      .map(({ id, reason, message }) => `    ${id}: ${reason}: ${oneLine(message)}${hintOf(reason)}`);
    const count = mark(`${formatCount(rejectedCount)}, they stay pending`);
    lines.push(field("rejected", count), ...shown, ...more(rejectedCount, shown.length));
  }
  return [...lines, ...contendedLines(contended, contended.length, mark)];
}

/** Changes that lost their races. */
export function contendedLines(ids: readonly string[], count: number, mark: (text: string) => string): string[] {
  if (count === 0) return [];
  const shown = ids.slice(0, SHOWN).map((id) => `    ${id}`);
  const what = mark(`${formatCount(count)}, others were faster; they stay pending`);
  return [field("contended", what), ...shown, ...more(count, shown.length)];
}

/** A rejected change is sent again each time; one of before counts where this exchange did not come to it. */
export function remainingLines(
  { rejectedCount }: Pick<SyncReport, "rejectedCount">,
  { conflicts, rejected, held }: Remaining,
  mark: (text: string) => string,
): string[] {
  const records = `${plural(conflicts, "conflict record")} ${conflicts === 1 ? "remains" : "remain"}: tercet conflicts list`;
  const changes = `${plural(rejected, "rejected change")} ${rejected === 1 ? "remains" : "remain"}: tercet pending`;
  const items = `${plural(held, "item")} ${held === 1 ? "is" : "are"} held in conflict: tercet conflicts list, then tercet conflicts resolve ID --take mine|theirs|FILE`;
  return [
    ...(held > 0 ? [`  ${mark(items)}`] : []),
    ...(conflicts > 0 ? [`  ${mark(records)}`] : []),
    ...(rejected > rejectedCount ? [`  ${mark(changes)}`] : []),
  ];
}

function more(all: number, shown: number): string[] {
  return all > shown ? [`    and ${formatCount(all - shown)} more`] : [];
}
