import type { Action, ApplyBatch, LocalWrite, OutgoingQuery } from "../../client/replica/store.js";
import type { Content } from "../../core/content.js";
import { ErrorReason } from "../../core/fault.js";
import { fingerprintOf } from "../../core/fingerprint.js";

/*
 * What a replica must do, once more and independently: plain maps, everything recomputed by brute force, fingerprints as
 * hex. Nothing of client/replica is used here but its types.
 */

/** Hex of a fingerprint; undefined stays undefined. */
export function hex(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : Buffer.from(bytes).toString("hex");
}

/** A content with its kind, comparable. */
export function shown(content: Content | undefined): string | undefined {
  if (content === undefined) return undefined;
  return typeof content === "string" ? `text:${content}` : `data:${hex(content)}`;
}

interface Version {
  content: Content;
  print: string;
  time: number;
}

interface Pending {
  sequence: number;
  print: string | undefined;
  time: number;
  overrides: number | undefined;
  rejected: { reason: number; message: string } | undefined;
  base: { print: string | undefined; revision: number } | undefined;
  baseContent: Content | undefined;
  /** What was sent and has no verdict: fingerprint, or "" for a deletion, by its sequence number. */
  sendings: Map<number, string>;
}

interface Conflict {
  number: number;
  id: string;
  print: string | undefined;
  prevailed: string | undefined;
  standard: number;
  recordTime: number;
  time: number;
  content: Content | undefined;
}

function bytesOf(content: Content): number {
  return Buffer.from(content as string).length;
}

/** The model of one replica. */
export function createModel() {
  const mine = new Map<string, Version & { revision: number }>();
  const pending = new Map<string, Pending>();
  const conflicts = new Map<number, Conflict>();
  let lastSequence = 0;
  let lastConflict = 0;
  let lastTime = 0;
  let token = "";
  let revision = 0;
  /** Every revision that was heard of, with its token. */
  const heard = new Map<number, string>();
  let uid = "";

  function versionOf(upsert: NonNullable<LocalWrite["upsert"]>, time: number): Version {
    return { content: upsert.content, print: hex(upsert.fingerprint) as string, time };
  }

  function setMine(id: string, version: Version | undefined, itemRevision: number): void {
    if (version === undefined) mine.delete(id);
    else mine.set(id, { ...version, revision: itemRevision });
  }

  function write(changes: readonly LocalWrite[], now: number): void {
    const time = now > lastTime ? now : lastTime + 1;
    for (const { id, upsert } of changes) {
      const before = mine.get(id);
      const after = upsert && versionOf(upsert, time);
      if (before?.print === after?.print) continue;
      lastTime = time;
      const old = pending.get(id);
      const base = old ? old.base : before && { print: before.print, revision: before.revision };
      const quiet = old !== undefined && old.sendings.size === 0 && old.overrides === undefined;
      if (quiet && base?.print === after?.print) {
        pending.delete(id);
        setMine(id, after, base?.revision ?? 0);
        continue;
      }
      lastSequence += 1;
      pending.set(id, {
        sequence: lastSequence,
        print: after?.print,
        time,
        overrides: old?.overrides,
        rejected: undefined,
        base,
        baseContent: old ? old.baseContent : before?.content,
        sendings: old?.sendings ?? new Map(),
      });
      setMine(id, after, 0);
    }
  }

  function take(query: OutgoingQuery) {
    const { select } = query;
    const chosen =
      "ids" in select
        ? select.ids.filter((id) => pending.has(id))
        : [...pending]
            .filter(([, row]) => row.sequence > select.after && row.sequence <= select.through)
            .sort((a, b) => a[1].sequence - b[1].sequence)
            .map(([id]) => id);
    const fit = chosen.filter((id) => !query.eager || pending.get(id)?.sendings.size === 0);
    let taken = 0;
    let bytes = 0;
    for (const id of fit) {
      bytes += bytesOf(id) + 64 + (mine.has(id) ? bytesOf((mine.get(id) as Version).content) : 0);
      const over = bytes > query.maxBytes || taken === query.maxChanges;
      if (over && (taken > 0 || query.eager)) break;
      taken += 1;
    }
    const more = taken < fit.length;
    if (more && query.eager) taken = 0;
    const changes = fit.slice(0, taken).map((id) => {
      const row = pending.get(id) as Pending;
      const resent = row.sendings.size > 0;
      row.sendings.set(row.sequence, row.print ?? "");
      const { sequence, print, time, base, overrides } = row;
      return { id, sequence, print, content: shown(mine.get(id)?.content), time, base, overrides, resent };
    });
    return { changes, more, skipped: query.eager && !more && fit.length < chosen.length };
  }

  function becomeClean(id: string, row: Pending, itemRevision: number): void {
    pending.delete(id);
    const version = mine.get(id);
    if (version !== undefined && row.print !== undefined) version.revision = itemRevision;
  }

  function settle(action: Extract<Action, { kind: "settle" }>): void {
    const row = pending.get(action.id);
    if (row === undefined) return;
    const print = hex(action.fingerprint);
    const still = row.sequence === action.sequence && row.print === print;
    const known = row.base?.revision ?? -1;
    if (still && known === action.revision && row.base?.print === print) becomeClean(action.id, row, action.revision);
    else if (known >= action.revision) return;
    else if (still) becomeClean(action.id, row, action.revision);
    else {
      if (row.base?.print !== print) row.baseContent = undefined;
      row.base = { print, revision: action.revision };
      row.overrides = undefined;
      for (const at of row.sendings.keys()) if (at <= action.sequence) row.sendings.delete(at);
    }
  }

  function act(action: Action, now: number): { stale?: true; conflict?: number } {
    const row = pending.get(action.id);
    if (action.kind === "settle") {
      settle(action);
      return {};
    }
    if (action.kind === "reject") {
      if (row?.sequence !== action.sequence) return {};
      row.rejected = { reason: action.reason, message: action.message };
      if (!action.resent) row.sendings.delete(row.sequence);
      return {};
    }
    if ((row?.sequence ?? 0) !== action.sequence) return { stale: true };
    const version = mine.get(action.id);
    if (action.kind === "agree") {
      if (row !== undefined) becomeClean(action.id, row, action.revision);
      else if (version !== undefined) version.revision = action.revision;
      return {};
    }
    if (action.kind === "rebase") {
      if (row === undefined) {
        if (version !== undefined) version.revision = action.base.revision;
        return {};
      }
      const print = hex(action.base.fingerprint);
      if (action.content !== undefined || print !== row.base?.print) row.baseContent = action.content;
      row.base = { print, revision: action.base.revision };
      row.overrides = action.overrides;
      row.sendings.clear();
      return {};
    }
    const result: { conflict?: number } = {};
    if (row !== undefined && action.conflict !== undefined) {
      lastConflict += 1;
      result.conflict = lastConflict;
      conflicts.set(lastConflict, {
        number: lastConflict,
        id: action.id,
        print: row.print,
        prevailed: hex(action.upsert?.fingerprint),
        standard: action.conflict,
        recordTime: now,
        time: row.time,
        content: version?.content,
      });
    }
    pending.delete(action.id);
    setMine(action.id, action.upsert && versionOf(action.upsert, action.modifyTimeUs), action.revision);
    lastTime = Math.max(lastTime, Math.min(action.modifyTimeUs, now + 60_000_000));
    return result;
  }

  function latest(): { witness: string; witnessRevision: number } {
    const witnessRevision = Math.max(0, ...heard.keys());
    return { witness: heard.get(witnessRevision) ?? "", witnessRevision };
  }

  return {
    write,
    take,
    apply(batch: ApplyBatch) {
      const stale: string[] = [];
      const made: number[] = [];
      if (batch.opened !== undefined) uid = hex(batch.opened.collectionUid) as string;
      for (const action of batch.actions) {
        const result = act(action, batch.nowUs);
        if (result.stale) stale.push(action.id);
        if (result.conflict !== undefined) made.push(result.conflict);
      }
      if (batch.checkpoint !== undefined && stale.length === 0) {
        token = hex(batch.checkpoint.token) as string;
        revision = batch.checkpoint.revision;
      }
      const { witness } = batch;
      if (witness !== undefined && !heard.has(witness.revision))
        heard.set(witness.revision, hex(witness.token) as string);
      for (const at of heard.keys()) if (at <= revision) heard.delete(at);
      return { stale, conflicts: made };
    },
    settleConflict(number: number, restore: boolean, now: number): boolean {
      const record = conflicts.get(number);
      if (record === undefined) return false;
      conflicts.delete(number);
      const { id, content } = record;
      const upsert = content === undefined ? undefined : { content, fingerprint: fingerprintOf(id, content) };
      const replaced = pending.get(id);
      if (restore && replaced !== undefined && replaced.print !== record.print) {
        lastConflict += 1;
        conflicts.set(lastConflict, {
          number: lastConflict,
          id,
          print: replaced.print,
          prevailed: record.print,
          standard: 0,
          recordTime: now,
          time: replaced.time,
          content: mine.get(id)?.content,
        });
      }
      if (restore) write([{ id, upsert }], now);
      return true;
    },
    sequenceOf: (id: string): number => pending.get(id)?.sequence ?? 0,
    has: (id: string): boolean => mine.has(id),
    mineOf: (id: string) => mine.get(id),
    baseOf: (id: string) => pending.get(id)?.base,
    conflictNumbers: (): number[] => [...conflicts.keys()],
    /** All that can be seen, comparable. */
    view(ids: readonly string[]) {
      const prints: string[] = [];
      for (const [id, version] of mine) if (!pending.has(id)) prints.push(version.print);
      for (const row of pending.values()) if (row.base?.print !== undefined) prints.push(row.base.print);
      return {
        state: {
          items: mine.size,
          pending: pending.size,
          rejected: [...pending.values()].filter((row) => row.rejected).length,
          conflicts: conflicts.size,
          lastSequence,
          token,
          revision,
          ...latest(),
          uid,
          count: prints.length,
          sum: sumOf(prints),
        },
        items: [...mine]
          .sort((a, b) => Buffer.compare(Buffer.from(a[0]), Buffer.from(b[0])))
          .map(([id, { content, print, time }]) => ({
            id,
            content: shown(content),
            print,
            time,
            pending: pending.has(id),
          })),
        pending: [...pending]
          .sort((a, b) => a[1].sequence - b[1].sequence)
          .map(([id, { sequence, print, time, rejected }]) => {
            const size = mine.has(id) ? bytesOf((mine.get(id) as Version).content) : 0;
            return { id, sequence, kind: print === undefined ? "deleted" : "upserted", size, time, rejected };
          }),
        lookup: ids.map((id) => {
          const row = pending.get(id);
          const version = mine.get(id);
          const clean = version && { print: version.print, revision: version.revision };
          if (row === undefined)
            return { id, sequence: 0, pending: undefined, base: clean, sendings: [], baseContent: undefined };
          const { sequence, print, time, base, sendings } = row;
          const baseContent = shown(row.baseContent);
          return {
            id,
            sequence,
            pending: { print, time },
            base,
            sendings: [...new Set(sendings.values())].sort(),
            baseContent,
          };
        }),
        conflicts: [...conflicts.values()]
          .sort((a, b) => b.number - a.number)
          .map((record) => ({ ...record, content: shown(record.content) })),
      };
    },
  };
}

/** The model of one replica. */
export type Model = ReturnType<typeof createModel>;

/** The sum of fingerprints, by the book. */
export function sumOf(prints: readonly string[]): string {
  let sum = 0n;
  for (const print of prints) sum += BigInt(`0x${Buffer.from(print, "hex").reverse().toString("hex")}`);
  const big = (sum % 2n ** 256n).toString(16).padStart(64, "0");
  return Buffer.from(big, "hex").reverse().toString("hex");
}

/** A reason to reject with. */
export const TOO_LARGE = ErrorReason.ERROR_REASON_ITEM_TOO_LARGE;
