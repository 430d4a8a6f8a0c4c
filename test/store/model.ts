import type { Content } from "../../core/content.js";
import type { RecordedConflict } from "../../core/recorded-conflict.js";
import type { StoredChange } from "../../server/store/item-reads.js";
import type { Write, WriteBatch, WriteOutcome } from "../../server/store/write-batch.js";

/** What a collection must be, kept the slow and obvious way: nothing of the product's write path is used. */
export interface ModelCollection {
  revision: number;
  readonly entries: Map<string, StoredChange>;
  readonly conflicts: RecordedConflict[];
}

export function createModel(): ModelCollection {
  return { revision: 0, entries: new Map(), conflicts: [] };
}

export function byteOrder(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function key(bytes: Uint8Array | undefined): string {
  return bytes === undefined ? "none" : Buffer.from(bytes).toString("hex");
}

type Decision = "write" | "same" | "refuse";

/** Rule R2, spelled out case by case. */
function decide(entry: StoredChange | undefined, write: Write): Decision {
  const wanted = key(write.upsert?.fingerprint);
  const there = key(entry?.fingerprint);
  if (wanted === there && !write.fence) return "same";
  if (wanted === there) return "write";
  if (write.expected === "any") return "write";
  if (key(write.expected) !== there) return "refuse";
  const changedSince = entry !== undefined && write.seen !== undefined && entry.revision > write.seen;
  return changedSince ? "refuse" : "write";
}

/** Runs a batch over the model and answers the outcomes that a store must give. */
export function modelWrite(model: ModelCollection, batch: WriteBatch): WriteOutcome[] {
  return units(batch.writes).flatMap((unit) => {
    const decisions = unit.map((write) => decide(model.entries.get(write.id), write));
    const refused = decisions.includes("refuse");
    const commits = !refused && decisions.includes("write");
    if (commits) model.revision += 1;
    return unit.map((write, index): WriteOutcome => {
      const entry = model.entries.get(write.id);
      if (decisions[index] === "refuse") return { kind: "conflict", current: currentOf(model, entry, write.id) };
      if (refused) return { kind: "group-conflict" };
      if (decisions[index] === "same") return { kind: "already", revision: entry?.revision ?? 0 };
      const group = write.group === 0 ? 0 : model.revision;
      store(model, write, group, batch.nowUs);
      return { kind: "applied", revision: model.revision, group };
    });
  });
}

/** Groups together, all others by themselves. */
function units(writes: readonly Write[]): Write[][] {
  const result: Write[][] = [];
  for (const write of writes) {
    const last = result.at(-1);
    if (last !== undefined && write.group !== 0 && last[0]?.group === write.group) last.push(write);
    else result.push([write]);
  }
  return result;
}

function currentOf(model: ModelCollection, entry: StoredChange | undefined, id: string): StoredChange {
  if (entry !== undefined) return { ...entry, content: undefined };
  const { revision } = model;
  return { id, revision, fingerprint: undefined, size: 0, modifyTimeUs: 0, group: 0, content: undefined };
}

function store(model: ModelCollection, write: Write, group: number, nowUs: number): void {
  const old = model.entries.get(write.id);
  const differs = key(old?.fingerprint) !== key(write.upsert?.fingerprint);
  if (write.overrides !== undefined && old !== undefined && differs) {
    model.conflicts.push({
      number: model.conflicts.length + 1,
      id: write.id,
      fingerprint: old.fingerprint,
      prevailed: write.upsert?.fingerprint,
      standard: write.overrides,
      recordTimeUs: nowUs,
      modifyTimeUs: old.modifyTimeUs,
      size: old.size,
      content: old.content,
    });
  }
  model.entries.set(write.id, {
    id: write.id,
    revision: model.revision,
    fingerprint: write.upsert?.fingerprint,
    size: write.upsert?.size ?? 0,
    modifyTimeUs: write.modifyTimeUs,
    group,
    content: write.upsert?.content,
  });
}

/** The change feed: every id's latest change. */
export function modelFeed(model: ModelCollection, after = 0, tombstonesAfter = 0): StoredChange[] {
  return [...model.entries.values()]
    .filter((entry) => entry.revision > after)
    .filter((entry) => entry.fingerprint !== undefined || entry.revision > tombstonesAfter)
    .sort((a, b) => a.revision - b.revision || byteOrder(a.id, b.id));
}

/** Items in the order of their ids. */
export function modelItems(model: ModelCollection, prefix = "", after = ""): StoredChange[] {
  return [...model.entries.values()]
    .filter((entry) => entry.fingerprint !== undefined && entry.id.startsWith(prefix) && byteOrder(entry.id, after) > 0)
    .sort((a, b) => byteOrder(a.id, b.id));
}

/** Count and sum, added up from nothing with big integers. */
export function modelTotal(model: ModelCollection): { count: number; sum: string } {
  let sum = 0n;
  let count = 0;
  for (const entry of model.entries.values()) {
    if (entry.fingerprint === undefined) continue;
    count += 1;
    sum += BigInt(`0x${Buffer.from(entry.fingerprint).reverse().toString("hex")}`);
  }
  return { count, sum: (sum % 2n ** 256n).toString(16) };
}

/** A change in a form that compares by value, whatever kind of byte array a store gives. */
export function plain(change: StoredChange | undefined): unknown {
  if (change === undefined) return undefined;
  return { ...change, fingerprint: key(change.fingerprint), content: plainContent(change.content) };
}

/** A content likewise: text and bytes stay apart. */
export function plainContent(content: Content | undefined): unknown {
  return content === undefined || typeof content === "string" ? content : { bytes: key(content) };
}

export function plainOutcome(outcome: WriteOutcome): unknown {
  return outcome.kind === "conflict" ? { kind: outcome.kind, current: plain(outcome.current) } : outcome;
}

export function plainConflict(conflict: RecordedConflict): unknown {
  const { fingerprint, prevailed, content } = conflict;
  return { ...conflict, fingerprint: key(fingerprint), prevailed: key(prevailed), content: plainContent(content) };
}
