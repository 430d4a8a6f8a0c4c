import { fingerprintOf } from "../../core/fingerprint.js";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import type { CollectionState } from "../../server/store/collection-state.js";
import type { StoredChange } from "../../server/store/item-reads.js";
import type { Store } from "../../server/store/store.js";
import type { Write } from "../../server/store/write-batch.js";
import type { CommitJudge } from "./judge-commit.js";
import type { Told } from "./model-contents.js";
import type { Happening } from "./model-events.js";
import type { Committed, History } from "./model-history.js";

/** Somebody who writes at the server without a replica, by reading an item, and later writing what has come of it. */
export interface Outsider {
  /** Reads items, for later. */
  read(store: Store, uid: Uint8Array, ids: readonly string[], history: History): void;
  /** Writes of what was read last, on the condition that nothing has changed. */
  write(store: Store, uid: Uint8Array, wanted: readonly { id: string; content: Told }[], nowUs: number): void;
  /** What it has read is of no use any more. */
  forget(): void;
}

interface Read {
  readonly change: StoredChange | undefined;
  readonly revision: number;
  readonly serial: number;
  readonly committed: Committed | undefined;
}

/** Somebody who has read nothing yet. */
export function createOutsider(judge: CommitJudge): Outsider {
  const known = new Map<string, Read>();

  function toWrite(
    { id, content }: { id: string; content: Told },
    nowUs: number,
    group: number,
  ): { readonly write: Write; readonly happening: Happening } {
    const { change, revision, serial } = known.get(id) as Read;
    const happening = judge.happenings.add({
      id,
      content,
      by: "outsider",
      previous: undefined,
      seen: serial,
      base: undefined,
      creation: change?.fingerprint === undefined,
      modifyTimeUs: nowUs,
      group,
    });
    const size = content === undefined ? 0 : Buffer.byteLength(content);
    const upsert = content === undefined ? undefined : { content, fingerprint: fingerprintOf(id, content), size };
    const expected = change?.fingerprint;
    const plain = { fence: false, overrides: undefined };
    return { write: { id, upsert, modifyTimeUs: nowUs, expected, seen: revision, group, ...plain }, happening };
  }

  function supersede({ id, content, number }: Happening): void {
    for (const each of known.get(id)?.committed?.happenings ?? []) {
      if (each.number < number && each.content !== content) each.superseded = true;
    }
  }

  return {
    read(store, uid, ids, history) {
      const read = answerOf(store.readItems({ uid, ids, maxBytes: 1e9 }));
      ids.forEach((id, index) => {
        const revision = read?.revision ?? 0;
        const serial = history.serialAt(revision);
        known.set(id, { change: read?.items[index], revision, serial, committed: history.at(id, revision) });
      });
    },
    write(store, uid, wanted, nowUs) {
      const possible = wanted.filter(({ id }) => known.has(id));
      if (possible.length === 0) return;
      const group = possible.length > 1 ? judge.serial() : 0;
      const made = possible.map((each) => toWrite(each, nowUs, group));
      const [written] = answerOf(store.write([{ uid, nowUs, writes: made.map(({ write }) => write) }]));
      made.forEach(({ happening }, index) => {
        // What was refused, or was so already, is no change.
        happening.withdrawn = written?.outcomes[index]?.kind !== "applied";
        if (!happening.withdrawn) supersede(happening);
      });
      for (const { id } of possible) known.delete(id);
    },
    forget: () => known.clear(),
  };
}

/** What a store that answers at once has answered. */
export function answerOf<T>(value: T | Promise<T>): T {
  if (value instanceof Promise) throw new Error("a simulation needs a store that answers at once");
  return value;
}

/** The collection that everything is about; undefined while there is none. */
export function collectionOf(store: Store, name: string): CollectionState | undefined {
  return answerOf(store.getCollection(name));
}

/** What a collection is made with that binds no standard. */
export const NO_STANDARD = ChangeStandard.CHANGE_STANDARD_UNSPECIFIED;
