import { existsSync } from "node:fs";
import { defineCommand } from "./command.js";
import { CliError } from "./failure.js";
import { MAKING, REPLICA } from "./options.js";
import { printJson, printLine } from "./output.js";
import { withReplica } from "./replica.js";

/** `tercet init` */
export const initCommand = defineCommand({
  options: (yargs) =>
    yargs
      .options(REPLICA)
      .option("collection", { ...MAKING.collection, demandOption: true, describe: "Name of the collection" })
      .example("$0 init --collection places --replica places.replica", ""),
  async run(argv) {
    if (existsSync(argv.replica)) {
      const message = `there is a file at ${argv.replica} already`;
      throw new CliError(message, { code: "ALREADY_EXISTS", reason: "REPLICA_EXISTS" });
    }
    const { replicaId } = await withReplica(argv, (replica) => replica.status());
    const { replica, collection } = argv;
    if (argv["json"] === true) return printJson({ replica, collection, replicaId });
    await printLine(`made ${replica}, a replica of ${collection}`);
  },
});
