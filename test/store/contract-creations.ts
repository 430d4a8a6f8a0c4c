import fc from "fast-check";
import { expect, it } from "vitest";
import { createRangeSum, totalOf } from "../../core/range-sum.js";
import { appliedRunOf, batchOfCreations, type Creations, type ItemColumns } from "../../server/store/creations.js";
import type { Store } from "../../server/store/store.js";
import type { BatchWritten } from "../../server/store/write-batch.js";
import { ALL, batchOf, createCollection, NOW, put, remove, UID } from "./build.js";
import type { OpenedStore } from "./contract.js";
import { byteOrder } from "./model.js";

/** Items as columns. */
export function itemColumns(items: readonly { readonly id: string; readonly content: string | Buffer }[]): ItemColumns {
  const parts = items.map(({ id, content }) => Buffer.concat([Buffer.from(`${id}\0`), Buffer.from(content)]));
  let end = 0;
  const ends = parts.map((part) => (end += part.length));
  return {
    count: items.length,
    bytes: Buffer.concat(parts),
    starts: Uint32Array.from([0, ...ends.slice(0, -1)]),
    ends: Uint32Array.from(ends),
    idBytes: Uint16Array.from(items, ({ id }) => id.length),
    itemBytes: end,
    mostBytes: Math.max(...items.map(({ content }) => Buffer.byteLength(content))),
    isText: typeof items[0]?.content === "string",
    isAscending: items.every(({ id }, at) => at === 0 || byteOrder(items[at - 1]?.id ?? "", id) < 0),
  };
}

interface Draft {
  readonly items: readonly { readonly id: string; readonly content: string | Buffer; readonly timeUs: number }[];
  readonly seen: number;
}

function creationsFor({ items, seen }: Draft): Creations {
  const sum = createRangeSum();
  const prints = items.map(({ id, content }) => put(id, content).upsert?.fingerprint ?? Buffer.alloc(0));
  for (const print of prints) sum.add(print);
  const timesUs = Float64Array.from(items, ({ timeUs }) => timeUs);
  return { items: itemColumns(items), fingerprints: Buffer.concat(prints), total: totalOf(sum), timesUs, seen };
}

const id = fc.oneof(
  fc.integer({ min: 0, max: 400 }).map((n) => `item-${String(n).padStart(4, "0")}`),
  fc.constant("~ "),
);
const content = fc.oneof(
  fc.constant("x"),
  fc.string({ unit: "binary", maxLength: 20 }),
  fc.constant("é\0".repeat(250)),
);
const items = (of: fc.Arbitrary<string | Buffer>) =>
  fc.uniqueArray(fc.record({ id, content: of, timeUs: fc.constantFrom(NOW, NOW, NOW, 5, 2 ** 52) }), {
    selector: (item) => item.id,
    minLength: 1,
    maxLength: 150,
  });
const sorted = (drafts: Draft["items"]) => [...drafts].sort((a, b) => byteOrder(a.id, b.id));
const draft: fc.Arbitrary<Draft> = fc.record({
  items: fc
    .oneof(items(content), items(fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes))))
    .chain((drafts) => fc.constantFrom(drafts, sorted(drafts), sorted(drafts))),
  seen: fc.constantFrom(0, 3, 1000, 100_000),
});
const step = fc.oneof(
  { weight: 4, arbitrary: fc.array(draft, { minLength: 1, maxLength: 3 }).map((drafts) => ({ drafts })) },
  { weight: 2, arbitrary: fc.array(id, { minLength: 1, maxLength: 5 }).map((removed) => ({ removed })) },
  { weight: 1, arbitrary: fc.constant({ compact: true as const }) },
);

/** That creations as columns come to what the same writes come to one by one. */
export function describeCreations(open: () => Promise<OpenedStore>): void {
  async function tell(store: Store): Promise<string> {
    const read = await store.readChanges(ALL);
    const asks = [
      { kind: "sum" as const, interval: { from: "", to: undefined }, count: -1, shortSum: Buffer.alloc(8) },
    ];
    const ranges = await store.readRanges({ uid: UID, asks, tombstonesAfter: 0, inlineBytes: -1, maxBytes: 1e9 });
    return JSON.stringify({ read: { ...read, changes: read?.changes }, ranges, state: await store.getCollection("c") });
  }

  const outcomes = (written: readonly (BatchWritten | undefined)[]): string =>
    JSON.stringify(written.map((each) => ({ ...each, outcomes: each?.outcomes })));

  it("makes the same of creations as columns and one by one", async () => {
    let runs = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 6 }), async (steps) => {
        const [columns, rows] = [await open(), await open()];
        const both = [columns.store, rows.store];
        try {
          for (const store of both) await createCollection(store);
          for (const each of steps) {
            if ("drafts" in each) {
              const batches = each.drafts.map((made) => batchOfCreations(creationsFor(made), UID, NOW));
              const written = await columns.store.write(batches);
              const one = batches.map(({ uid, nowUs, writes }) => ({ uid, nowUs, writes }));
              expect(outcomes(written)).toEqual(outcomes(await rows.store.write(one)));
              for (const each of written) runs += each !== undefined && appliedRunOf(each) !== undefined ? 1 : 0;
            } else if ("removed" in each) {
              const writes = [...new Set(each.removed)].map((name) => remove(name));
              for (const store of both) await store.write([batchOf(writes)]);
            } else {
              for (const store of both) await store.compact({ uid: UID, through: 1e9 });
              // Tombstones go later, and until then they are told of in conflicts: in both stores from here on, or in none.
              for (let turns = 0; turns < 5; turns++) await new Promise(setImmediate);
            }
          }
          expect(await tell(columns.store)).toEqual(await tell(rows.store));
          await columns.check?.();
        } finally {
          await columns.cleanup();
          await rows.cleanup();
        }
      }),
      {
        numRuns: 60,
        examples: [
          [
            [
              {
                drafts: [
                  { items: ["~ ", "item-0000"].map((name) => ({ id: name, content: "x", timeUs: NOW })), seen: 0 },
                ],
              },
              { removed: ["~ "] },
              { compact: true },
              {
                drafts: [
                  { items: ["~ ", "item-0000"].map((name) => ({ id: name, content: "", timeUs: NOW })), seen: 0 },
                ],
              },
            ],
          ],
        ],
      },
    );
    // A store need not know of columns; one that does is to be seen doing it.
    expect(runs === 0 || runs > 20).toBe(true);
  });
}
