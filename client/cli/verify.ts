import { defineCommand } from "./command.js";
import { compareSides } from "./compare-sides.js";
import { CliError } from "./failure.js";
import { REPLICA, SERVER } from "./options.js";
import { plural, printJson, printLine, shortHex } from "./output.js";
import { withReplica } from "./replica.js";
import { getCollection } from "./server.js";

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
        "Exit status 1 where the replica's own account is wrong, or where the server differs; 0 where it is ahead.",
      ),
  async run(argv) {
    const json = argv["json"] === true;
    const { sound, status } = await withReplica(argv, (replica) => ({
      sound: replica.audit(),
      status: replica.status(),
    }));
    if (!sound) {
      const message = `${argv.replica} is damaged: its contents do not add up to the fingerprint that it keeps of them`;
      throw new CliError(message, { code: "DATA_LOSS", reason: "REPLICA_DAMAGED" });
    }
    const { agreed, pending, revision } = status;
    const state = `${plural(agreed.count, "item")} agreed on at revision ${revision}, fingerprint ${shortHex(agreed.fingerprint)}`;
    if (!json)
      await printLine(`replica  sound: ${state}${pending > 0 ? `; ${plural(pending, "pending change")}` : ""}`);
    const { server } = argv;
    if (server === undefined) return json ? printJson({ sound, pending, revision, agreed, server: null }) : undefined;
    const theirs = await getCollection({ ...argv, server }, status.collection);
    const standing = compareSides(status, theirs);
    if (standing === "different") {
      const message = `replica and server differ: the server has ${plural(theirs.count, "item")} at revision ${theirs.revision}, fingerprint ${shortHex(theirs.fingerprint)}`;
      const facts = { replica: { revision, ...agreed }, server: { address: server, ...theirs } };
      throw new CliError(message, { code: "DATA_LOSS", reason: "DIFFERENT", facts });
    }
    if (json) return printJson({ sound, pending, revision, agreed, server: { address: server, standing, ...theirs } });
    const words =
      standing === "equal"
        ? "equal"
        : `the replica is behind by ${plural(theirs.revision - revision, "revision")}; sync, then verify again`;
    await printLine(`server   ${words}`);
  },
});
