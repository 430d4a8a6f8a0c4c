import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { IdInterval, RangeEntry } from "../../core/range.js";
import { createRangeSum, totalOf } from "../../core/range-sum.js";
import { LIST_ITEMS, LISTED_WHOLE_ITEMS, SHORT_SUM_BYTES, shortPrintsOf, shortSumOf } from "../../core/reconcile.js";
import type { StoredChange } from "../../server/store/item-reads.js";
import type { RangeAnswer, RangeAsk } from "../../server/store/range-reads.js";
import type { Store } from "../../server/store/store.js";
import type { Write } from "../../server/store/write-batch.js";
import { batchOf, createCollection, put, remove, UID } from "./build.js";
import type { OpenedStore } from "./contract.js";
import { askRanges } from "./contract-ranges.js";
import { byteOrder, createModel, type ModelCollection, modelWrite } from "./model.js";

/** U+FFEE sorts before U+10000 in UTF-8 and after its surrogates in UTF-16. */
const LETTERS = ["a", "b", "é", "\ud7ff", "\ue000", "\uffee", "\u{10000}", "\u{1f600}"];

/** Ids of a block, some hundreds next to each other, so that segments are split and emptied. */
interface Step {
  readonly prefix: number;
  readonly from: number;
  readonly count: number;
  readonly step: number;
  readonly content: number | undefined;
  readonly end: "commit" | "rollback" | "reopen" | "compact" | "delete the half";
}

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.record({
    prefix: fc.nat(LETTERS.length - 1),
    from: fc.nat(200),
    count: fc.oneof(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 100, max: 400 })),
    step: fc.constantFrom(1, 3, -1),
    content: fc.option(fc.nat(2), { nil: undefined, freq: 2 }),
    end: fc.constantFrom("commit", "commit", "rollback", "reopen", "compact", "delete the half"),
  }),
  { minLength: 1, maxLength: 8 },
);

const bounds: fc.Arbitrary<string[]> = fc.array(
  fc.tuple(fc.constantFrom(...LETTERS), fc.nat(500)).map(([letter, number]) =>
    Array.from(idOf(letter, number))
      .slice(0, 1 + (number % 5))
      .join(""),
  ),
  { minLength: 2, maxLength: 6 },
);

function idOf(letter: string, number: number): string {
  const digits = [100, 10, 1].map((unit) => LETTERS[(Math.floor(number / unit) % 10) % LETTERS.length] as string);
  return `${letter}${digits.join("")}${number}`;
}

/** Random histories whose ranges are asked for, each answer checked against the items that the model has. */
export function describeRangesModel(name: string, open: () => Promise<OpenedStore>): void {
  describe(`ranges of a ${name} store against a model`, () => {
    it("answers what the items come to", async () => {
      const property = fc.asyncProperty(steps, bounds, async (history, cuts) => {
        const opened = await open();
        try {
          await runHistory(opened, history, cuts);
        } finally {
          await opened.cleanup();
        }
      });
      await fc.assert(property, { numRuns: 25, seed: 20_260_102, endOnFailure: false });
    }, 120_000);
  });
}

async function runHistory(opened: OpenedStore, history: readonly Step[], cuts: readonly string[]): Promise<void> {
  let { store } = opened;
  await createCollection(store);
  const model = createModel();
  let horizon = 0;
  for (const step of history) {
    const writes = writesOf(step);
    if (step.end === "rollback") {
      await expect(writeAndThrow(store, writes)).rejects.toThrow("no answer");
    } else {
      await write(store, model, writes);
      if (step.end === "delete the half") {
        const half = [...model.entries.keys()].sort(byteOrder).slice(model.entries.size / 2);
        await write(
          store,
          model,
          half.map((id) => remove(id)),
        );
      }
    }
    if (step.end === "reopen") store = await opened.reopen();
    if (step.end === "compact") {
      horizon = Math.floor(model.revision / 2);
      horizon = (await store.compact({ uid: UID, through: horizon })) ?? 0;
    }
    await opened.check?.();
    await checkRanges(store, model, horizon, cuts);
  }
}

function writesOf({ prefix, from, count, step, content }: Step): Write[] {
  const numbers = Array.from({ length: count }, (_, index) => from + (step < 0 ? count - 1 - index : index * step));
  return numbers.map((number) => {
    const id = idOf(LETTERS[prefix] as string, number);
    return content === undefined ? remove(id) : put(id, "x".repeat(content * 400));
  });
}

async function write(store: Store, model: ModelCollection, writes: readonly Write[]): Promise<void> {
  if (writes.length === 0) return;
  await store.write([batchOf(writes)]);
  modelWrite(model, batchOf(writes));
}

async function writeAndThrow(store: Store, writes: readonly Write[]): Promise<void> {
  const answer = (): Uint8Array => {
    throw new Error("no answer");
  };
  const remember = { requestId: "r", digest: Buffer.alloc(32), answer };
  await store.write([batchOf(writes), batchOf([put("one more", "1")], { remember })]);
}

async function checkRanges(
  store: Store,
  model: ModelCollection,
  horizon: number,
  cuts: readonly string[],
): Promise<void> {
  const sorted = [...model.entries.values()].sort((a, b) => byteOrder(a.id, b.id));
  const points = ["", ...cuts.toSorted(byteOrder)];
  const pairs = points.flatMap((from, index) => [undefined, ...points.slice(index)].map((to) => ({ from, to })));
  const tombstonesAfter = Math.floor(model.revision / 3);
  for (const interval of pairs) {
    const inside = sorted.filter(({ id }) => isIn(interval, id));
    const items = inside.filter(isItem);
    const deleted = inside.filter((one) => !isItem(one) && one.revision > Math.max(tombstonesAfter, horizon));
    const told = items.filter((_, index) => index % 50 !== 1);
    const asks: RangeAsk[] = [
      { kind: "sum", interval, ...shortOf(items) },
      { kind: "sum", interval, count: items.length + 1, shortSum: Buffer.alloc(SHORT_SUM_BYTES) },
      { kind: "items", interval, prints: shortPrintsOf(told) },
    ];
    const [same, other, compared] = await askRanges(store, asks, { tombstonesAfter });
    expect(same).toEqual({ kind: "equal" });
    checkDiffering(other, interval, items, deleted, items.length > LISTED_WHOLE_ITEMS ? "split" : items);
    const differing = items.filter((one) => !told.includes(one));
    if (differing.length === 0) expect(compared).toEqual({ kind: "equal" });
    else checkDiffering(compared, interval, items, deleted, differing.length > LIST_ITEMS ? "split" : differing);
  }
}

type Item = StoredChange & RangeEntry;

function isItem(change: StoredChange): change is Item {
  return change.fingerprint !== undefined;
}

function isIn({ from, to }: IdInterval, id: string): boolean {
  return byteOrder(id, from) >= 0 && (to === undefined || byteOrder(id, to) < 0);
}

function shortOf(items: readonly Item[]): { count: number; shortSum: Uint8Array } {
  const total = sumOf(items);
  return { count: total.count, shortSum: shortSumOf(total) };
}

function sumOf(items: readonly Item[]): ReturnType<typeof totalOf> {
  const sum = createRangeSum();
  for (const { fingerprint } of items) sum.add(fingerprint);
  return totalOf(sum);
}

/** A list of these items, or parts that are the range together and come to what is in them. */
function checkDiffering(
  answer: RangeAnswer | undefined,
  interval: IdInterval,
  items: readonly Item[],
  deleted: readonly StoredChange[],
  expected: "split" | readonly Item[],
): void {
  if (expected !== "split" && deleted.length <= LIST_ITEMS) {
    expect(answer?.kind).toBe("list");
    if (answer?.kind !== "list") return;
    const state = ({ id, revision }: StoredChange) => [id, revision];
    expect(answer.items.map(state)).toEqual(expected.map(state));
    expect(answer.deleted.map(state)).toEqual(deleted.map(state));
    return;
  }
  expect(answer?.kind).toBe("split");
  if (answer?.kind !== "split") return;
  const { parts } = answer;
  expect(parts.length).toBeGreaterThan(1);
  expect([parts[0]?.from, parts.at(-1)?.to]).toEqual([interval.from, interval.to]);
  for (const [index, { from, to, total }] of parts.entries()) {
    if (index > 0) expect(parts[index - 1]?.to).toBe(from);
    const own = sumOf(items.filter(({ id }) => isIn({ from, to }, id)));
    expect({ count: total.count, sum: Buffer.from(total.sum) }).toEqual({ ...own });
    if (expected === "split") expect(total.count).toBeGreaterThan(0);
  }
}
