import type { CommandModule } from "yargs";
import { backupDataFile } from "../store/sqlite-backup.js";
import { summaryOf } from "../store/sqlite-summary.js";
import { reportFailure } from "./failure.js";
import { sizeOf, summaryLines } from "./summary.js";

interface BackupArguments {
  readonly data: string;
  readonly to: string;
  readonly json: boolean;
}

/** `tercet backup` */
export const backupCommand: CommandModule<object, BackupArguments> = {
  command: "backup",
  describe: "Copy a server's data into one file, also while it serves",
  builder: (yargs) =>
    yargs
      .option("data", { type: "string", requiresArg: true, default: "./tercet-data", describe: "Data directory" })
      .option("to", {
        type: "string",
        requiresArg: true,
        demandOption: "name the file to make by --to FILE",
        describe: "The backup; a file that is there is not replaced",
      })
      .option("json", { type: "boolean", default: false, describe: "Write JSON" })
      .example("$0 backup --data ./data --to places.backup  # as it is at one moment", ""),
  handler({ data, to, json }) {
    try {
      backupDataFile(data, to);
      const summary = summaryOf(to);
      const head = `backed ${data} up to ${to} (${sizeOf(summary.bytes)})`;
      const words = json ? JSON.stringify({ data, file: to, ...summary }) : [head, ...summaryLines(summary)].join("\n");
      process.stdout.write(`${words}\n`);
    } catch (error) {
      reportFailure(error, { command: "backup", reason: "BACKUP_FAILED", json });
    }
  },
};
