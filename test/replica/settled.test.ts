import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { expect, it } from "vitest";
import { createMemoryReplica } from "../../client/replica/memory.js";
import { oneByOne } from "../../client/replica/one-by-one.js";
import { columnsOf, type SettledRun } from "../../client/replica/outgoing-columns.js";
import { createSqliteReplica } from "../../client/replica/sqlite.js";
import type { ReplicaStore } from "../../client/replica/store.js";
import { fingerprintOf } from "../../core/fingerprint.js";

const SCRATCH = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
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

function answers(replica: ReplicaStore): unknown {
  const ids = Array.from({ length: MOST + 1 }, (_, n) => id(n));
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
  return JSON.parse(
    JSON.stringify(all, (_key, value: unknown) => {
      if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
      const { type, data } = (value ?? {}) as { type?: unknown; data?: number[] };
      return type === "Buffer" ? Buffer.from(data ?? []).toString("hex") : value;
    }),
  );
}

it("settles creations in a row as it settles them one by one, whatever the application has done meanwhile", () => {
  const directory = mkdtempSync(join(SCRATCH, "tercet-replica-"));
  let files = 0;
  fc.assert(
    fc.property(script, ({ items, edits, taken, cut, revision }) => {
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
        const [first, ...others] = replicas.map(answers);
        for (const other of others) expect(other).toEqual(first);
      } finally {
        for (const replica of replicas) replica.close();
      }
    }),
    { numRuns: 150 },
  );
  rmSync(directory, { recursive: true });
});
