import type { Replica, ReplicaStatus } from "../replica-handle.js";
import type { VerifyReport } from "../sync.js";
import { defineCommand } from "./command.js";
import type { Standing } from "./compare-sides.js";
import { CliError, FAILED } from "./failure.js";
import { REPLICA, SERVER } from "./options.js";
import { formatBytes, formatCount, plural, print, printJson, printLine, shortHex } from "./output.js";
import { withReplica } from "./replica.js";
import {
  askServer,
  type CollectionView,
  checkAddress,
  connectOptions,
  type ServerArguments,
  timeoutOf,
} from "./server.js";

const SHOWN = 20;

/** `tercet verify` */
export const verifyCommand = defineCommand({
  options: (yargs) =>
    yargs
      .option("deep", {
        type: "boolean",
        default: true,
        describe: "Compute the fingerprint of every content anew; --no-deep believes those that are kept",
      })
      .options(REPLICA)
      .options(SERVER)
      .example("$0 verify --replica a.replica --server 127.0.0.1:7727  # what differs, by id", "")
      .epilogue(
        "With --server both sides are compared range by range, and nothing is changed on either. Exit status 1 where the " +
          "replica is damaged, or where the server differs or can't be asked; 0 where both are equal, but for what is " +
          "pending here, or the server has only gone on since.",
      ),
  async run(argv) {
    if (argv.server !== undefined) checkAddress(argv.server);
    await withReplica(argv, (replica) => verify(replica, argv));
  },
});

interface VerifyArguments extends Omit<ServerArguments, "server"> {
  readonly server?: string | undefined;
  readonly replica: string;
  readonly deep: boolean;
  readonly json?: unknown;
}

async function verify(replica: Replica, argv: VerifyArguments): Promise<void> {
  const json = argv.json === true;
  const status = replica.status();
  if (argv.deep) checkContents(replica, argv.replica);
  const { agreed, pending, revision } = status;
  const state = `${plural(agreed.count, "item")} agreed on at revision ${formatCount(revision)}, fingerprint ${shortHex(agreed.fingerprint)}`;
  const soundness = argv.deep ? "sound" : "not checked";
  if (!json) {
    await printLine(`replica  ${soundness}: ${state}${pending > 0 ? `; ${plural(pending, "pending change")}` : ""}`);
  }
  const sound = argv.deep ? true : null;
  const here = { sound, pending, revision, agreed };
  const { server } = argv;
  if (server === undefined) return json ? printJson({ ...here, server: null }) : undefined;
  const answer = await askServer({ ...argv, server }, status);
  if ("unreachable" in answer) {
    process.exitCode = FAILED;
    const { error, words } = answer.unreachable;
    if (json) return printJson({ ...here, server: { address: server, error } });
    return printLine(`server   ${words}`);
  }
  const { theirs } = answer;
  const report = sameCollection(status, theirs) ? await compare(replica, { ...argv, server }) : undefined;
  const standing = report === undefined ? "different" : standingOf(report);
  if (standing === "different") process.exitCode = FAILED;
  if (!json) return print(tell(standing, theirs, report));
  const message = differenceOf(theirs);
  const error = { code: "DATA_LOSS", reason: "DIFFERENT", message };
  const compared = { address: server, standing, ...theirs, ...(standing === "different" ? { error } : {}) };
  await printJson({ ...here, server: compared, comparison: report === undefined ? null : toJson(report) });
}

function checkContents(replica: Replica, path: string): void {
  const { sound, damaged, damagedCount, agreedRight } = replica.check();
  if (sound) return;
  const what =
    damagedCount > 0
      ? `the content of ${plural(damagedCount, "item")} is not what it was`
      : "its items do not add up to the fingerprint that it keeps of them";
  const message = `${path} is damaged: ${what}. Save what is pending, and take the rest from the server again: tercet rebuild FILE`;
  const facts = { damaged, damagedCount, agreedRight };
  const lines = damaged.slice(0, SHOWN);
  throw new CliError(message, { code: "DATA_LOSS", reason: "REPLICA_DAMAGED", facts, lines });
}

/** Where both sides were compared, nothing is unknown. */
type Compared = Exclude<Standing, "recovering">;

function sameCollection({ collectionUid }: ReplicaStatus, { uid }: CollectionView): boolean {
  return collectionUid === "" || collectionUid === uid;
}

function compare(replica: Replica, argv: ServerArguments): Promise<VerifyReport> {
  const timeout = timeoutOf(argv);
  const bounds = timeout === undefined ? {} : { timeoutMs: timeout * 1000 };
  return replica.verify({ server: argv.server, ...connectOptions(argv), ...bounds });
}

function standingOf({ equal, differences, differenceCount }: VerifyReport): Compared {
  if (equal) return "equal";
  // What is not listed may be anything.
  const listed = differences.length === differenceCount;
  return listed && differences.every(({ kind }) => kind === "newer") ? "behind" : "different";
}

function differenceOf({ count, revision, fingerprint }: CollectionView): string {
  return `replica and server differ: the server has ${plural(count, "item")} at revision ${formatCount(revision)}, fingerprint ${shortHex(fingerprint)}`;
}

/** The report in the words of `--json`. */
function toJson({ differences, ...rest }: VerifyReport): object {
  const listed = differences.map(({ id, kind, here, there }) => ({
    id,
    kind,
    here: here ?? null,
    there: there ?? null,
  }));
  return { ...rest, durationMs: Math.round(rest.durationMs * 1000) / 1000, differences: listed };
}

const KINDS = {
  newer: "the server changed it since; the next sync takes that",
  missing: "the server does not have it: deleted since, or lost",
  different: "the server has something else than what both sides agreed on",
} as const;

function tell(standing: Compared, theirs: CollectionView, report: VerifyReport | undefined): string {
  if (report === undefined) return `server   ${standing}: ${differenceOf(theirs)}\n`;
  const { differences, differenceCount, roundTrips, bytesSent, bytesReceived } = report;
  const behind = theirs.revision - report.revision;
  const words = {
    equal: "equal",
    behind: `the replica is behind by ${plural(behind, "revision")}; sync, then verify again`,
    different: `different: ${plural(differenceCount, "item")}. ${differenceOf(theirs)}`,
  };
  const shown = differences.slice(0, SHOWN).map(({ id, kind }) => `  ${id}: ${KINDS[kind]}`);
  const more = differenceCount > shown.length ? [`  and ${formatCount(differenceCount - shown.length)} more`] : [];
  const wire = `${plural(roundTrips, "round trip")}, ${formatBytes(bytesSent)} sent, ${formatBytes(bytesReceived)} received`;
  return [
    `server   ${words[standing]}`,
    ...shown,
    ...more,
    ...(standing === "equal" ? [] : [`wire     ${wire}`]),
    "",
  ].join("\n");
}
