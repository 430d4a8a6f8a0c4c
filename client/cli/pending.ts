import { defineCommand } from "./command.js";
import { oneLine } from "./failure.js";
import { REPLICA } from "./options.js";
import { formatCount, printList } from "./output.js";
import { withReplica } from "./replica.js";

/** `tercet pending` */
export const pendingCommand = defineCommand({
  command: "pending",
  describe: "List changes of the replica that the server does not have yet",
  options: (yargs) => yargs.options(REPLICA),
  async run(argv) {
    await withReplica(argv, (replica) =>
      printList(replica.pending(), {
        json: argv["json"] === true,
        toJson: ({ modifyTime, rejected, ...rest }) => ({
          ...rest,
          modifyTime: modifyTime.toISOString(),
          rejected: rejected ?? null,
        }),
        columns: ["ID", "CHANGE", "BYTES", "MODIFIED", "REJECTED"],
        toRow: ({ id, kind, size, modifyTime, rejected }) => [
          id,
          kind,
          kind === "deleted" ? "-" : formatCount(size),
          modifyTime.toISOString(),
          rejected === undefined ? "" : oneLine(`${rejected.reason}: ${rejected.message}`),
        ],
        empty: "nothing is pending",
      }),
    );
  },
});
