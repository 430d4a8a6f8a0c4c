import fc from "fast-check";
import { expect, it } from "vitest";
import { createEntryWindows, toEntryBlock } from "../../core/entry-windows.js";
import { compareIds } from "../../core/id.js";
import type { IdInterval, RangeEntry } from "../../core/range.js";
import { createRangeSum } from "../../core/range-sum.js";

const idOf = (n: number) => `${n % 7 === 0 ? "\u{1f600}" : "id"} ${String(n).padStart(4, "0")}`;
const bound = fc.nat({ max: 700 });

it("answers what it would read, whatever is read and changed in whatever order", () => {
  const look = fc.record({
    from: bound,
    to: fc.option(bound, { nil: undefined }),
    limit: fc.constantFrom(1, 12, 9999),
  });
  const change = fc.array(bound, { minLength: 1, maxLength: 80 });
  fc.assert(
    fc.property(fc.array(fc.oneof({ weight: 4, arbitrary: look }, change), { maxLength: 40 }), (script) => {
      const items = new Map(Array.from({ length: 600 }, (_, n) => [idOf(n), Buffer.alloc(32, n)]));
      const read = ({ from, to }: IdInterval, limit: number): RangeEntry[] =>
        [...items]
          .filter(([id]) => compareIds(id, from) >= 0 && (to === undefined || compareIds(id, to) < 0))
          .sort(([a], [b]) => compareIds(a, b))
          .slice(0, limit)
          .map(([id, fingerprint]) => ({ id, fingerprint }));
      const windows = createEntryWindows((interval, limit) => toEntryBlock(read(interval, limit)));
      for (const step of script) {
        if (Array.isArray(step)) {
          for (const n of step) if (!items.delete(idOf(n))) items.set(idOf(n), Buffer.alloc(32, 255));
          windows.changed(step.map((n) => ({ id: idOf(n) })));
          continue;
        }
        const interval = { from: idOf(step.from), to: step.to === undefined ? undefined : idOf(step.to) };
        expect(windows.entries(interval, step.limit)).toEqual(read(interval, step.limit));
        const { ids, prints } = toEntryBlock(read(interval, 9999));
        const block = windows.block(interval);
        expect([block.ids, Buffer.from(block.prints)]).toEqual([ids, prints]);
        const [sum, own] = [createRangeSum(), createRangeSum()];
        windows.addTo(sum, interval);
        for (const { fingerprint } of read(interval, 9999)) own.add(fingerprint);
        expect([sum.count, sum.bytes()]).toEqual([own.count, own.bytes()]);
      }
    }),
  );
});

it("does not keep ever more places where there is nothing", () => {
  let begun = 0;
  const windows = createEntryWindows(({ to }) => {
    // Up to the next that is kept, if any is.
    if (to === undefined) begun += 1;
    return toEntryBlock([]);
  });
  for (let n = 20_000; n > 10_000; n--) windows.entries({ from: `id ${n}`, to: `id ${n}x` }, 1);
  expect(begun).toBe(2);
});
