import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { createMemoryReplica } from "../../client/replica/memory.js";
import { toActions } from "../../client/replica/one-by-one.js";
import { createSqliteReplica } from "../../client/replica/sqlite.js";
import type { ReplicaStore } from "../../client/replica/store.js";
import { fingerprintOf } from "../../core/fingerprint.js";
import { toColumns } from "../columns.js";
import { runs } from "../runs.js";
import { SCRATCH } from "../scratch.js";

const WHOLE_BYTES = 40;
const OPTIONS = { collection: "c", replicaId: Buffer.alloc(16, 1), wholeBytes: WHOLE_BYTES };
const WHOLE = { from: "", to: undefined };

/** Some ids in order, or any; some contents over what is kept whole. */
const content = fc.oneof(
  { weight: 20, arbitrary: fc.string({ maxLength: 5 }) },
  { weight: 1, arbitrary: fc.constant("é".repeat(WHOLE_BYTES)) },
);
const batch = fc.record({
  ascends: fc.boolean(),
  prefix: fc.constantFrom("a", "é"),
  inRun: fc.boolean(),
  from: fc.nat(400),
  contents: fc.array(content, { minLength: 1, maxLength: 600, size: "max" }),
  isText: fc.boolean(),
  more: fc.boolean(),
  twice: fc.boolean(),
});
const write = fc.record({ write: fc.nat(900) });
const script = fc.array(fc.oneof({ weight: 6, arbitrary: batch }, { weight: 1, arbitrary: write }), { maxLength: 5 });

function itemsOf({
  ascends,
  prefix,
  inRun,
  from,
  contents,
  isText,
  twice,
}: typeof batch extends fc.Arbitrary<infer T> ? T : never) {
  const changes = contents.map((each, at) => {
    const number = ascends ? from + at : (from + at * 7919) % 1000;
    return {
      id: `${prefix}${String(number).padStart(6, "0")}`,
      content: isText ? each : Buffer.from(each),
      revision: inRun ? at + 1 : 2 * at + 1,
      modifyTimeUs: inRun ? 5 : 5 + (at % 3),
    };
  });
  return toColumns(twice ? [...changes, ...changes.slice(0, 3)] : changes);
}

/** What a replica answers, bytes as hex. */
function answers(replica: ReplicaStore): unknown {
  const all = [
    replica.state(),
    replica.list({ prefix: "", after: "", limit: 5000 }),
    replica.listPending(0, 100),
    replica.listBases(WHOLE, 5000),
    replica.sumRanges([WHOLE, { from: "é0001", to: "é0003" }]),
  ];
  return JSON.parse(JSON.stringify(all, (_key, value: unknown) => inHex(value)));
}

function inHex(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  const { type, data } = (value ?? {}) as { type?: unknown; data?: number[] };
  return type === "Buffer" && data !== undefined ? Buffer.from(data).toString("hex") : value;
}

test("items in columns come to the same in memory and in SQLite, and item by item", () => {
  const directory = mkdtempSync(join(SCRATCH, "tercet-items-"));
  let files = 0;
  fc.assert(
    fc.property(script, (steps) => {
      files += 1;
      const memory = createMemoryReplica(OPTIONS);
      const columns = createSqliteReplica(join(directory, `${files}-columns`), OPTIONS);
      const single = createSqliteReplica(join(directory, `${files}-single`), OPTIONS);
      try {
        for (const [at, step] of steps.entries()) {
          if ("write" in step) {
            const id = `é${String(step.write).padStart(6, "0")}`;
            const upsert = { content: "mine", fingerprint: fingerprintOf(id, "mine") };
            for (const each of [memory, columns, single]) each.write([{ id, upsert }], 10 + at);
            continue;
          }
          const items = itemsOf(step);
          if (items === undefined) throw new Error("no columns");
          const checkpoint = { token: Buffer.from([at]), revision: at + 1 };
          const common = { nowUs: 10 + at, more: step.more, checkpoint };
          const result = memory.apply({ ...common, actions: [], items });
          // Which of them are stale, in whatever order they are told.
          const told = ({ stale, conflicts, total }: typeof result) => {
            return { conflicts, count: total.count, sum: inHex(total.sum), stale: [...stale].sort() };
          };
          expect(told(columns.apply({ ...common, actions: [], items }))).toEqual(told(result));
          expect(told(single.apply({ ...common, actions: toActions(items) }))).toEqual(told(result));
        }
        expect(answers(columns)).toEqual(answers(memory));
        expect(answers(single)).toEqual(answers(memory));
        expect(columns.audit()).toBeUndefined();
      } finally {
        columns.close();
        single.close();
      }
    }),
    { numRuns: runs(25) },
  );
  rmSync(directory, { recursive: true, force: true });
});
