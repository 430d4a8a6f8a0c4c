import type { Replica } from "../replica-handle.js";
import type { Conflict, HeldVersions } from "../replica-views.js";
import { defineCommand } from "./command.js";
import { checkNumber, collectionOf, noRecord, PLACES, replicaOf } from "./conflict-places.js";
import {
  CONFLICT_COLUMNS,
  type ListedConflict,
  listedRow,
  listedView,
  recordView,
  SERVER_COLUMNS,
  versionsView,
} from "./conflict-views.js";
import { conflictFromServer, conflictsOfServer } from "./conflicts-server.js";
import { contentFields } from "./content.js";
import { CliError, usageError } from "./failure.js";
import { printContent } from "./items.js";
import { printJson, printLine, printList } from "./output.js";
import { withReplica } from "./replica.js";

/** `tercet conflicts list` */
export const listConflictsCommand = defineCommand({
  flagOnly: ["server"],
  options: (yargs) =>
    yargs
      .options(PLACES)
      .example("$0 conflicts list --replica a.replica  # what is held, and what gave way in the replica", "")
      .example("$0 conflicts list --server 127.0.0.1:7727 --collection places  # what gave way on the server", ""),
  async run(argv) {
    const view = {
      json: argv["json"] === true,
      toJson: listedView,
      columns: CONFLICT_COLUMNS,
      toRow: listedRow,
      empty: "no conflicts",
    };
    const { server } = argv;
    if (server !== undefined) {
      const records = conflictsOfServer({ ...argv, server }, await collectionOf(argv));
      return printList(asListed(records), { ...view, columns: SERVER_COLUMNS });
    }
    await withReplica(replicaOf(argv), (replica) => printList(conflictsOf(replica), view));
  },
});

function* conflictsOf(replica: Replica): Generator<ListedConflict> {
  for (const held of replica.held()) yield { held };
  for (const record of replica.conflicts()) yield { record };
}

async function* asListed(records: AsyncIterable<Conflict>): AsyncGenerator<ListedConflict> {
  for await (const record of records) yield { record };
}

/** `tercet conflicts show` */
export const showConflictCommand = defineCommand({
  flagOnly: ["server"],
  options: (yargs) =>
    yargs
      .positional("which", { type: "string", demandOption: true, describe: "Number of a record, or id of a held item" })
      .option("held", {
        type: "boolean",
        default: false,
        describe: "It is the id of a held item, though it looks like a number",
      })
      .option("raw", {
        type: "boolean",
        default: false,
        describe: "Of a record: exactly the bytes of the content, and nothing else",
      })
      .options(PLACES),
  async run(argv) {
    const { server, which, held } = argv;
    const json = argv["json"] === true;
    if (server !== undefined) {
      const number = checkNumber(toNumber(which) ?? Number.NaN);
      return showRecord(
        await conflictFromServer({ ...argv, server }, await collectionOf(argv), number),
        json,
        argv.raw,
      );
    }
    const number = held ? undefined : toNumber(which);
    await withReplica(replicaOf(argv), async (replica) => {
      const record = number === undefined ? undefined : replica.conflict(number);
      if (record !== undefined) return await showRecord(record, json, argv.raw);
      const item = replica.heldItem(which);
      if (item === undefined) throw number === undefined ? noHeld(which) : noRecord(number);
      await showHeld(item, json, argv.raw);
    });
  },
});

function toNumber(which: string): number | undefined {
  return /^\d+$/.test(which) ? Number(which) : undefined;
}

function noHeld(id: string): CliError {
  const message = `${JSON.stringify(id)} is not held in conflict, and is no number of a record; \`tercet conflicts list\` lists both`;
  return new CliError(message, { code: "NOT_FOUND", reason: "CONFLICT_NOT_FOUND" });
}

async function showRecord(record: Conflict, json: boolean, raw: boolean): Promise<void> {
  const { number, id, kind, standard, recordTime, fingerprint, prevailed, content } = record;
  if (json) return printJson({ ...recordView(record), ...(content === undefined ? {} : contentFields(content)) });
  if (!raw) {
    await printLine(`${number}: ${id} (${kind}) gave way by ${standard} at ${recordTime.toISOString()}`);
    await printLine(`fingerprint ${fingerprint ?? "-"}\nprevailed   ${prevailed ?? "- (a deletion)"}\n`);
  }
  if (content !== undefined) await printContent(content, raw);
}

async function showHeld(item: HeldVersions, json: boolean, raw: boolean): Promise<void> {
  if (json) return printJson(versionsView(item));
  if (raw) throw usageError("--raw is for records: of a held item both versions are shown; --json has them exactly");
  const { id, mine, theirs, mineTime, theirsTime, mineContent, theirsContent } = item;
  await printLine(
    `${id} is held in conflict\n\nmine, ${mineTime.toISOString()}${mine === undefined ? ": deleted" : ":"}`,
  );
  if (mineContent !== undefined) await printContent(mineContent, false);
  const unknown = theirs !== undefined && theirsContent === undefined;
  const state = theirs === undefined ? ": deleted" : unknown ? ": not known here" : ":";
  await printLine(`\ntheirs, ${theirsTime.toISOString()}${state}`);
  if (theirsContent !== undefined) await printContent(theirsContent, false);
}
