import { defineCommand } from "./command.js";
import { compareSides } from "./compare-sides.js";
import { CliError, FAILED } from "./failure.js";
import { REPLICA, SERVER } from "./options.js";
import { formatCount, plural, printJson, printLine, shortHex } from "./output.js";
import { withReplica } from "./replica.js";
import { askServer, checkAddress } from "./server.js";

/** `tercet verify` */
export const verifyCommand = defineCommand({
  command: "verify",
  describe: "Compute the replica's fingerprint anew, and with --server compare it with the server's",
  options: (yargs) =>
    yargs
      .options(REPLICA)
      .options(SERVER)
      .example("$0 verify --server 127.0.0.1:7727", "")
      .epilogue(
        "Exit status 1 where the replica's own account is wrong, or where the server differs or can't be asked; 0 where it is ahead.",
      ),
  async run(argv) {
    const json = argv["json"] === true;
    if (argv.server !== undefined) checkAddress(argv.server);
    const { sound, status } = await withReplica(argv, (replica) => ({
      sound: replica.audit(),
      status: replica.status(),
    }));
    if (!sound) {
      const message = `${argv.replica} is damaged: its contents do not add up to the fingerprint that it keeps of them`;
      throw new CliError(message, { code: "DATA_LOSS", reason: "REPLICA_DAMAGED" });
    }
    const { agreed, pending, revision } = status;
    const state = `${plural(agreed.count, "item")} agreed on at revision ${formatCount(revision)}, fingerprint ${shortHex(agreed.fingerprint)}`;
    if (!json)
      await printLine(`replica  sound: ${state}${pending > 0 ? `; ${plural(pending, "pending change")}` : ""}`);
    const { server } = argv;
    if (server === undefined) return json ? printJson({ sound, pending, revision, agreed, server: null }) : undefined;
    const answer = await askServer({ ...argv, server }, status);
    if ("unreachable" in answer) {
      process.exitCode = FAILED;
      const { error, words } = answer.unreachable;
      if (json) return printJson({ sound, pending, revision, agreed, server: { address: server, error } });
      return printLine(`server   ${words}`);
    }
    const { theirs } = answer;
    const standing = compareSides(status, theirs);
    if (standing === "different") process.exitCode = FAILED;
    const difference = `replica and server differ: the server has ${plural(theirs.count, "item")} at revision ${formatCount(theirs.revision)}, fingerprint ${shortHex(theirs.fingerprint)}`;
    if (json) {
      const error = { code: "DATA_LOSS", reason: "DIFFERENT", message: difference };
      const compared = { address: server, standing, ...theirs, ...(standing === "different" ? { error } : {}) };
      return printJson({ sound, pending, revision, agreed, server: compared });
    }
    if (standing === "different") return printLine(`server   different: ${difference}`);
    const words =
      standing === "equal"
        ? "equal"
        : `the replica is behind by ${plural(theirs.revision - revision, "revision")}; sync, then verify again`;
    await printLine(`server   ${words}`);
  },
});
