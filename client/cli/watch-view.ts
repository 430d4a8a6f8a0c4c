import type { LiveState, LiveStatus } from "../live.js";
import type { AppliedChange } from "../live-changes.js";
import type { ReportedRecovery } from "../protocol/report.js";
import type { ReplicaStatus } from "../replica-handle.js";
import type { Item } from "../replica-views.js";
import { contentFields, decodeText, WHOLE_CONTENT_BYTES } from "./content.js";
import { oneLine, toFailure } from "./failure.js";
import { colorsFor, plural, remark } from "./output.js";
import { contendedLines, recoveryLines, remainingLines } from "./sync-report.js";

/** A change in the words of `--json`; `item` where its content is to be told. */
export function changeView(change: AppliedChange, item: Item | undefined): object {
  const { id, kind, revision, modifyTime, size, fingerprint } = change;
  const content = item === undefined || item.size > WHOLE_CONTENT_BYTES ? {} : contentFields(item.content);
  return { id, kind, revision, modifyTime: modifyTime.toISOString(), size, fingerprint, ...content };
}

/** By which the lines of a report stand below its first one. */
const INDENT = 2;

/** Bytes of a content that a line shows. */
const SHOWN_BYTES = 64 * 1024;

/** A change on a line for people. */
export function changeLine({ id, kind, modifyTime, size }: AppliedChange, item: Item | undefined): string {
  const colors = colorsFor(process.stdout);
  const time = colors.dim(modifyTime.toISOString());
  if (size === undefined) return `${time}  ${colors.red(kind.padEnd(8))}  ${id}`;
  const bytes = plural(size, "byte");
  const text = item === undefined || item.size > SHOWN_BYTES ? undefined : textOf(item);
  return `${time}  ${colors.green(kind.padEnd(8))}  ${id}  ${text ?? bytes}`;
}

function textOf({ content }: Item): string | undefined {
  const text = typeof content === "string" ? content : decodeText(Buffer.from(content));
  return text === undefined ? undefined : oneLine(text);
}

/** Tells on standard error what a recovery found, as `tercet sync` does. */
export function tellRecovery(recovery: ReportedRecovery, json: boolean): void {
  if (json) return remark(JSON.stringify({ recovery }));
  for (const line of recoveryLines(recovery, colorsFor(process.stderr).yellow)) remark(line.slice(INDENT));
}

/** Lines of what is left to do in the end, as `tercet sync` says it; none: nothing is. */
export function remainingView(
  { conflicts, rejected, held }: Pick<ReplicaStatus, "conflicts" | "rejected" | "held">,
  { contended, contendedCount }: Pick<LiveStatus, "contended" | "contendedCount">,
  json: boolean,
): readonly string[] {
  if (conflicts + rejected + held + contendedCount === 0) return [];
  const remaining = { conflicts, rejected, held };
  if (json) return [JSON.stringify({ remaining: { ...remaining, contended: contendedCount } })];
  const mark = colorsFor(process.stderr).yellow;
  const lines = [
    ...contendedLines(contended, contendedCount, mark),
    ...remainingLines({ rejectedCount: 0 }, remaining, mark),
  ];
  return lines.map((line) => line.slice(INDENT));
}

/** Tells on standard error what a live sync is at: in words, or with `--json` as an object a line. */
export function stateTeller(
  server: string,
  json: boolean,
): (state: LiveState, error: Error | undefined, status: LiveStatus) => void {
  return (state, error, status) => {
    if (json) return remark(JSON.stringify(stateView(state, error, status)));
    const words = stateWords(server, state, error, status);
    if (words !== undefined) remark(words);
  };
}

function stateView(state: LiveState, error: Error | undefined, status: LiveStatus): object {
  const { revision, count, retryAt, sent, sentDeletions, received, deleted, conflicts, rejected } = status;
  const { contendedCount: contended, recoveries } = status;
  const did = { sent, sentDeletions, received, deleted, conflicts, rejected, contended, recoveries };
  return {
    state,
    ...(state === "stopped" ? did : {}),
    ...(state === "live" || state === "stopped" ? { revision, count } : {}),
    ...(retryAt === undefined ? {} : { retryAt: retryAt.toISOString() }),
    ...(error === undefined || state !== "waiting" ? {} : { error: toFailure(error).error }),
  };
}

function stateWords(
  server: string,
  state: LiveState,
  error: Error | undefined,
  { revision, count, retryAt, sent, sentDeletions, received, deleted }: LiveStatus,
): string | undefined {
  switch (state) {
    case "connecting":
      return undefined;
    case "catching-up":
      return `connected to ${server}, catching up`;
    case "live":
      return `caught up: ${plural(count, "item")} at revision ${revision}`;
    case "waiting": {
      const seconds = Math.max((retryAt?.getTime() ?? 0) - Date.now(), 0) / 1000;
      const when = seconds < 0.05 ? "at once" : `in ${seconds.toFixed(1)} s`;
      return `not connected: ${oneLine(error?.message ?? "")}; trying again ${when}`;
    }
    case "stopped":
      // An error is told by itself.
      if (error !== undefined) return undefined;
      return `stopped: ${plural(received + deleted, "change")} received, ${plural(sent + sentDeletions, "change")} sent`;
  }
}
