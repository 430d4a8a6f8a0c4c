import type { Content } from "../core/content.js";
import { ErrorReason } from "../core/fault.js";
import { fingerprintOf } from "../core/fingerprint.js";
import { StorageError } from "../core/storage-error.js";
import { TercetError, toError } from "./error.js";
import { mapped, pages } from "./pages.js";
import type { HeldItem, LocalConflict } from "./replica/local-conflicts.js";
import type { LocalWrite } from "./replica/local-items.js";
import type { ReplicaStore } from "./replica/store.js";
import { heldItem } from "./replica/views.js";
import { type Conflict, type Held, type HeldVersions, toConflict, toHeld } from "./replica-views.js";
import { limitsOf, withinGroup } from "./replica-writes.js";
import { checkContent, checkNamed, invalidField } from "./validate.js";

/** How an item that is held is resolved. */
export type ResolveHow = "mine" | "theirs" | { readonly content: Content } | { readonly deleted: true };

/** The methods of a replica that are about conflicts. */
export interface ReplicaConflicts {
  held(): IterableIterator<Held>;
  heldItem(id: string): HeldVersions | undefined;
  resolve(id: string, how: ResolveHow): void;
  conflicts(): IterableIterator<Conflict>;
  conflict(number: number): Conflict | undefined;
  resolveConflict(number: number, how: "restore" | "discard"): void;
  pruneConflicts(options: { readonly olderThanMs: number }): number;
}

/** Reads and writes the store that `open` gives, which throws where the replica is closed. */
export function replicaConflicts(open: () => ReplicaStore): ReplicaConflicts {
  function findHeld(id: string): HeldItem | undefined {
    const [state] = open().lookup([id]);
    const { pending, base, sequence = 0 } = state ?? {};
    if (pending?.held !== true) return undefined;
    const { fingerprint, modifyTimeUs, group } = pending;
    return heldItem({ id, sequence, fingerprint, modifyTimeUs, base, group: group?.key ?? 0 });
  }

  function toHow(id: string, how: ResolveHow): Parameters<ReplicaStore["resolveHeld"]>[1] {
    if (how === "mine" || how === "theirs") return how;
    if (typeof how === "object" && how !== null && "deleted" in how && how.deleted === true) {
      return { merged: undefined };
    }
    if (typeof how !== "object" || how === null || !("content" in how)) {
      throw invalidField("how", 'must be "mine", "theirs", { content } or { deleted: true }');
    }
    checkContent(how.content, limitsOf(open()).itemBytes);
    const upsert: LocalWrite["upsert"] = { content: how.content, fingerprint: fingerprintOf(id, how.content) };
    return { merged: upsert };
  }

  return {
    held() {
      open();
      const read = (last: HeldItem | undefined, most: number): readonly HeldItem[] =>
        open().listHeld(last?.id ?? "", most);
      return mapped(pages(read), toHeld);
    },
    heldItem(id) {
      const item = findHeld(id);
      if (item === undefined) return undefined;
      return {
        ...toHeld(item),
        mineContent: item.mine && open().get(id)?.content,
        theirsContent: item.theirs && open().getBaseContent(id),
      };
    },
    resolve(id, how) {
      const converted = toHow(id, how);
      if (findHeld(id) === undefined) throw notHeld(`${JSON.stringify(id)} is not held in conflict`);
      try {
        withinGroup(open(), "the item is held with an atomic group", (limits) =>
          open().resolveHeld(id, converted, Date.now() * 1000, limits),
        );
      } catch (error) {
        if (error instanceof TercetError || error instanceof StorageError || !(error instanceof Error)) throw error;
        throw notHeld(`${error.message}; sync by the standard SERVER takes it`);
      }
    },
    conflicts() {
      open();
      const read = (last: LocalConflict | undefined, most: number): readonly LocalConflict[] =>
        open().listConflicts(last?.number ?? Number.MAX_SAFE_INTEGER, most);
      return mapped(pages(read), toConflict);
    },
    conflict(number) {
      const record = open().getConflict(number);
      return record === undefined ? undefined : toConflict(record);
    },
    resolveConflict(number, how) {
      if (how !== "restore" && how !== "discard") throw invalidField("how", 'must be "restore" or "discard"');
      if (open().settleConflict(number, how === "restore", Date.now() * 1000)) return;
      const reason = ErrorReason.ERROR_REASON_CONFLICT_NOT_FOUND;
      throw toError({ reason, message: `there is no conflict record ${number} in this replica` });
    },
    pruneConflicts(options) {
      checkNamed(options, ["olderThanMs"]);
      const { olderThanMs } = options;
      if (!(typeof olderThanMs === "number" && olderThanMs >= 0)) {
        throw invalidField("olderThanMs", `must be a number from 0 up, not ${String(olderThanMs)}`);
      }
      return pruneConflicts(open(), olderThanMs);
    },
  };
}

/** Removes conflict records that are older; answers how many. Infinity removes none. */
export function pruneConflicts(store: ReplicaStore, olderThanMs: number): number {
  const beforeUs = Math.floor((Date.now() - olderThanMs) * 1000);
  return beforeUs > 0 && store.state().conflicts > 0 ? store.pruneConflicts(beforeUs) : 0;
}

function notHeld(message: string): Error {
  return toError({ reason: ErrorReason.ERROR_REASON_ITEM_HELD, message });
}
