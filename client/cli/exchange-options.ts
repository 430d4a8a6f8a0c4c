import type { StandardName, SyncOptions } from "../sync-options.js";
import { usageError } from "./failure.js";
import { standardOption } from "./options.js";

const DAY_MS = 24 * 60 * 60 * 1000;

/** For commands that exchange. */
export const EXCHANGE = {
  standard: standardOption("Whose change prevails where both sides changed an item"),
  create: { type: "boolean", default: false, describe: "Create the collection if the server has none" },
  recreate: {
    type: "boolean",
    default: false,
    describe: "Where the collection was deleted: fill the one of its name with what the replica has, made if need be",
  },
  "on-history-change": {
    choices: ["offer", "follow", "stop"] as const,
    describe: "Where the server was restored: offer it what it lost (default), follow it, or stop",
  },
  "keep-conflicts": {
    type: "number",
    requiresArg: true,
    describe: "Days for which conflict records are kept here; 90 by default",
  },
} as const;

interface ExchangeArguments {
  readonly standard?: StandardName | undefined;
  readonly create: boolean;
  readonly recreate: boolean;
  readonly onHistoryChange?: "offer" | "follow" | "stop" | undefined;
  readonly keepConflicts?: number | undefined;
}

/** The options of the library that they stand for. */
export function exchangeOptions({
  standard,
  create,
  recreate,
  onHistoryChange,
  keepConflicts,
}: ExchangeArguments): Pick<
  SyncOptions,
  "standard" | "create" | "recreate" | "onHistoryChange" | "conflictRetentionMs"
> {
  if (keepConflicts !== undefined && !(keepConflicts > 0)) {
    throw usageError("--keep-conflicts must be a number of days above 0");
  }
  return {
    create,
    recreate,
    ...(standard === undefined ? {} : { standard }),
    ...(onHistoryChange === undefined ? {} : { onHistoryChange }),
    ...(keepConflicts === undefined ? {} : { conflictRetentionMs: keepConflicts * DAY_MS }),
  };
}
