import type { Replica, ReplicaStatus } from "../replica-handle.js";
import type { SyncReport } from "../sync.js";
import type { SyncOptions } from "../sync-options.js";
import { defineCommand } from "./command.js";
import { EXCHANGE, exchangeOptions } from "./exchange-options.js";
import { CliError, INTERRUPTED, REMAINS } from "./failure.js";
import { watchInterruption } from "./interruption.js";
import { MAKING, REPLICA, SERVER_NEEDED } from "./options.js";
import { formatCount, print, printJson } from "./output.js";
import { startProgress } from "./progress.js";
import { withNewReplica } from "./replica.js";
import { checkAddress, connectOptions, timeoutOf } from "./server.js";
import { explainCut, explainRefusal, type Heard } from "./sync-failure.js";
import { type Remaining, tellReport } from "./sync-report.js";

/** `tercet sync` */
export const syncCommand = defineCommand({
  options: (yargs) =>
    yargs
      .options(SERVER_NEEDED)
      .options(EXCHANGE)
      .option("dry-run", {
        type: "boolean",
        default: false,
        describe: "Tell what would move and how conflicts would end, and change nothing",
      })
      .options(REPLICA)
      .options(MAKING)
      .example("$0 sync --replica a.replica --server 127.0.0.1:7727 --create  # the first exchange", "")
      .example("$0 sync --replica a.replica --server 127.0.0.1:7727 --standard CLIENT  # this side prevails", "")
      .epilogue(
        "Exit status 3 where held items, conflict records or rejected changes remain, also from before: " +
          "`tercet conflicts list` and `tercet pending` show them; of a dry run, where there would be conflicts. A replica is held by one process at a time: while this runs, a `tercet get` of the " +
          "same file is refused (REPLICA_IN_USE).",
      ),
  async run(argv) {
    const json = argv["json"] === true;
    const timeout = timeoutOf(argv);
    checkAddress(argv.server);
    const exchange = exchangeOptions(argv);
    const interruption = watchInterruption();
    const progress = await startProgress(json);
    let heard: Heard | undefined;
    const options: SyncOptions = {
      server: argv.server,
      dryRun: argv.dryRun,
      ...exchange,
      ...connectOptions(argv),
      ...(timeout === undefined ? {} : { timeoutMs: timeout * 1000 }),
      signal: interruption.signal,
      onProgress({ sent, toSend, received, toReceive = received }) {
        heard = { sent, received };
        const words = `${formatCount(sent)} sent, ${formatCount(received)} received`;
        progress.update(sent + received, toSend + toReceive, words);
      },
    };
    try {
      const { report, status } = await withNewReplica(
        argv,
        (replica) => syncOne(replica, options, argv.server),
        () => heard !== undefined,
      );
      progress.stop();
      const { collection, conflicts, rejected, held } = status;
      const remaining = { conflicts, rejected, held };
      if (somethingRemains(report, remaining)) process.exitCode = REMAINS;
      if (json) {
        const durationMs = Math.round(report.durationMs * 1000) / 1000;
        const { unverified = null, recovery = null } = report;
        await printJson({ collection, ...report, durationMs, unverified, recovery, remaining });
      } else await print(tellReport(report, collection, argv.server, remaining));
    } catch (error) {
      progress.stop();
      throw interruption.signal.aborted ? interrupted(error, heard) : explainCut(error, heard, argv.server, timeout);
    } finally {
      interruption.stop();
    }
  },
});

/** One exchange, and what the replica says of itself after it. */
async function syncOne(
  replica: Replica,
  options: SyncOptions,
  server: string,
): Promise<{ readonly report: SyncReport; readonly status: ReplicaStatus }> {
  try {
    return { report: await replica.sync(options), status: replica.status() };
  } catch (error) {
    throw explainRefusal(error, replica.status(), server);
  }
}

function somethingRemains({ conflictCount, rejectedCount, contended }: SyncReport, remaining: Remaining): boolean {
  return (
    conflictCount + rejectedCount + contended.length + remaining.conflicts + remaining.rejected + remaining.held > 0
  );
}

function interrupted(cause: unknown, heard: Heard | undefined): CliError {
  const kept = ". The replica keeps what it has taken, and the next sync goes on from there";
  const message = `interrupted${heard === undefined ? " before the server had said anything" : kept}`;
  return new CliError(message, { code: "CANCELLED", reason: "INTERRUPTED", status: INTERRUPTED }, { cause });
}
