import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, it } from "vitest";
import type { ApplyBatch } from "../../client/replica/apply-batch.js";
import { createMemoryReplica } from "../../client/replica/memory.js";
import { oneByOne } from "../../client/replica/one-by-one.js";
import { columnsOf, type SettledRun } from "../../client/replica/outgoing-columns.js";
import { createSqliteReplica } from "../../client/replica/sqlite.js";
import type { ReplicaStore } from "../../client/replica/store.js";
import { fingerprintOf } from "../../core/fingerprint.js";
import { runs } from "../runs.js";
import { SCRATCH } from "../scratch.js";
import { plain } from "./plain.js";

const OPTIONS = { collection: "c", replicaId: Buffer.alloc(16, 1) };
const MOST = 12;
const id = (n: number): string => `item-${String(n).padStart(2, "0")}`;
const put = (n: number, content: string) => ({
  id: id(n),
  upsert: { content, fingerprint: fingerprintOf(id(n), content) },
});

const script = fc.record({
  items: fc.integer({ min: 1, max: MOST }),
  /** What the application does between the sending and the verdicts. */
  edits: fc.array(
    fc.record({ item: fc.nat(MOST), content: fc.constantFrom("1", "2", undefined), group: fc.boolean() }),
    { maxLength: 4 },
  ),
  taken: fc.integer({ min: 1, max: MOST }),
  /** Where the verdicts are cut into runs. */
  cut: fc.nat(MOST),
  revision: fc.integer({ min: 1, max: 3 }),
});

/** What happens to items that were made. */
const later = fc.array(
  fc.oneof(
    fc.record({
      kind: fc.constant("write" as const),
      changes: fc.uniqueArray(
        fc.record({ item: fc.nat(2 * MOST), content: fc.constantFrom("1", "2", "4", undefined) }),
        { minLength: 1, maxLength: 3, selector: ({ item }) => item },
      ),
      group: fc.boolean(),
    }),
    fc.record({
      kind: fc.constant("take" as const),
      items: fc.uniqueArray(fc.nat(2 * MOST), { minLength: 1, maxLength: 4 }),
      content: fc.constantFrom("1", "5", undefined),
      onlyNew: fc.boolean(),
    }),
    fc.record({ kind: fc.constant("rebase" as const), item: fc.nat(MOST) }),
    fc.record({ kind: fc.constant("push" as const), most: fc.integer({ min: 1, max: MOST }), skips: fc.boolean() }),
    fc.record({ kind: fc.constant("recovered" as const), fork: fc.integer({ min: 1, max: 60 }) }),
  ),
  { maxLength: 6 },
);
type Later = typeof later extends fc.Arbitrary<readonly (infer T)[]> ? T : never;

type Result = ReturnType<ReplicaStore["apply"]>;

/** The step as a batch that is applied; `revision` is one that the server has not given yet. */
function batchOf(step: Later, revision: number, replica: ReplicaStore): Omit<ApplyBatch, "nowUs"> {
  if (step.kind === "take") {
    const upsert = (item: number) => (step.content === undefined ? undefined : put(item, step.content).upsert);
    const rest = { kind: "take", sequence: 0, modifyTimeUs: 7, conflict: undefined } as const;
    const onlyNew = step.onlyNew && step.content !== undefined ? { onlyNew: true } : {};
    return {
      actions: step.items.map((item) => ({ ...rest, ...onlyNew, id: id(item), revision, upsert: upsert(item) })),
    };
  }
  if (step.kind === "rebase") {
    const [state] = replica.lookup([id(step.item)]);
    if (state?.base?.fingerprint === undefined || state.pending !== undefined) return { actions: [] };
    const moved = { base: { ...state.base, revision }, content: undefined, overrides: undefined };
    return { actions: [{ kind: "rebase", id: id(step.item), sequence: 0, ...moved }] };
  }
  const fork = step.kind === "recovered" ? step.fork : 1;
  return { actions: [], recovered: { token: Buffer.of(9), revision: 60, fork, lineage: [] } };
}

/** Does the step at each replica, the second one by one, and expects the same to come of it. */
function go(replicas: readonly ReplicaStore[], step: Later, revision: number): void {
  const apply = (batch: Omit<ApplyBatch, "nowUs">): void => {
    const results = replicas.map((replica, at): Result => {
      const whole = { ...batch, nowUs: 9 };
      return replica.apply(at === 1 ? oneByOne(whole) : whole);
    });
    const told = results.map((result) => ({ ...result, stale: [...result.stale].sort() }));
    for (const other of told) expect(other).toEqual(told[0]);
  };
  if (step.kind === "write") {
    const changes = step.changes.map(({ item, content }) =>
      content === undefined ? { id: id(item), upsert: undefined } : put(item, content),
    );
    for (const replica of replicas) replica.write(changes, 8, step.group ? { items: 100, bytes: 1e6 } : undefined);
    return;
  }
  if (step.kind !== "push") return apply(batchOf(step, revision, replicas[0] as ReplicaStore));
  const query = { select: { after: 0, through: 1000 }, maxBytes: 1e6, maxChanges: step.most, eager: false };
  const batches = replicas.map((replica) => replica.takeOutgoing(query));
  for (const batch of batches) expect({ ...batch }).toEqual({ ...batches[0] });
  const columns = batches[0] === undefined ? undefined : columnsOf(batches[0]);
  if (columns === undefined) return;
  // One that is left out goes on waiting for its verdict.
  const from = step.skips && columns.count > 1 ? 1 : 0;
  apply({ actions: [], settled: [{ columns, from, to: columns.count, revision }] });
}

function answers(replica: ReplicaStore): unknown {
  const ids = Array.from({ length: 2 * MOST + 1 }, (_, n) => id(n));
  const interval = { from: "", to: undefined };
  const items = replica.list({ prefix: "", after: "", limit: 100 });
  const all = [
    replica.state(),
    items,
    replica.listPending(0, 100),
    replica.listUnsettledCreations(0, 100),
    replica.lookup(ids),
    replica.listBases(interval, 100),
    replica.sumRanges([interval]),
    replica.audit(),
  ];
  return plain(all);
}

it("settles creations in a row as it settles them one by one, whatever is done meanwhile and later", () => {
  const directory = mkdtempSync(join(SCRATCH, "tercet-replica-"));
  let files = 0;
  fc.assert(
    fc.property(script, later, ({ items, edits, taken, cut, revision }, steps) => {
      const open = () => createSqliteReplica(join(directory, `${++files}.db`), OPTIONS);
      const inRow = open();
      const single = open();
      const replicas = [inRow, single, createMemoryReplica(OPTIONS)];
      try {
        const query = { select: { after: 0, through: 1000 }, maxBytes: 1e6, maxChanges: taken, eager: false };
        const batches = replicas.map((replica) => {
          replica.write(
            Array.from({ length: items }, (_, n) => put(n, "1")),
            1,
          );
          const batch = replica.takeOutgoing(query);
          for (const { item, content, group } of edits) {
            const limits = group ? { items: 100, bytes: 1e6 } : undefined;
            const other = put((item + 1) % (MOST + 1), "3");
            const change = content === undefined ? { id: id(item), upsert: undefined } : put(item, content);
            replica.write(group ? [change, other] : [change], 2, limits);
          }
          return batch;
        });
        for (const batch of batches) expect({ ...batch }).toEqual({ ...batches[0] });
        const columns = batches[0] === undefined ? undefined : columnsOf(batches[0]);
        if (columns === undefined) throw new Error("they were not read as columns");
        const at = Math.min(cut, columns.count);
        const runs: SettledRun[] = [
          { columns, from: 0, to: at, revision },
          { columns, from: at, to: columns.count, revision: revision + at },
        ];
        const batch = { actions: [], settled: runs.filter(({ from, to }) => to > from), nowUs: 5 };
        const results = replicas.map((replica) => replica.apply(replica === single ? oneByOne(batch) : batch));
        for (const result of results) expect(result).toEqual(results[0]);
        const same = (): void => {
          const [first, ...others] = replicas.map(answers);
          for (const other of others) expect(other).toEqual(first);
        };
        same();
        for (const [at, step] of steps.entries()) {
          go(replicas, step, 20 + 3 * at);
          same();
        }
      } finally {
        for (const replica of replicas) replica.close();
      }
    }),
    { numRuns: runs(150) },
  );
  rmSync(directory, { recursive: true });
});
