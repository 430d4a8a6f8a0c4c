import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, it } from "vitest";
import type { Action } from "../../client/replica/action.js";
import { createMemoryReplica } from "../../client/replica/memory.js";
import { columnsOf } from "../../client/replica/outgoing-columns.js";
import { createSqliteReplica, openSqliteReplica } from "../../client/replica/sqlite.js";
import type { ReplicaStore } from "../../client/replica/store.js";
import type { Content } from "../../core/content.js";
import { ErrorReason } from "../../gen/tercet/v1/error.js";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import { runs } from "../runs.js";
import { SCRATCH } from "../scratch.js";
import { del, put } from "./drive.js";
import { bytesAsHex, plain } from "./plain.js";

const OPTIONS = { collection: "c", replicaId: Buffer.alloc(16, 1), wholeBytes: 300 };
/** More rows than go into one statement, and more than are looked at together. */
const MOST = 1500;
const IDS = Array.from({ length: MOST }, (_, n) => `i${n}`);
const REJECTED = ErrorReason.ERROR_REASON_INVALID_FIELD;

/** Which items, and what becomes of them: nothing twice, and much of everything. */
const many = fc.record({
  from: fc.nat(MOST - 1),
  count: fc.oneof(fc.nat(5), fc.nat(MOST)),
  salt: fc.nat(1000),
});
type Many = typeof many extends fc.Arbitrary<infer T> ? T : never;

const script = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant("write" as const), of: many, group: fc.nat(3) }) },
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant("push" as const),
        most: fc.integer({ min: 1, max: MOST }),
        eager: fc.boolean(),
        edited: fc.nat(MOST),
        salt: fc.nat(1000),
      }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("pull" as const), of: many }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("reopen" as const) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("recovered" as const), fork: fc.nat(MOST) }) },
  ),
  { minLength: 4, maxLength: 14 },
);

function chosen({ from, count }: Many): string[] {
  return Array.from({ length: count }, (_, n) => IDS[(from + n) % MOST] as string);
}

/** Deletion, text, bytes, or a large content of an item. */
function contentOf(id: string, salt: number): Content | undefined {
  const kind = (Number(id.slice(1)) * 7 + salt * 13) % 11;
  if (kind === 0) return undefined;
  if (kind < 3) return Buffer.from([kind, salt % 256]);
  return kind < 5 ? "L".repeat(301 + kind) : `${kind} ${salt % 3}`;
}

function writeOf(id: string, salt: number) {
  const content = contentOf(id, salt);
  return content === undefined ? del(id) : put(id, content);
}

function answers(replica: ReplicaStore): unknown {
  const all = { from: "", to: undefined };
  const everything = [
    replica.state(),
    replica.list({ prefix: "", after: "", limit: MOST }),
    replica.listPending(0, MOST),
    replica.lookup(IDS),
    IDS.slice(0, 40).map((id) => replica.getBaseContent(id)),
    replica.listBases(all, MOST),
    replica.sumRanges([all, { from: "i2", to: "i7" }]),
    replica.audit(),
    replica.listUnsettledCreations(0, MOST),
    replica.listHeld("", MOST),
  ];
  return plain(everything);
}

/** What an exchange decides of changes that were sent: most are made, some rejected, some are left without a verdict. */
function verdictsOn(
  changes: readonly { id: string; sequence: number; resent: boolean; upsert?: unknown }[],
  salt: number,
) {
  return changes.flatMap((change, at): Action[] => {
    const { id, sequence, resent } = change;
    const { fingerprint } = (change.upsert ?? {}) as { fingerprint?: Uint8Array };
    if ((at + salt) % 9 === 0) return [];
    if ((at + salt) % 9 === 1) return [{ kind: "reject", id, sequence, reason: REJECTED, message: "no", resent }];
    return [{ kind: "settle", id, sequence, fingerprint, revision: salt + at + 1 }];
  });
}

/** What a pull decides: items are taken, and some that are pending are held. */
function pullOf(of: Many, replica: ReplicaStore, revision: number): Action[] {
  return replica.lookup(chosen(of)).map(({ id, sequence, pending }, at): Action => {
    const content = contentOf(id, of.salt + 1);
    const upsert = content === undefined ? undefined : put(id, content).upsert;
    if (pending !== undefined && upsert !== undefined && at % 4 === 0) {
      const base = { fingerprint: upsert.fingerprint, revision: revision + at, modifyTimeUs: 3 };
      return { kind: "rebase", id, sequence, base, content, overrides: undefined, held: true };
    }
    const conflict = sequence > 0 ? ChangeStandard.CHANGE_STANDARD_SERVER : undefined;
    return { kind: "take", id, sequence, upsert, revision: revision + at, modifyTimeUs: 5, conflict };
  });
}

it("does with many at once in SQLite what it does one by one in memory", () => {
  const directory = mkdtempSync(join(SCRATCH, "tercet-replica-"));
  let files = 0;
  const property = fc.property(script, (steps) => {
    const path = join(directory, `${++files}.db`);
    const memory = createMemoryReplica(OPTIONS);
    let sqlite = createSqliteReplica(path, OPTIONS);
    let revision = 1;
    /** Does it in both, and expects the same of it. */
    function both<T>(work: (replica: ReplicaStore) => T): T {
      const [one, other] = [memory, sqlite].map((replica) => {
        try {
          return { done: work(replica) };
        } catch (error) {
          return { threw: (error as Error).message };
        }
      });
      expect(JSON.stringify(other, bytesAsHex)).toBe(JSON.stringify(one, bytesAsHex));
      return one?.done as T;
    }
    function apply(actions: readonly Action[]): void {
      both((replica) => {
        const { stale, ...rest } = replica.apply({ actions, nowUs: 9 });
        return { ...rest, stale: [...stale].sort() };
      });
      revision += MOST;
    }
    steps.forEach((step, at) => {
      if (step.kind === "write") {
        const changes = chosen(step.of).map((id) => writeOf(id, step.of.salt));
        const group = [undefined, undefined, { items: 2 * MOST, bytes: 1e7 }, { items: 40, bytes: 1e7 }][step.group];
        both((replica) => replica.write(changes, at, group));
      } else if (step.kind === "push") {
        const select = { after: 0, through: 1e9 };
        const query = { select, maxBytes: 1e7, maxChanges: step.most, eager: step.eager };
        // How a large content is uploaded is its replica's own.
        const [batch, columns] = [memory, sqlite]
          .map((replica) => replica.takeOutgoing(query))
          .map((each, which) => {
            return which === 1 ? columnsOf(each) : each;
          }) as [ReturnType<ReplicaStore["takeOutgoing"]>, ReturnType<typeof columnsOf>];
        const id = IDS[step.edited % MOST] as string;
        both((replica) => replica.write([writeOf(id, step.salt)], at));
        if (columns === undefined) apply(verdictsOn(batch.changes, revision + step.salt));
        else {
          const settled = [{ columns, from: 0, to: 1 + (step.salt % columns.count), revision }];
          both((replica) => ({ ...replica.apply({ actions: [], settled, nowUs: 9 }), stale: 0 }));
          revision += MOST;
        }
      } else if (step.kind === "pull") apply(pullOf(step.of, memory, revision));
      else if (step.kind === "recovered") {
        const recovered = { token: Buffer.of(9), revision, fork: step.fork, lineage: [] };
        both((replica) => replica.apply({ actions: [], recovered, nowUs: 9 }));
      } else {
        sqlite.close();
        sqlite = openSqliteReplica(path, OPTIONS);
      }
    });
    try {
      expect(answers(sqlite)).toEqual(answers(memory));
    } finally {
      sqlite.close();
    }
  });
  fc.assert(property, { numRuns: runs(12) });
  rmSync(directory, { recursive: true });
});
