import type { CommandModule } from "yargs";
import { restoreDataFile } from "../store/sqlite-backup.js";
import { dataFilePath } from "../store/sqlite-schema.js";
import { summaryOf } from "../store/sqlite-summary.js";
import { reportFailure } from "./failure.js";
import { sizeOf, summaryLines } from "./summary.js";

interface RestoreArguments {
  readonly file: string;
  readonly data: string;
  readonly json: boolean;
}

/** What a restored server means to its replicas. */
const WHAT_COMES = [
  "Replicas find out at their next sync that the server was restored, compare everything with it, and offer back what it",
  "lost: what they had of it after the backup. What no replica has is gone. Items whose deletion was acknowledged after",
  "the backup may return.",
];

/** `tercet restore` */
export const restoreCommand: CommandModule<object, RestoreArguments> = {
  command: "restore <file>",
  describe: "Make a data directory of a backup; one that has data is refused",
  builder: (yargs) =>
    yargs
      .positional("file", { type: "string", demandOption: true, describe: "The backup" })
      .option("data", {
        type: "string",
        requiresArg: true,
        default: "./tercet-data",
        describe: "Data directory without data; made if it is not there",
      })
      .option("json", { type: "boolean", default: false, describe: "Write JSON" })
      .example("$0 restore places.backup --data ./restored  # then `tercet serve --data ./restored`", ""),
  handler({ file, data, json }) {
    try {
      restoreDataFile(file, data);
      const summary = summaryOf(dataFilePath(data));
      const head = `restored ${file} (${sizeOf(summary.bytes)}) to ${data}`;
      const words = json
        ? JSON.stringify({ file, data, ...summary })
        : [head, ...summaryLines(summary), ...WHAT_COMES].join("\n");
      process.stdout.write(`${words}\n`);
    } catch (error) {
      reportFailure(error, { command: "restore", reason: "RESTORE_FAILED", json });
    }
  },
};
