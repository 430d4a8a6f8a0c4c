import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { expect, it } from "vitest";
import type { ApplyBatch } from "../../client/replica/apply-batch.js";
import { createMemoryReplica } from "../../client/replica/memory.js";
import { columnsOf } from "../../client/replica/outgoing-columns.js";
import { createSqliteReplica } from "../../client/replica/sqlite.js";
import type { ReplicaStore } from "../../client/replica/store.js";
import { createVerdicts, type Verdicts } from "../../client/verdicts.js";
import { fingerprintOf } from "../../core/fingerprint.js";
import { toColumns } from "../columns.js";
import { runs } from "../runs.js";
import { SCRATCH } from "../scratch.js";

const OPTIONS = { collection: "c", replicaId: Buffer.alloc(16, 1) };
const MOST = 8;
const idOf = (n: number): string => `item-${n}`;

function write(item: number, content: string | undefined) {
  const id = idOf(item);
  return { id, upsert: content === undefined ? undefined : { content, fingerprint: fingerprintOf(id, content) } };
}

const script = fc.record({
  count: fc.integer({ min: 1, max: MOST }),
  edits: fc.array(fc.record({ item: fc.nat(MOST), content: fc.constantFrom("1", "2", undefined) }), { maxLength: 3 }),
  cut: fc.nat(MOST),
  asked: fc.nat(MOST),
});

it("tells the same verdicts on creations that are settled in rows as on those that are settled one by one", async () => {
  const directory = mkdtempSync(join(SCRATCH, "tercet-verdicts-"));
  let files = 0;
  const property = fc.asyncProperty(script, async ({ count, edits, cut, asked }) => {
    const sqlite = createSqliteReplica(join(directory, `${++files}.db`), OPTIONS);
    const stores: readonly ReplicaStore[] = [sqlite, createMemoryReplica(OPTIONS)];
    const sent = stores.map((store) => {
      const verdicts = createVerdicts(store);
      const writes = [
        verdicts.write(
          Array.from({ length: count }, (_, n) => write(n, "1")),
          1,
        ),
      ];
      const query = { select: { after: 0, through: 1000 }, maxBytes: 1e6, maxChanges: MOST, eager: false };
      const batch = verdicts.store.takeOutgoing(query);
      const first = writes[0]?.verdict(idOf(Math.min(asked, count - 1)));
      for (const { item, content } of edits) writes.push(verdicts.write([write(item, content)], 2));
      return { verdicts, batch, writes, first };
    });
    const columns = sent[0]?.batch === undefined ? undefined : columnsOf(sent[0].batch);
    if (columns === undefined) throw new Error("they were not read as columns");
    const at = Math.min(cut, count);
    const settled = [
      { columns, from: 0, to: at, revision: 20 },
      { columns, from: at, to: count, revision: 20 + at },
    ].filter(({ from, to }) => to > from);
    for (const { verdicts } of sent) verdicts.store.apply({ actions: [], settled, nowUs: 5 });
    const told = await Promise.all(
      sent.map(async ({ writes, first }) => {
        const known = { signal: AbortSignal.abort() };
        const ids = Array.from({ length: MOST + 1 }, (_, n) => idOf(n));
        const all = [writes[0], ...writes.slice(1)].flatMap((each, index) => {
          const [edit] = index === 0 ? [] : [edits[index - 1]];
          const own = edit === undefined ? ids.slice(0, count) : [idOf(edit.item)];
          return own.map((id) => each?.verdict(id, known).catch(() => "none yet"));
        });
        let waited: unknown = "none yet";
        void first?.then((verdict) => {
          waited = verdict;
        });
        await new Promise(setImmediate);
        return { all: await Promise.all(all), waited };
      }),
    );
    expect(told[0]).toEqual(told[1]);
    if (edits.length === 0) {
      expect(told[0]?.waited).toMatchObject({ outcome: "applied" });
      expect(told[0]?.all).toEqual(Array.from({ length: count }, (_, n) => ({ outcome: "applied", revision: 20 + n })));
    }
    sqlite.close();
  });
  await fc.assert(property, { numRuns: runs(100) });
  rmSync(directory, { recursive: true });
});

/** A file that is watched, and what it is given to apply. */
function watchedFile(path: string) {
  const given: ApplyBatch[] = [];
  const file = createSqliteReplica(path, OPTIONS);
  const apply = (batch: ApplyBatch) => {
    given.push(batch);
    return file.apply(batch);
  };
  return { given, file, verdicts: createVerdicts({ ...file, apply }) };
}

it("settles in rows what the same program has written", () => {
  const directory = mkdtempSync(join(SCRATCH, "tercet-verdicts-"));
  const { given, file, verdicts } = watchedFile(join(directory, "file"));
  verdicts.write([write(1, "1"), write(2, "1")], 1);
  const query = { select: { after: 0, through: 1000 }, maxBytes: 1e6, maxChanges: MOST, eager: false };
  const columns = columnsOf(verdicts.store.takeOutgoing(query));
  if (columns === undefined) throw new Error("they were not read as columns");
  verdicts.store.apply({ actions: [], settled: [{ columns, from: 0, to: 2, revision: 5 }], nowUs: 5 });
  expect(given).toMatchObject([{ actions: [], settled: [{ revision: 5 }] }]);
  file.close();
  rmSync(directory, { recursive: true });
});

it("takes in columns what is pulled after a change that nobody asks about any more", async () => {
  const directory = mkdtempSync(join(SCRATCH, "tercet-verdicts-"));
  const { given, file, verdicts } = watchedFile(join(directory, "file"));
  verdicts.write([write(1, "1")], 1);
  await collectGarbage();
  const { id, upsert } = write(1, "1");
  const sent = { id, sequence: 1, fingerprint: upsert?.fingerprint, revision: 5 };
  verdicts.store.apply({ actions: [{ kind: "settle", ...sent }], nowUs: 5 });
  const items = toColumns([{ id: idOf(2), content: "2", revision: 6, modifyTimeUs: 3 }]);
  if (items === undefined) throw new Error("no columns");
  verdicts.store.apply({ actions: [], items, nowUs: 5 });
  expect(given.at(-1)).toEqual({ actions: [], items, nowUs: 5 });
  expect(file.get(idOf(2))).toMatchObject({ content: "2" });
  file.close();
  rmSync(directory, { recursive: true });
});

it.each([
  ["put the same again", (verdicts: Verdicts) => void verdicts.write([write(1, "1")], 2)],
  ["asked for it by the id", (verdicts: Verdicts) => void verdicts.follow(idOf(1))],
])("is told to who has made a change, also where somebody else has %s and forgotten it", async (_, other) => {
  const verdicts = createVerdicts(createMemoryReplica(OPTIONS));
  const change = verdicts.write([write(1, "1")], 1);
  await new Promise(setImmediate);
  other(verdicts);
  await collectGarbage();
  const { id, upsert } = write(1, "1");
  const sent = { id, sequence: 1, fingerprint: upsert?.fingerprint, revision: 5 };
  verdicts.store.apply({ actions: [{ kind: "settle", ...sent }], nowUs: 5 });
  const known = { signal: AbortSignal.abort() };
  expect(await change.verdict(id, known)).toEqual({ outcome: "applied", revision: 5 });
});

/** What this turn of the event loop has looked at by weak references is garbage after it. */
async function collectGarbage(): Promise<void> {
  await new Promise(setImmediate);
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
}
