import type { ReplicaStatus } from "../replica-handle.js";
import { defineCommand } from "./command.js";
import { compareSides } from "./compare-sides.js";
import { FAILED } from "./failure.js";
import { REPLICA, SERVER } from "./options.js";
import { formatCount, plural, print, printJson, printLine, shortHex } from "./output.js";
import { withReplica } from "./replica.js";
import { askServer, checkAddress } from "./server.js";
import { isTyped } from "./settings.js";

/** `tercet status` */
export const statusCommand = defineCommand({
  options: (yargs) =>
    yargs
      .options(REPLICA)
      .options(SERVER)
      .example("$0 status --replica a.replica --server 127.0.0.1:7727", "")
      .epilogue(
        "Where the server can't be asked, the exit status is 1 if --server names it, and 0 if TERCET_SERVER or the " +
          "configuration does: what the replica holds is shown all the same.",
      ),
  async run(argv) {
    if (argv.server !== undefined) checkAddress(argv.server);
    const status = await withReplica(argv, (replica) => replica.status());
    const json = argv["json"] === true;
    if (!json) {
      const { collection, items, pending, rejected, held, conflicts } = status;
      const marks = [
        ...(rejected > 0 ? [`${formatCount(rejected)} of them rejected`] : []),
        ...(held > 0 ? [`${formatCount(held)} of them held in conflict`] : []),
      ];
      await print(
        [
          `${argv.replica}: replica of ${collection}`,
          `  items      ${formatCount(items)}`,
          `  pending    ${[formatCount(pending), ...marks].join(", ")}`,
          `  conflicts  ${formatCount(conflicts)}`,
          `  agreed     ${agreedWords(status)}`,
          "",
        ].join("\n"),
      );
    }
    const { server } = argv;
    if (server === undefined) return json ? printJson({ ...status, server: null }) : undefined;
    const answer = await askServer({ ...argv, server }, status);
    if ("unreachable" in answer) {
      if (isTyped(argv, "server")) process.exitCode = FAILED;
      const { error, words } = answer.unreachable;
      return json ? printJson({ ...status, server: { address: server, error } }) : printLine(`  server     ${words}`);
    }
    const { theirs } = answer;
    const standing = compareSides(status, theirs);
    const behind = Math.max(theirs.revision - status.revision, 0);
    if (json) return printJson({ ...status, server: { address: server, ...theirs, standing, behind } });
    const { count, revision, fingerprint } = theirs;
    const here = status.pending === 0 ? "" : plural(status.pending, "pending change");
    const words = {
      equal: here === "" ? "equal" : `equal, but for ${here} here`,
      recovering: "unknown: a recovery was cut, and the next sync begins it again",
      behind: `behind the server by ${plural(behind, "revision")}${here === "" ? "" : `, and ${here} here`}`,
      different: "different: the server has another history, or another collection of this name",
    };
    await print(
      [
        `  server     ${plural(count, "item")}, revision ${formatCount(revision)}, fingerprint ${shortHex(fingerprint)}`,
        `  standing   ${words[standing]}`,
        "",
      ].join("\n"),
    );
  },
});

function agreedWords({ revision, recovering, agreed: { count, fingerprint } }: ReplicaStatus): string {
  if (revision === 0 && !recovering) return "nothing yet with a server";
  const upTo = recovering ? "in an unfinished recovery" : `revision ${formatCount(revision)}`;
  return `${plural(count, "item")}, ${upTo}, fingerprint ${shortHex(fingerprint)}`;
}
