import type { AppliedChange } from "../live-changes.js";
import type { Replica } from "../replica-handle.js";
import type { LiveOptions } from "../sync-options.js";
import { defineCommand } from "./command.js";
import { EXCHANGE, exchangeOptions } from "./exchange-options.js";
import { REMAINS } from "./failure.js";
import { watchInterruption } from "./interruption.js";
import { MAKING, REPLICA, SERVER_NEEDED } from "./options.js";
import { printLine, remark } from "./output.js";
import { withNewReplica } from "./replica.js";
import { checkAddress, connectOptions } from "./server.js";
import { explainRefusal } from "./sync-failure.js";
import { changeLine, changeView, remainingView, stateTeller, tellRecovery } from "./watch-view.js";

/** It has no end, so no deadline. */
const { timeout: _timeout, ...SERVER_WITHOUT_END } = SERVER_NEEDED;

/** `tercet watch` */
export const watchCommand = defineCommand({
  options: (yargs) =>
    yargs
      .options(SERVER_WITHOUT_END)
      .options(EXCHANGE)
      .option("content", {
        type: "boolean",
        default: false,
        describe: "Print contents, too: text on one line, with --json as `text`, or bytes as `data` in base64",
      })
      .option("quiet-catch-up", {
        type: "boolean",
        default: false,
        describe: "Print nothing of what had changed before, only what changes once it is live",
      })
      .options(REPLICA)
      .options(MAKING)
      .example("$0 watch --replica a.replica --server 127.0.0.1:7727  # a line for each change", "")
      .example("$0 watch --replica new.replica --server 127.0.0.1:7727 --collection places  # a new replica", "")
      .example("$0 watch --replica a.replica --server 127.0.0.1:7727 --json --content | jq -r .text", "")
      .epilogue(
        "Prints what came from the server and was stored: at first what had changed since the last exchange. What the " +
          "replica had pending is sent. An item that was changed several times before it was taken comes once, as it is " +
          "then; a content is left out where it has changed again since, which has a line of its own. A reader that is " +
          "slow holds the exchange up, and nothing is lost. Standard error tells when it is connected, has caught up, " +
          "or lost the connection and when it tries again, which it does for as long as it takes; and what a recovery found: " +
          "what a restored server had lost and was offered again, and what returned with it. Ctrl-C or SIGTERM " +
          "ends it in peace, with exit status 0, or 3 where held items, conflict records, rejected or contended changes remain; what " +
          "trying again would not help ends it as it ends `tercet sync`; a host that has no name is tried again, too. " +
          "With --json standard output has id, kind, revision, modifyTime, size and fingerprint of each change, standard " +
          "error objects with `state` (and `error` and `retryAt` while it waits), with `recovery`, and in the end `remaining`. " +
          "The replica is held meanwhile: other commands on that file are refused (REPLICA_IN_USE), a `tercet put` too, " +
          "so that only programs that use the library send changes live.",
      ),
  async run(argv) {
    checkAddress(argv.server);
    const exchange = exchangeOptions(argv);
    const interruption = watchInterruption();
    let hasCome = false;
    const options: WatchOptions = {
      server: argv.server,
      ...exchange,
      ...connectOptions(argv),
      signal: interruption.signal,
      onProgress() {
        hasCome = true;
      },
    };
    const { content, quietCatchUp } = argv;
    const view = { json: argv["json"] === true, content, quietCatchUp };
    try {
      await withNewReplica(
        argv,
        (replica) => watch(replica, options, view),
        () => hasCome,
      );
    } finally {
      interruption.stop();
    }
  },
});

/** What is to be printed. */
interface Printing {
  readonly json: boolean;
  readonly content: boolean;
  readonly quietCatchUp: boolean;
}

type WatchOptions = Omit<LiveOptions, "live" | "server" | "onState" | "onRecovery"> & { readonly server: string };

/** Prints changes until the sync is stopped, and then those that were stored before. */
async function watch(replica: Replica, options: WatchOptions, view: Printing): Promise<void> {
  const ending = new AbortController();
  let printing: Promise<void> | undefined;
  function begin(): void {
    if (printing !== undefined) return;
    printing = printChanges(replica, replica.changes({ signal: ending.signal }), view);
    // Without its output there is no point in going on.
    printing.catch(() => live.stop());
  }
  const tell = stateTeller(options.server, view.json);
  const live = replica.sync({
    ...options,
    live: true,
    onState(state, error) {
      if (state === "live") begin();
      tell(state, error, live.status());
    },
    onRecovery: (recovery) => tellRecovery(recovery, view.json),
  });
  // It has not connected yet.
  if (!view.quietCatchUp) begin();
  try {
    await live.ended;
  } catch (error) {
    throw explainRefusal(error, replica.status(), options.server);
  } finally {
    ending.abort();
    await printing;
  }
  const lines = remainingView(replica.status(), live.status(), view.json);
  if (lines.length > 0) process.exitCode = REMAINS;
  for (const line of lines) remark(line);
}

async function printChanges(
  replica: Replica,
  changes: AsyncIterable<AppliedChange>,
  { json, content }: Printing,
): Promise<void> {
  for await (const change of changes) {
    const item = content && change.kind === "upserted" ? replica.get(change.id) : undefined;
    // What has changed again since will be told with its next change.
    const current = item?.fingerprint === change.fingerprint ? item : undefined;
    await printLine(json ? JSON.stringify(changeView(change, current)) : changeLine(change, current));
  }
}
