import { existsSync, renameSync } from "node:fs";
import type { StorageError } from "../../core/storage-error.js";
import type { RebuildReport } from "../replica/sqlite-rebuild.js";
import { defineCommand } from "./command.js";
import { CliError, checkFolder, REMAINS } from "./failure.js";
import { formatCount, plural, print, printJson } from "./output.js";

const SHOWN = 20;

/** `tercet rebuild` */
export const rebuildCommand = defineCommand({
  options: (yargs) =>
    yargs
      .positional("file", { type: "string", demandOption: true, describe: "The damaged replica; it is only read" })
      .option("to", {
        type: "string",
        requiresArg: true,
        describe: "The new replica. Default: it takes the name of the damaged one, which becomes FILE.damaged",
      })
      .option("collection", {
        type: "string",
        requiresArg: true,
        describe: "Collection of the replica, where the file does not tell it any more",
      })
      .example("$0 rebuild a.replica && $0 sync --replica a.replica --server 127.0.0.1:7727  # saves it", "")
      .epilogue(
        "What was agreed on with the server is not kept: the next sync takes everything again. Exit status 3 where pending " +
          "changes or conflict records could not be read.",
      ),
  flagOnly: ["collection"],
  async run(argv) {
    const { file, to, collection } = argv;
    const path = to ?? `${file}.rebuilt`;
    const aside = `${file}.damaged`;
    checkFolder(path);
    if (to === undefined && existsSync(aside)) {
      const message = `${aside} exists: name the new replica by --to FILE`;
      throw new CliError(message, { code: "ALREADY_EXISTS", reason: "REPLICA_EXISTS" });
    }
    const { rebuildReplica } = await import("../replica/sqlite-rebuild.js");
    let report: RebuildReport;
    try {
      report = rebuildReplica(file, path, collection === undefined ? {} : { collection });
    } catch (error) {
      throw refusal(error);
    }
    if (to === undefined) takePlace(file, aside, path);
    if (isIncomplete(report)) process.exitCode = REMAINS;
    const replica = to ?? file;
    if (argv["json"] === true) {
      const { missingPending = null, missingConflicts = null } = report;
      const kept = to === undefined ? aside : file;
      return await printJson({ replica, damaged: kept, ...report, missingPending, missingConflicts });
    }
    await print(tell(report, replica, to === undefined ? aside : file));
  },
});

/** What is said of a damaged file elsewhere is to rebuild it. Here that was tried. */
function refusal(error: unknown): unknown {
  const { name, kind, message } = error as Partial<StorageError>;
  if (name !== "StorageError" || kind !== "damaged") return error;
  const hint = /name of its collection/.test(`${message}`) ? ": tercet rebuild FILE --collection NAME" : "";
  return new CliError(`${message}${hint}`, { code: "DATA_LOSS", reason: "REPLICA_DAMAGED" }, { cause: error });
}

/** The log belongs to the file beside it: they go together, and it first is out of the way of the new one. */
function takePlace(file: string, aside: string, rebuilt: string): void {
  for (const suffix of ["-shm", "-wal", ""]) if (existsSync(file + suffix)) renameSync(file + suffix, aside + suffix);
  renameSync(rebuilt, file);
}

function isIncomplete({ lost, missingPending, missingConflicts, brokenGroups }: RebuildReport): boolean {
  return lost.length + brokenGroups.length + (missingPending ?? 0) + (missingConflicts ?? 0) > 0;
}

function tell(report: RebuildReport, replica: string, damaged: string): string {
  const { collection, pending, held, conflicts, baseless, lost, missingPending, missingConflicts, brokenGroups } =
    report;
  const unknown = "it can't be told whether there were more: the file's own count can't be read";
  const missing = (count: number | undefined, what: string): string[] => {
    if (count === undefined) return [`  ${what}: ${unknown}`];
    return count === 0 ? [] : [`  ${formatCount(count)} more ${what} can't be read`];
  };
  return [
    `${replica}: replica of ${collection}, rebuilt; the damaged one is ${damaged}`,
    `  saved      ${plural(pending, "pending change")}${held > 0 ? `, ${formatCount(held)} of them held in conflict` : ""}, ${plural(conflicts, "conflict record")}`,
    ...ids("lost", lost, "their content can't be read, or is not what it was"),
    ...missing(missingPending, "pending changes"),
    ...missing(missingConflicts, "conflict records"),
    ...ids("new", baseless, "only the content was found, they are sent as if they were new"),
    ...ids("ungrouped", brokenGroups, "others of their atomic group may be missing"),
    "  next       tercet sync takes everything else from the server, as it is there now",
    "",
  ].join("\n");
}

function ids(name: string, list: readonly string[], why: string): string[] {
  if (list.length === 0) return [];
  const more = list.length > SHOWN ? [`    and ${formatCount(list.length - SHOWN)} more`] : [];
  return [
    `  ${name.padEnd(10)} ${formatCount(list.length)}: ${why}`,
    ...list.slice(0, SHOWN).map((id) => `    ${id}`),
    ...more,
  ];
}
