import type { Pending } from "../replica-views.js";
import { defineCommand } from "./command.js";
import { oneLine } from "./failure.js";
import { REPLICA } from "./options.js";
import { formatCount, printList } from "./output.js";
import { withReplica } from "./replica.js";

/** `tercet pending` */
export const pendingCommand = defineCommand({
  options: (yargs) => yargs.options(REPLICA),
  async run(argv) {
    await withReplica(argv, (replica) =>
      printList(replica.pending(), {
        json: argv["json"] === true,
        toJson: ({ modifyTime, rejected, group, ...rest }) => ({
          ...rest,
          modifyTime: modifyTime.toISOString(),
          rejected: rejected ?? null,
          group: group ?? null,
        }),
        columns: ["ID", "CHANGE", "BYTES", "MODIFIED", "GROUP", "STATE"],
        toRow: ({ id, kind, size, modifyTime, rejected, held, group }) => [
          id,
          kind,
          kind === "deleted" ? "-" : formatCount(size),
          modifyTime.toISOString(),
          group === undefined ? "-" : String(group),
          stateOf(held, rejected),
        ],
        empty: "nothing is pending",
      }),
    );
  },
});

function stateOf(held: boolean, rejected: Pending["rejected"]): string {
  if (held) return "HELD in conflict";
  return rejected === undefined ? "" : oneLine(`rejected: ${rejected.reason}: ${rejected.message}`);
}
