import type { TercetError } from "../error.js";
import type { ReplicaStatus } from "../replica-handle.js";
import { CliError, tercetFacts } from "./failure.js";
import { plural } from "./output.js";

/** How far an exchange came, by the last message of the server. */
export interface Heard {
  readonly sent: number;
  readonly received: number;
}

const KEPT = "The replica and its pending changes are kept.";
const RECREATE = `${KEPT} With --recreate the collection of that name on this server is filled with what the replica has, and made if need be`;

/** What can be done about refusals that end the use of this replica's checkpoint. */
const WAYS_ON: Readonly<Record<string, string>> = {
  COLLECTION_DELETED: RECREATE,
  TOKEN_FOREIGN: `Is it the right server? ${RECREATE}`,
  TOKEN_OTHER_HISTORY: `Sync with --on-history-change offer, and what the server lost is offered to it again; with follow, it goes into conflict records here`,
  TOKEN_COMPACTED: `This server can't compare with it range by range. The way on: \`tercet export FILE --wrapped\` from it, \`tercet import FILE --wrapped\` into a fresh replica, and sync that`,
  TOKEN_MALFORMED: "The replica's checkpoint is damaged: `tercet rebuild FILE` makes a new one with what is pending",
};

/** What the server said of a collection that this replica belongs to, with the way on; other errors as they are. */
export function explainRefusal(error: unknown, status: ReplicaStatus | undefined, server: string): unknown {
  if (!isTercetError(error)) return error;
  if (error.reason === "COLLECTION_NOT_FOUND" && status !== undefined && status.collectionUid !== "") {
    const message = `${server} does not have the collection ${status.collection} that this replica belongs to (is it the right server?). ${RECREATE}`;
    return reworded(error, message);
  }
  // Of what the same sync can be tried again for (tombstones compacted under it), the server says enough.
  const wayOn = error.retryAfterMs === undefined ? WAYS_ON[error.reason] : undefined;
  return wayOn === undefined ? error : reworded(error, `${sentence(error.message)} ${wayOn}`);
}

/** An exchange that was cut says how far it came; other errors as they are. `heard`: undefined where nothing came back. */
export function explainCut(
  error: unknown,
  heard: Heard | undefined,
  server: string,
  timeout: number | undefined,
): unknown {
  if (!isTercetError(error) || heard === undefined) return error;
  const goesOn = `what was taken is kept, the next sync goes on (${plural(heard.sent, "change")} sent, ${plural(heard.received, "change")} received)`;
  if (error.code === "DEADLINE_EXCEEDED") {
    const what =
      error.reason !== "" || timeout === undefined
        ? error.message
        : `not done before the deadline of ${timeout} s (--timeout)`;
    return reworded(error, `${what}; ${goesOn}`);
  }
  if (error.reason === "GOING_AWAY") return reworded(error, `${error.message}; ${goesOn}`);
  const lost = error.reason === "" && LOST.has(error.code);
  return lost ? reworded(error, `the connection to ${server} was lost; ${goesOn}`) : error;
}

/** Codes that gRPC itself gives to a stream whose connection broke. */
const LOST: ReadonlySet<string> = new Set(["UNAVAILABLE", "INTERNAL", "UNKNOWN", "CANCELLED"]);

function isTercetError(error: unknown): error is TercetError {
  return error instanceof Error && error.name === "TercetError";
}

function reworded(error: TercetError, message: string): CliError {
  const { code, reason } = error;
  return new CliError(message, { code, reason, facts: tercetFacts(error) }, { cause: error });
}

function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
