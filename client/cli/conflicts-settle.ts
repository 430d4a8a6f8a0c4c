import type { ResolveHow } from "../replica-conflicts.js";
import type { Replica } from "../replica-handle.js";
import { defineCommand } from "./command.js";
import { checkNumber, collectionOf, noRecord, PLACES, replicaOf } from "./conflict-places.js";
import { restoreOnServer } from "./conflicts-server.js";
import { CliError, usageError } from "./failure.js";
import { readContentFile } from "./items.js";
import { REPLICA } from "./options.js";
import { plural, printJson, printLine } from "./output.js";
import { withReplica } from "./replica.js";

/** `tercet conflicts resolve` */
export const resolveHeldCommand = defineCommand({
  options: (yargs) =>
    yargs
      .positional("id", { type: "string", demandOption: true, describe: "Id of the item" })
      .option("take", {
        type: "string",
        requiresArg: true,
        demandOption: "say --take mine, --take theirs or --take FILE",
        describe:
          "mine, theirs, or a file with a version of both (- for standard input); mine and theirs as files: ./mine",
      })
      .option("bytes", {
        type: "boolean",
        default: false,
        describe: "The file is kept as bytes, which need not be text",
      })
      .options(REPLICA)
      .example("$0 conflicts resolve zrh --take mine --replica a.replica  # the next sync sends it", "")
      .example("$0 conflicts resolve zrh --take merged.json --replica a.replica  # a third version", ""),
  async run({ id, take, bytes, ...argv }) {
    const how: ResolveHow = take === "mine" || take === "theirs" ? take : { content: readContentFile(take, bytes) };
    await withReplica(argv, (replica) => {
      if (replica.heldItem(id) === undefined) throw notHeld(replica, id);
      replica.resolve(id, how);
    });
    const taken = typeof how === "string" ? how : "file";
    if (argv["json"] === true) return printJson({ id, take: taken });
    const words = {
      mine: `${id} stays as it is here; the next sync sends it`,
      theirs: `${id} is what the server has; the version of this replica is in a conflict record`,
      file: `${id} is what ${take} says; the next sync sends it, and the version of this replica is in a conflict record`,
    };
    await printLine(words[taken]);
  },
});

function notHeld(replica: Replica, id: string): CliError {
  const isNumber = /^\d+$/.test(id) && replica.conflict(Number(id)) !== undefined;
  const hint = isNumber ? `; of record ${id}: tercet conflicts restore ${id}, or drop ${id}` : "";
  const message = `${JSON.stringify(id)} is not held in conflict${hint}`;
  return new CliError(message, { code: "FAILED_PRECONDITION", reason: "ITEM_HELD" });
}

/** `tercet conflicts restore` */
export const restoreCommand = defineCommand({
  flagOnly: ["server"],
  options: (yargs) =>
    yargs
      .positional("number", { type: "number", demandOption: true, describe: "Number of the record" })
      .options(PLACES)
      .example("$0 conflicts restore 3 --replica a.replica  # in the replica; the next sync sends it", "")
      .example("$0 conflicts restore 3 --server 127.0.0.1:7727 --collection places  # on the server", ""),
  async run(argv) {
    const number = checkNumber(argv.number);
    const { server } = argv;
    if (server !== undefined) {
      const collection = await collectionOf(argv);
      const { id, revision } = await restoreOnServer({ ...argv, server }, collection, number);
      if (argv["json"] === true) return printJson({ number, id, revision });
      return printLine(
        `${id} is again what record ${number} of the server kept of it; what it was is in a record of its own`,
      );
    }
    const id = await settle(replicaOf(argv), number, "restore");
    if (argv["json"] === true) return printJson({ number, id });
    await printLine(`${id} is again what record ${number} kept of it; the next sync sends it`);
  },
});

/** `tercet conflicts drop` */
export const dropCommand = defineCommand({
  options: (yargs) =>
    yargs
      .positional("number", { type: "number", demandOption: true, describe: "Number of the record" })
      .options(REPLICA),
  async run(argv) {
    const number = checkNumber(argv.number);
    const id = await settle(argv, number, "discard");
    if (argv["json"] === true) return printJson({ number, id });
    await printLine(`${id} stays as it is; record ${number} is dropped`);
  },
});

function settle(argv: { readonly replica: string }, number: number, how: "restore" | "discard"): Promise<string> {
  return withReplica(argv, (replica) => {
    const record = replica.conflict(number);
    if (record === undefined) throw noRecord(number);
    replica.resolveConflict(number, how);
    return record.id;
  });
}

const DAY_MS = 24 * 60 * 60 * 1000;

/** `tercet conflicts prune` */
export const pruneCommand = defineCommand({
  options: (yargs) =>
    yargs
      .option("older-than", {
        type: "number",
        requiresArg: true,
        demandOption: "say --older-than DAYS; 0 for all",
        describe: "Days",
      })
      .options(REPLICA)
      .epilogue("`tercet sync` does it by itself, after 90 days or what --keep-conflicts says."),
  async run(argv) {
    const { olderThan } = argv;
    if (!(olderThan >= 0)) throw usageError("--older-than must be a number of days from 0 up");
    const removed = await withReplica(argv, (replica) => replica.pruneConflicts({ olderThanMs: olderThan * DAY_MS }));
    if (argv["json"] === true) return printJson({ removed });
    await printLine(`removed ${plural(removed, "conflict record")}`);
  },
});
