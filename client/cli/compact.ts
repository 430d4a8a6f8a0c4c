import { defineCommand } from "./command.js";
import { usageError } from "./failure.js";
import { SERVER_NEEDED } from "./options.js";
import { formatCount, printJson, printLine } from "./output.js";
import { withServer } from "./server.js";

const DEFAULT_DAYS = 30;
const DAY_US = 86_400_000_000;

/** `tercet compact` */
export const compactCommand = defineCommand({
  options: (yargs) =>
    yargs
      .positional("collection", { type: "string", demandOption: true, describe: "Name of the collection" })
      .option("older-than", {
        type: "number",
        requiresArg: true,
        conflicts: "through",
        describe: `Deletions older than this many days, by the server's clock. Default: ${DEFAULT_DAYS}`,
      })
      .option("through", {
        type: "number",
        requiresArg: true,
        describe: "Deletions up to this revision instead; `tercet collections get NAME` shows the last one",
      })
      .options(SERVER_NEEDED)
      .example("$0 compact places --older-than 7 --server 127.0.0.1:7727", "")
      .epilogue(
        "Nothing comes back by it: replicas that were away for longer compare everything at their next sync.\n" +
          "The server does it by itself, too: `tercet serve --tombstone-days`.",
      ),
  async run(argv) {
    const { METHODS } = await import("../index.js");
    const request = { collection: argv.collection, horizon: horizonOf(argv) };
    const { compactedRevision } = await withServer(argv, (connection, bounds) =>
      connection.unary(METHODS.compactCollection, request, bounds),
    );
    if (argv["json"] === true) return printJson({ collection: argv.collection, compactedRevision });
    await printLine(
      compactedRevision === 0
        ? `${argv.collection}: no deletions are that old`
        : `${argv.collection}: deletions up to revision ${formatCount(compactedRevision)} are forgotten`,
    );
  },
});

interface HorizonArguments {
  readonly olderThan: number | undefined;
  readonly through: number | undefined;
}

function horizonOf({ olderThan, through }: HorizonArguments) {
  if (through !== undefined) {
    if (Number.isSafeInteger(through) && through >= 0) return { $case: "throughRevision", value: through } as const;
    throw usageError("--through must be a revision: a whole number from 0 on");
  }
  const value = Math.round((olderThan ?? DEFAULT_DAYS) * DAY_US);
  if (Number.isSafeInteger(value) && value >= 0) return { $case: "olderThanUs", value } as const;
  throw usageError("--older-than must be a number of days from 0 on");
}
