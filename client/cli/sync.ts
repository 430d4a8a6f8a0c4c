import type { SyncOptions } from "../sync.js";
import { defineCommand } from "./command.js";
import { CliError, INTERRUPTED, REMAINS } from "./failure.js";
import { MAKING, REPLICA, SERVER_NEEDED, standardOption } from "./options.js";
import { formatCount, print, printJson } from "./output.js";
import { startProgress } from "./progress.js";
import { withReplica } from "./replica.js";
import { connectOptions, timeoutOf } from "./server.js";
import { tellReport } from "./sync-report.js";

/** `tercet sync` */
export const syncCommand = defineCommand({
  command: "sync",
  describe: "Make the replica and the server's collection equal by one exchange",
  options: (yargs) =>
    yargs
      .options(SERVER_NEEDED)
      .option("standard", standardOption("Whose change prevails where both sides changed an item"))
      .option("create", { type: "boolean", default: false, describe: "Create the collection if the server has none" })
      .options(REPLICA)
      .options(MAKING)
      .example("$0 sync --server 127.0.0.1:7727 --create", "the first exchange of a new collection")
      .example("$0 sync --server 127.0.0.1:7727 --standard CLIENT", "changes of this side prevail"),
  async run(argv) {
    const json = argv["json"] === true;
    const timeout = timeoutOf(argv);
    const { standard } = argv;
    const interruption = watchInterruption();
    const progress = await startProgress(json);
    const options: SyncOptions = {
      server: argv.server,
      create: argv.create,
      ...connectOptions(argv),
      ...(standard === undefined ? {} : { standard }),
      ...(timeout === undefined ? {} : { timeoutMs: timeout * 1000 }),
      signal: interruption.signal,
      onProgress({ sent, toSend, received, toReceive = received }) {
        const words = `${formatCount(sent)} sent, ${formatCount(received)} received`;
        progress.update(sent + received, toSend + toReceive, words);
      },
    };
    try {
      const { report, collection } = await withReplica(argv, async (replica) => ({
        report: await replica.sync(options),
        collection: replica.collection,
      }));
      progress.stop();
      const { conflictCount, rejectedCount, contended } = report;
      if (conflictCount + rejectedCount + contended.length > 0) process.exitCode = REMAINS;
      if (json) await printJson({ collection, ...report, unverified: report.unverified ?? null });
      else await print(tellReport(report, collection, argv.server));
    } catch (error) {
      progress.stop();
      throw interruption.signal.aborted ? interrupted(error) : error;
    } finally {
      interruption.stop();
    }
  },
});

/** The first Ctrl-C or SIGTERM aborts; a second one ends the process. */
function watchInterruption() {
  const controller = new AbortController();
  const abort = (): void => {
    stop();
    controller.abort();
  };
  function stop(): void {
    process.off("SIGINT", abort);
    process.off("SIGTERM", abort);
  }
  process.on("SIGINT", abort);
  process.on("SIGTERM", abort);
  return { signal: controller.signal, stop };
}

function interrupted(cause: unknown): CliError {
  const message = "interrupted. The replica keeps what it has taken, and the next sync goes on from there";
  return new CliError(message, { code: "CANCELLED", reason: "INTERRUPTED", status: INTERRUPTED }, { cause });
}
