import type { SyncReport } from "../sync.js";
import { oneLine } from "./failure.js";
import { colorsFor, formatBytes, formatCount, plural, shortHex } from "./output.js";

const SHOWN = 20;

/** What the replica still holds after an exchange, also from before it. */
export interface Remaining {
  readonly conflicts: number;
  readonly rejected: number;
}

/** What an exchange did, for people. */
export function tellReport(report: SyncReport, collection: string, server: string, remaining: Remaining): string {
  const colors = colorsFor(process.stdout);
  const { sent, sentDeletions, received, deleted, settled, roundTrips, bytesSent, bytesReceived } = report;
  const seconds = (report.durationMs / 1000).toFixed(2);
  const lines = [
    `${colors.bold(collection)}: synced with ${server} by standard ${report.standard} in ${seconds} s`,
    field("sent", counts(sent, sentDeletions)),
    field("received", counts(received, deleted)),
    ...(settled > 0 ? [field("settled", `${plural(settled, "item")} equal on both sides, nothing moved`)] : []),
    ...conflictLines(report, `--server ${server} --collection ${collection}`, colors.yellow),
    ...rejectionLines(report, colors.red),
    field(
      "wire",
      `${plural(roundTrips, "round trip")}, ${formatBytes(bytesSent)} sent, ${formatBytes(bytesReceived)} received`,
    ),
    field("verified", verification(report)),
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

function conflictLines(
  { conflicts, conflictCount }: SyncReport,
  onServer: string,
  mark: (text: string) => string,
): string[] {
  if (conflictCount === 0) return [];
  const shown = conflicts.slice(0, SHOWN).map(({ id, prevailed, standard }) => {
    const ended =
      prevailed === "mine" ? "mine prevailed, theirs is kept on the server" : "theirs prevailed, mine is kept here";
    return `    ${id}: ${ended} (${standard})`;
  });
  const mine = conflicts.some(({ prevailed }) => prevailed === "mine");
  const kept = mine ? [`    what is kept on the server: tercet conflicts list ${onServer}`] : [];
  return [
    field("conflicts", mark(formatCount(conflictCount))),
    ...shown,
    ...more(conflictCount, shown.length),
    ...kept,
  ];
}

function rejectionLines(report: SyncReport, mark: (text: string) => string): string[] {
  const { rejected, rejectedCount, contended } = report;
  const lines: string[] = [];
  if (rejectedCount > 0) {
    const shown = rejected
      .slice(0, SHOWN)
      .map(({ id, reason, message }) => `    ${id}: ${reason}: ${oneLine(message)}`);
    const count = mark(`${formatCount(rejectedCount)}, they stay pending`);
    lines.push(field("rejected", count), ...shown, ...more(rejectedCount, shown.length));
  }
  if (contended.length > 0) {
    const shown = contended.slice(0, SHOWN).map((id) => `    ${id}`);
    const count = mark(`${formatCount(contended.length)}, others were faster; they stay pending`);
    lines.push(field("contended", count), ...shown, ...more(contended.length, shown.length));
  }
  return lines;
}

/** A rejected change is sent again each time; one of before counts where this exchange did not come to it. */
function remainingLines(
  { rejectedCount }: SyncReport,
  { conflicts, rejected }: Remaining,
  mark: (text: string) => string,
): string[] {
  const records = `${plural(conflicts, "conflict record")} ${conflicts === 1 ? "remains" : "remain"}: tercet conflicts list`;
  const changes = `${plural(rejected, "rejected change")} ${rejected === 1 ? "remains" : "remain"}: tercet pending`;
  return [
    ...(conflicts > 0 ? [`  ${mark(records)}`] : []),
    ...(rejected > rejectedCount ? [`  ${mark(changes)}`] : []),
  ];
}

function more(all: number, shown: number): string[] {
  return all > shown ? [`    and ${formatCount(all - shown)} more`] : [];
}
