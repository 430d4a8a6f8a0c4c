import { contentSize, fromContentField } from "../../core/content.js";
import { ErrorReason, type Fault, fieldFault } from "../../core/fault.js";
import { ITEM_OVERHEAD_BYTES } from "../../core/limits.js";
import type { Push } from "../../gen/tercet/v1/sync.js";
import type { PushRules, ValidatedPush } from "./validate-push.js";

/** Pushes that stand next to each other with the same group number. */
interface GroupRun {
  readonly group: number;
  readonly from: number;
  readonly to: number;
}

/** Rejects each atomic group whole where it is too large, comes in parts, or has a change that is rejected. */
export function rejectGroupsWhole(
  pushes: readonly Push[],
  validated: readonly ValidatedPush[],
  rules: Pick<PushRules, "groupItems" | "groupBytes">,
): ValidatedPush[] {
  const result = [...validated];
  const runs = runsOf(pushes);
  const times = new Map<number, number>();
  for (const { group } of runs) times.set(group, (times.get(group) ?? 0) + 1);
  for (const { group, from, to } of runs) {
    const members = pushes.slice(from, to);
    const whole = (times.get(group) ?? 0) > 1 ? partsFault() : sizeFault(members, rules);
    const bad = validated.slice(from, to).findIndex((each) => "fault" in each);
    if (whole === undefined && bad < 0) continue;
    for (let at = from; at < to; at++) {
      if ("fault" in (result[at] as ValidatedPush)) continue;
      result[at] = { fault: whole ?? companionFault((members[bad] as Push).id) };
    }
  }
  return result;
}

function runsOf(pushes: readonly Push[]): readonly GroupRun[] {
  const runs: GroupRun[] = [];
  for (let from = 0; from < pushes.length; ) {
    const group = (pushes[from] as Push).group;
    let to = from + 1;
    while (group > 0 && pushes[to]?.group === group) to += 1;
    if (group > 0) runs.push({ group, from, to });
    from = to;
  }
  return runs;
}

function sizeFault(
  members: readonly Push[],
  { groupItems, groupBytes }: Pick<PushRules, "groupItems" | "groupBytes">,
): Fault | undefined {
  let bytes = 0;
  for (const { id, content: field } of members) {
    const content = fromContentField(field);
    bytes += ITEM_OVERHEAD_BYTES + Buffer.byteLength(id) + (content === undefined ? 0 : contentSize(content));
  }
  if (members.length > groupItems) return groupFault(`has ${members.length} changes; a group has up to ${groupItems}`);
  if (bytes > groupBytes) return groupFault(`has ${bytes} bytes; a group has up to ${groupBytes}`);
  return undefined;
}

function partsFault(): Fault {
  return groupFault("its changes do not stand one behind the other");
}

function companionFault(id: string): Fault {
  return groupFault(`"${id}" of the same group was rejected, and a group goes whole`);
}

function groupFault(description: string): Fault {
  return fieldFault(ErrorReason.ERROR_REASON_GROUP_INVALID, "group", description);
}
