import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fingerprintOf } from "../../core/fingerprint.js";
import type { StoredChange } from "../../server/store/item-reads.js";
import type { Store } from "../../server/store/store.js";
import type { Write, WriteBatch } from "../../server/store/write-batch.js";
import { bytesOf, NOW, put, remove } from "./build.js";
import type { OpenedStore } from "./contract.js";
import {
  createModel,
  type ModelCollection,
  modelFeed,
  modelItems,
  modelTotal,
  modelWrite,
  plain,
  plainConflict,
  plainOutcome,
} from "./model.js";

/** From all planes; U+FFFF sorts before U+10000 in UTF-8 and after it in UTF-16. */
const IDS = ["a", "aa", "ab", "b", "é", "\ue000", "\uffff", "\u{10000}", "\u{1f600}"];
const CONTENTS = ["", "1", "2", Buffer.from("1"), "nul\0", "x".repeat(900), Buffer.alloc(5000, 3)];
const COLLECTIONS = [0, 1];

/** A write before it is known what the store holds. */
interface Draft {
  readonly id: string;
  readonly content: number | undefined;
  readonly expected: "any" | "held" | "none" | "wrong";
  readonly seen: "head" | "old" | "unset";
  readonly fence: boolean;
  readonly overrides: 0 | 1 | 2 | undefined;
  readonly group: number;
}

interface Step {
  readonly batches: readonly { readonly collection: number; readonly drafts: readonly Draft[] }[];
  readonly reopen: boolean;
}

const often = <T>(usual: T, ...others: T[]) =>
  fc.oneof({ weight: 4, arbitrary: fc.constant(usual) }, { weight: 2, arbitrary: fc.constantFrom(...others) });

const drafts: fc.Arbitrary<Draft[]> = fc.uniqueArray(
  fc.record({
    id: fc.constantFrom(...IDS),
    content: fc.option(fc.nat(CONTENTS.length - 1), { nil: undefined, freq: 3 }),
    expected: often<Draft["expected"]>("held", "any", "none", "wrong"),
    seen: often<Draft["seen"]>("head", "old", "unset"),
    fence: often(false, true),
    overrides: often<Draft["overrides"]>(undefined, 0, 1, 2),
    group: often(0, 1, 2),
  }),
  { selector: (draft) => draft.id, minLength: 1, maxLength: 6 },
);

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.record({
    batches: fc.array(fc.record({ collection: fc.constantFrom(...COLLECTIONS), drafts }), {
      minLength: 1,
      maxLength: 3,
    }),
    reopen: fc.oneof({ weight: 9, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
  }),
  { minLength: 1, maxLength: 10 },
);

/** Random histories over two collections, each checked against the model after every step. */
export function describeStoreModel(name: string, open: () => Promise<OpenedStore>): void {
  describe(`${name} store against a model`, () => {
    it("keeps what the model keeps", async () => {
      const property = fc.asyncProperty(steps, fc.nat(15), async (history, after) => {
        const opened = await open();
        try {
          await runHistory(opened, history, after);
        } finally {
          await opened.cleanup();
        }
      });
      await fc.assert(property, { numRuns: 40, seed: 20_260_101, endOnFailure: false });
    });
  });
}

const uidOf = (collection: number) => bytesOf(16, 100 + collection);

async function runHistory(opened: OpenedStore, history: readonly Step[], after: number): Promise<void> {
  let { store } = opened;
  const models = COLLECTIONS.map(createModel);
  for (const collection of COLLECTIONS) {
    await store.createCollection({ name: `c${collection}`, uid: uidOf(collection), standard: 0, nowUs: NOW });
  }
  for (const [index, step] of history.entries()) {
    if (step.reopen) store = await opened.reopen();
    await runStep(store, models, step, NOW + index);
    for (const collection of COLLECTIONS) await checkState(store, models[collection] as ModelCollection, collection);
  }
  for (const collection of COLLECTIONS) {
    await checkReads(store, models[collection] as ModelCollection, uidOf(collection), after);
  }
}

/** The drafts are settled on the model as it is before the step, so that later batches of a step may be wrong. */
async function runStep(store: Store, models: ModelCollection[], step: Step, nowUs: number): Promise<void> {
  const batches = step.batches.map(({ collection, drafts: some }): WriteBatch => {
    const model = models[collection] as ModelCollection;
    return { uid: uidOf(collection), writes: some.map((draft) => settle(model, draft, nowUs)), nowUs };
  });
  const written = await store.write(batches);
  for (const [index, batch] of batches.entries()) {
    const model = models[step.batches[index]?.collection ?? 0] as ModelCollection;
    const revisionBefore = model.revision;
    const outcomes = modelWrite(model, batch).map(plainOutcome);
    expect(written[index]).toMatchObject({ revisionBefore, revision: model.revision });
    expect(written[index]?.outcomes.map(plainOutcome)).toEqual(outcomes);
  }
}

function settle(model: ModelCollection, draft: Draft, nowUs: number): Write {
  const held = model.entries.get(draft.id);
  const expected = {
    any: "any" as const,
    held: held?.fingerprint,
    none: undefined,
    wrong: fingerprintOf(draft.id, "what nobody wrote"),
  }[draft.expected];
  const seen = { head: model.revision, old: (held?.revision ?? 1) - 1, unset: undefined }[draft.seen];
  const { fence, overrides, group } = draft;
  const more = { expected, seen, fence, overrides, group, modifyTimeUs: nowUs + draft.id.length };
  if (draft.content === undefined) return remove(draft.id, more);
  return put(draft.id, CONTENTS[draft.content] ?? "", more);
}

async function checkState(store: Store, model: ModelCollection, collection: number): Promise<void> {
  const state = await store.getCollection(`c${collection}`);
  expect(state).toMatchObject({ revision: model.revision, conflicts: model.conflicts.length });
  const sum = BigInt(
    `0x${Buffer.from(state?.total.sum ?? [])
      .reverse()
      .toString("hex")}`,
  ).toString(16);
  expect({ count: state?.total.count, sum }).toEqual(modelTotal(model));
  const first = state?.lineage.map((epoch) => epoch.firstRevision) ?? [];
  expect(first[0]).toBe(1);
  expect(first).toEqual(first.toSorted((a, b) => a - b));
}

async function checkReads(store: Store, model: ModelCollection, uid: Uint8Array, after: number): Promise<void> {
  const tombstonesAfter = Math.floor(model.revision / 2);
  for (const maxChanges of [1, 2, 3, 100]) {
    for (const maxBytes of [1, 200, 1e9]) {
      const query = { uid, after, tombstonesAfter: 0, maxBytes, maxChanges, inlineBytes: 1e9 };
      expect((await readAll(store, query, model)).map(plain)).toEqual(modelFeed(model, after).map(plain));
    }
    const query = { uid, after: 0, tombstonesAfter, maxBytes: 1e9, maxChanges, inlineBytes: -1 };
    const expected = modelFeed(model, 0, tombstonesAfter).map((change) => plain({ ...change, content: undefined }));
    expect((await readAll(store, query, model)).map(plain)).toEqual(expected);
  }
  for (const prefix of ["", "a", "\u{10000}"]) {
    for (const limit of [1, 2, 100]) {
      expect((await listAll(store, uid, prefix, limit)).map(plain)).toEqual(modelItems(model, prefix).map(plain));
    }
  }
  const items = await store.readItems({ uid, ids: [...IDS, "none"], maxBytes: 1e9 });
  expect(items?.items.map(plain)).toEqual([...IDS, "none"].map((id) => plain(model.entries.get(id))));
  for (const conflict of model.conflicts) {
    const found = await store.getConflict(uid, conflict.number);
    expect(found && plainConflict(found)).toEqual(plainConflict(conflict));
  }
  const listed = await store.listConflicts({ uid, id: "", before: 1e9, limit: 1000 });
  expect(listed.map((conflict) => conflict.number)).toEqual(model.conflicts.map((one) => one.number).reverse());
}

type ChangesQuery = Parameters<Store["readChanges"]>[0];

async function readAll(store: Store, query: ChangesQuery, model: ModelCollection): Promise<StoredChange[]> {
  const all: StoredChange[] = [];
  let { after } = query;
  for (;;) {
    const page = await store.readChanges({ ...query, after });
    if (page === undefined) throw new Error("the collection is not there");
    expect(page.revision).toBe(model.revision);
    // A commit is whole in one page.
    expect(all.at(-1)?.revision).not.toBe(page.changes[0]?.revision ?? -1);
    expect(page.changes.at(-1)?.revision ?? after).toBeLessThanOrEqual(Math.max(page.through, after));
    all.push(...page.changes);
    if (page.end) {
      expect(page.through).toBe(model.revision);
      return all;
    }
    expect(page.through).toBeGreaterThan(after);
    after = page.through;
  }
}

async function listAll(store: Store, uid: Uint8Array, prefix: string, limit: number): Promise<StoredChange[]> {
  const all: StoredChange[] = [];
  for (;;) {
    const after = all.at(-1)?.id ?? "";
    const page = await store.listItems({ uid, prefix, after, limit, maxBytes: 1e9, inlineBytes: 1e9 });
    if (page === undefined) throw new Error("the collection is not there");
    if (page.length === 0) return all;
    expect(page.length).toBeLessThanOrEqual(limit);
    all.push(...page);
  }
}
