import type { Conflict } from "../replica-views.js";
import { type CommandFamily, defineCommand } from "./command.js";
import { conflictFromServer, conflictsOfServer } from "./conflicts-server.js";
import { contentFields } from "./content.js";
import { CliError, usageError } from "./failure.js";
import { printContent } from "./items.js";
import { REPLICA, SERVER } from "./options.js";
import { formatCount, printJson, printLine, printList, shortHex } from "./output.js";
import { withReplica } from "./replica.js";

const PLACES = {
  replica: { type: "string", requiresArg: true, describe: "Replica file" },
  ...SERVER,
  server: {
    type: "string",
    requiresArg: true,
    describe: "HOST:PORT: the records that the server keeps (only as a flag)",
  },
  collection: { type: "string", requiresArg: true, describe: "With --server: of this collection; else the replica's" },
} as const;

const listConflictsCommand = defineCommand({
  command: "list",
  describe: "List versions that gave way, latest first",
  flagOnly: ["server"],
  options: (yargs) =>
    yargs
      .options(PLACES)
      .example("$0 conflicts list", "what gave way in the replica")
      .example("$0 conflicts list --server 127.0.0.1:7727 --collection places", "what gave way on the server"),
  async run(argv) {
    const view = {
      json: argv["json"] === true,
      toJson: conflictView,
      columns: ["NUMBER", "ID", "GAVE WAY", "BYTES", "FINGERPRINT", "PREVAILED", "BY", "WHEN"],
      toRow: conflictRow,
      empty: "no conflict records",
    };
    const { server } = argv;
    if (server !== undefined) return printList(conflictsOfServer({ ...argv, server }, await collectionOf(argv)), view);
    await withReplica(replicaOf(argv), (replica) => printList(replica.conflicts(), view));
  },
});

const showConflictCommand = defineCommand({
  command: "show <number>",
  describe: "Show a version that gave way, with its content",
  flagOnly: ["server"],
  options: (yargs) =>
    yargs
      .positional("number", { type: "number", demandOption: true, describe: "Number of the record" })
      .option("raw", {
        type: "boolean",
        default: false,
        describe: "Exactly the bytes of the content, and nothing else",
      })
      .options(PLACES),
  async run(argv) {
    const { server } = argv;
    const number = checkNumber(argv.number);
    const record =
      server === undefined
        ? await withReplica(replicaOf(argv), (replica) => replica.conflict(number))
        : await conflictFromServer({ ...argv, server }, await collectionOf(argv), number);
    if (record === undefined) throw noRecord(number);
    const { content } = record;
    if (argv["json"] === true) {
      return printJson({ ...conflictView(record), ...(content === undefined ? {} : contentFields(content)) });
    }
    if (!argv.raw) {
      const { id, kind, standard, recordTime, fingerprint, prevailed } = record;
      await printLine(`${number}: ${id} (${kind}) gave way by ${standard} at ${recordTime.toISOString()}`);
      await printLine(`fingerprint ${fingerprint ?? "-"}\nprevailed   ${prevailed ?? "- (a deletion)"}\n`);
    }
    if (content !== undefined) await printContent(content, argv.raw);
  },
});

const resolveConflictCommand = defineCommand({
  command: "resolve <number>",
  describe: "Settle a record of the replica",
  options: (yargs) =>
    yargs
      .positional("number", { type: "number", demandOption: true, describe: "Number of the record" })
      .option("take", {
        choices: ["mine", "theirs"] as const,
        demandOption: "say --take mine or --take theirs",
        describe: "mine: its version becomes the item again, as a new change; theirs: the record is dropped",
      })
      .options(REPLICA)
      .example("$0 conflicts resolve 3 --take mine", "restore the version that gave way"),
  async run(argv) {
    const { take, number: given } = argv;
    const number = checkNumber(given);
    const id = await withReplica(argv, (replica) => {
      const record = replica.conflict(number);
      if (record === undefined) throw noRecord(number);
      replica.resolveConflict(number, take === "mine" ? "restore" : "discard");
      return record.id;
    });
    if (argv["json"] === true) return printJson({ number, id, take });
    await printLine(
      take === "mine"
        ? `${id} is again what record ${number} kept of it; the next sync sends it`
        : `${id} stays as it is; record ${number} is dropped`,
    );
  },
});

/** `tercet conflicts` */
export const conflictsFamily: CommandFamily = {
  family: "conflicts",
  describe: "List, show and settle versions that gave way",
  commands: [listConflictsCommand, showConflictCommand, resolveConflictCommand],
};

interface PlaceArguments {
  readonly replica: string | undefined;
  readonly collection: string | undefined;
}

function replicaOf({ replica }: PlaceArguments): { readonly replica: string } {
  if (replica === undefined) throw usageError("name the replica file by --replica FILE or TERCET_REPLICA");
  return { replica };
}

function collectionOf(argv: PlaceArguments): Promise<string> {
  const { collection } = argv;
  if (collection !== undefined) return Promise.resolve(collection);
  if (argv.replica === undefined) throw usageError("say of which collection by --collection NAME, or --replica FILE");
  return withReplica(replicaOf(argv), (replica) => replica.collection);
}

function checkNumber(number: number): number {
  if (!Number.isSafeInteger(number) || number < 1) throw usageError("the number of a record is 1 or more");
  return number;
}

function noRecord(number: number): CliError {
  const message = `there is no conflict record ${number}; \`tercet conflicts list\` lists them`;
  return new CliError(message, { code: "NOT_FOUND", reason: "CONFLICT_NOT_FOUND" });
}

function conflictRow({ number, id, kind, size, fingerprint, prevailed, standard, recordTime }: Conflict): string[] {
  const bytes = kind === "deleted" ? "-" : formatCount(size);
  const prevailing = prevailed === undefined ? "a deletion" : shortHex(prevailed);
  return [String(number), id, kind, bytes, shortHex(fingerprint), prevailing, standard, recordTime.toISOString()];
}

/** A record in the words of `--json`, without its content. */
function conflictView({ content: _content, fingerprint, prevailed, recordTime, modifyTime, ...rest }: Conflict) {
  return {
    ...rest,
    fingerprint: fingerprint ?? null,
    prevailed: prevailed ?? null,
    recordTime: recordTime.toISOString(),
    modifyTime: modifyTime.toISOString(),
  };
}
