import type { Action } from "../../client/replica/action.js";
import { type ApplyBatch, LOST_REVISION } from "../../client/replica/apply-batch.js";
import type { GroupLimits, LocalWrite } from "../../client/replica/local-items.js";
import type { OutgoingQuery } from "../../client/replica/outgoing-batch.js";
import type { ReplicaState } from "../../client/replica/replica-state.js";
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
  base: Base | undefined;
  held: boolean;
  /** Key of its group; 0 for none. */
  group: number;
  baseContent: Content | undefined;
  /** What was sent and has no verdict: fingerprint, or "" for a deletion, by its sequence number; and when it was written. */
  sendings: Map<number, { print: string; time: number }>;
}

interface Base {
  print: string | undefined;
  revision: number;
  time: number;
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

/** Ranges that are looked at after every step. */
export const RANGES: readonly { readonly from: string; readonly to: string | undefined }[] = [
  { from: "", to: undefined },
  { from: "", to: "a/b" },
  { from: "a/", to: "b" },
  { from: "a\u{ffff}", to: "\u{e000}" },
  { from: "\u{e000}", to: undefined },
  { from: "b", to: "b" },
];

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
  let recovering: ReplicaState["recovering"];

  function versionOf(upsert: NonNullable<LocalWrite["upsert"]>, time: number): Version {
    return { content: upsert.content as Content, print: hex(upsert.fingerprint) as string, time };
  }

  function setMine(id: string, version: Version | undefined, itemRevision: number): void {
    if (version === undefined) mine.delete(id);
    else mine.set(id, { ...version, revision: itemRevision });
  }

  function membersOf(key: number): Pending[] {
    const members = [...pending.values()].filter((row) => key !== 0 && row.group === key);
    return members.sort((a, b) => a.sequence - b.sequence);
  }

  /** New sequence numbers at the end, unless they are new and contiguous. */
  function regroup(members: readonly Pending[], before: number): void {
    const sequences = members.map((row) => row.sequence);
    const first = sequences[0] ?? 0;
    if (first <= before || sequences.some((sequence, index) => sequence !== first + index)) {
      for (const row of members) {
        lastSequence += 1;
        row.sequence = lastSequence;
        row.rejected = undefined;
      }
    }
    for (const row of members) row.group = members.at(-1)?.sequence ?? 0;
  }

  function write(changes: readonly LocalWrite[], now: number, limits?: GroupLimits): { sequences: number[] } {
    const time = now > lastTime ? now : lastTime + 1;
    const before = lastSequence;
    const joined = new Set<number>();
    const changed = new Set<string>();
    for (const change of changes) {
      const group = pending.get(change.id)?.group ?? 0;
      if (!writeOne(change, time)) continue;
      changed.add(change.id);
      joined.add(group);
    }
    joined.delete(0);
    if (limits === undefined) for (const key of joined) regroup(membersOf(key), before);
    else {
      const written = [...pending].filter(([id]) => changed.has(id)).map(([, row]) => row);
      const all = new Set([...[...joined].flatMap(membersOf), ...written]);
      const members = [...all].sort((a, b) => a.sequence - b.sequence);
      if (members.length > 1 || joined.size > 0) regroup(members, before);
    }
    return { sequences: changes.map(({ id }) => (changed.has(id) ? (pending.get(id)?.sequence ?? 0) : 0)) };
  }

  function writeOne({ id, upsert }: LocalWrite, time: number): boolean {
    const before = mine.get(id);
    const after = upsert && versionOf(upsert, time);
    if (before?.print === after?.print) return false;
    lastTime = time;
    const old = pending.get(id);
    const base = old ? old.base : before && { print: before.print, revision: before.revision, time: before.time };
    const quiet = old !== undefined && old.sendings.size === 0 && old.overrides === undefined;
    if (quiet && base?.print === after?.print) {
      pending.delete(id);
      setMine(id, after && { ...after, time: base?.time || time }, base?.revision ?? 0);
      return true;
    }
    lastSequence += 1;
    pending.set(id, {
      sequence: lastSequence,
      print: after?.print,
      time,
      overrides: old?.overrides,
      rejected: undefined,
      base,
      held: old?.held ?? false,
      group: old?.group ?? 0,
      baseContent: old ? old.baseContent : before?.content,
      sendings: old?.sendings ?? new Map(),
    });
    setMine(id, after, 0);
    return true;
  }

  /** The same of what is sent at once: remembered as sent, where it is one whole change that was not sent before. */
  function writeSending(changes: readonly LocalWrite[], now: number, wholeBytes: number, limits?: GroupLimits) {
    const written = write(changes, now, limits);
    const [id = ""] = changes.length === 1 ? changes.map((change) => change.id) : [];
    const row = pending.get(id);
    if (written.sequences[0] === 0 || row === undefined) return written;
    // A group of one goes like no group.
    const isAlone = row.group === 0 || [...pending.values()].every((each) => each === row || each.group !== row.group);
    const isFree = isAlone && !row.held && row.sendings.size === 0;
    if (isFree && weightOf(id) <= wholeBytes)
      row.sendings.set(row.sequence, { print: row.print ?? "", time: row.time });
    return written;
  }

  /** What a query names, in its order, each group as a whole where it is named first. */
  function unitsOf({ select }: OutgoingQuery): string[][] {
    const order = [...pending].sort((a, b) => a[1].sequence - b[1].sequence).map(([id]) => id);
    const inRange = (id: string, after: number, through: number) => {
      const sequence = pending.get(id)?.sequence ?? 0;
      return sequence > after && sequence <= through;
    };
    const named =
      "ids" in select
        ? select.ids.filter((id) => pending.has(id))
        : order.filter((id) => inRange(id, select.after, select.through));
    const units: string[][] = [];
    for (const id of named) {
      if (units.some((unit) => unit.includes(id))) continue;
      const key = pending.get(id)?.group ?? 0;
      units.push(key === 0 ? [id] : order.filter((other) => pending.get(other)?.group === key));
    }
    return units.filter((unit) => unit.every((id) => pending.get(id)?.held === false));
  }

  function take(query: OutgoingQuery) {
    const chosen = unitsOf(query);
    const fit = chosen.filter((unit) => !query.eager || unit.every((id) => pending.get(id)?.sendings.size === 0));
    let units = 0;
    let taken = 0;
    let bytes = 0;
    for (const unit of fit) {
      for (const id of unit) bytes += weightOf(id);
      const over = bytes > query.maxBytes || taken + unit.length > query.maxChanges;
      if (over && (units > 0 || query.eager)) break;
      units += 1;
      taken += unit.length;
    }
    const more = units < fit.length;
    if (more && query.eager) units = 0;
    const changes = fit
      .slice(0, units)
      .flat()
      .map((id) => {
        const row = pending.get(id) as Pending;
        const resent = row.sendings.size > 0;
        row.sendings.set(row.sequence, { print: row.print ?? "", time: row.time });
        const { sequence, print, time, base, overrides, group } = row;
        return { id, sequence, print, content: shown(mine.get(id)?.content), time, base, overrides, resent, group };
      });
    return { changes, more, skipped: query.eager && !more && fit.length < chosen.length };
  }

  function weightOf(id: string): number {
    const version = mine.get(id);
    return bytesOf(id) + 64 + (version === undefined ? 0 : bytesOf(version.content));
  }

  function addRecord(id: string, prevailed: string | undefined, standard: number, recordTime: number): number {
    const row = pending.get(id);
    const version = mine.get(id);
    lastConflict += 1;
    const time = row?.time ?? version?.time ?? 0;
    const made = { number: lastConflict, id, print: version?.print, prevailed, standard, recordTime, time };
    conflicts.set(lastConflict, { ...made, content: version?.content });
    return lastConflict;
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
      // An earlier sending is known by the last one of its version that was overwritten.
      const later = [...row.sendings].some(([at, sent]) => {
        return at > action.sequence && at !== row.sequence && sent.print === row.sendings.get(action.sequence)?.print;
      });
      const known = later || action.sequence === row.sequence ? undefined : row.sendings.get(action.sequence);
      row.base = { print, revision: action.revision, time: known?.time ?? 0 };
      row.overrides = undefined;
      row.held = false;
      for (const at of row.sendings.keys()) if (at <= action.sequence) row.sendings.delete(at);
    }
  }

  function isStale(action: Action): boolean {
    if (action.kind === "settle" || action.kind === "reject") return false;
    if (action.kind === "take" && action.onlyNew === true && mine.has(action.id)) return true;
    return (pending.get(action.id)?.sequence ?? 0) !== action.sequence;
  }

  function act(action: Action, now: number, before: number): number | undefined {
    const row = pending.get(action.id);
    const version = mine.get(action.id);
    switch (action.kind) {
      case "settle":
        settle(action);
        return undefined;
      case "reject":
        if (row?.sequence !== action.sequence) return undefined;
        row.rejected = { reason: action.reason, message: action.message };
        if (!action.resent) row.sendings.delete(row.sequence);
        return undefined;
      case "agree":
        if (row !== undefined) becomeClean(action.id, row, action.revision);
        else if (version !== undefined) version.revision = action.revision;
        return undefined;
      case "rebase":
        if (row !== undefined) {
          standOn(row, action);
          row.overrides = action.overrides;
          row.held = action.held ?? false;
        } else if (version !== undefined) version.revision = action.base.revision;
        return undefined;
      case "offer":
        if (version !== undefined) offer(action, version);
        return undefined;
      case "merge":
        return row === undefined ? undefined : merge(action, row, now, before);
      case "take":
        return takeTheirs(action, now);
      default:
        return undefined;
    }
  }

  function toBase(base: { fingerprint: Uint8Array | undefined; revision: number; modifyTimeUs: number }): Base {
    return { print: hex(base.fingerprint), revision: base.revision, time: base.modifyTimeUs };
  }

  function standOn(row: Pending, { base, content }: Extract<Action, { kind: "rebase" | "merge" }>): void {
    const next = toBase(base);
    if (content !== undefined || next.print !== row.base?.print) row.baseContent = content;
    row.base = next;
    row.sendings.clear();
  }

  function offer(action: Extract<Action, { kind: "offer" }>, version: Version): void {
    lastSequence += 1;
    const { print, time } = version;
    const { overrides, content: baseContent } = action;
    const base = action.base && toBase(action.base);
    const rest = { rejected: undefined, held: false, group: 0, sendings: new Map() };
    pending.set(action.id, { sequence: lastSequence, print, time, overrides, base, baseContent, ...rest });
  }

  function merge(
    action: Extract<Action, { kind: "merge" }>,
    row: Pending,
    now: number,
    before: number,
  ): number | undefined {
    const { id, upsert, modifyTimeUs: time } = action;
    const print = hex(upsert?.fingerprint);
    const made = print === row.print ? undefined : addRecord(id, print, action.overrides, now);
    standOn(row, action);
    const isNew = row.sequence > before;
    Object.assign(row, { print, time, overrides: action.overrides, held: false, rejected: undefined });
    if (!isNew) regroupOrRenew(row, before);
    setMine(id, upsert && versionOf(upsert, time), 0);
    hear(time, now);
    return made;
  }

  function regroupOrRenew(row: Pending, before: number): void {
    if (row.group !== 0) regroup(membersOf(row.group), before);
    else {
      lastSequence += 1;
      row.sequence = lastSequence;
      row.rejected = undefined;
    }
  }

  function hear(time: number, now: number): void {
    lastTime = Math.max(lastTime, Math.min(time, now + 60_000_000));
  }

  function takeTheirs(action: Extract<Action, { kind: "take" }>, now: number): number | undefined {
    const { id, upsert, conflict } = action;
    const print = hex(upsert?.fingerprint);
    const row = pending.get(id);
    const version = mine.get(id);
    const gives = row !== undefined || (version !== undefined && version.print !== print);
    const made = conflict !== undefined && gives ? addRecord(id, print, conflict, now) : undefined;
    pending.delete(id);
    setMine(id, upsert && versionOf(upsert, action.modifyTimeUs), action.revision);
    hear(action.modifyTimeUs, now);
    return made;
  }

  function fallTo(id: string, row: Pending, content: Content | undefined, now: number): void {
    const { base } = row;
    const kept = mine.get(id);
    if (row.print !== base?.print) addRecord(id, base?.print, 4, now);
    pending.delete(id);
    if (base?.print === undefined) mine.delete(id);
    else if (row.print === base.print) setMine(id, kept, base.revision);
    else if (content === undefined) throw new Error("the server's content of it is not known here");
    else setMine(id, { content, print: base.print, time: base.time || now }, base.revision);
  }

  function resolve(id: string, how: "mine" | "theirs" | { merged: LocalWrite["upsert"] }, now: number): boolean {
    const row = pending.get(id);
    if (row?.held !== true) return false;
    const key = row.group;
    if (how === "theirs") {
      const together = [...pending].filter(([, other]) => other === row || (key !== 0 && other.group === key));
      together.sort((a, b) => a[1].sequence - b[1].sequence);
      for (const [member, other] of together) fallTo(member, other, other.baseContent, now);
      return true;
    }
    if (how !== "mine") mergeHeld(id, row, how.merged, now);
    for (const other of key === 0 ? [row] : membersOf(key)) {
      if (other.held) Object.assign(other, { held: false, overrides: 4 });
    }
    const before = lastSequence;
    if (key !== 0) regroup(membersOf(key), before);
    else if (pending.has(id)) regroupOrRenew(row, before);
    return true;
  }

  function mergeHeld(id: string, row: Pending, upsert: LocalWrite["upsert"], now: number): void {
    const print = hex(upsert?.fingerprint);
    if (print === row.print) return;
    if (print === row.base?.print) {
      fallTo(id, row, upsert?.content, now);
      return;
    }
    addRecord(id, print, 4, now);
    lastTime = Math.max(now, lastTime + 1);
    row.print = print;
    row.time = lastTime;
    setMine(id, upsert && versionOf(upsert, lastTime), 0);
  }

  function latest(): { witness: string; witnessRevision: number } {
    const witnessRevision = Math.max(0, ...heard.keys());
    return { witness: heard.get(witnessRevision) ?? "", witnessRevision };
  }

  function moveRevisions(beyond: number, to: number): void {
    const bases = [...pending.values()].flatMap(({ base }) => base ?? []);
    for (const each of [...mine.values(), ...bases]) if (each.revision > beyond) each.revision = to;
  }

  function recover(at: number, fork: number | undefined): void {
    recovering = undefined;
    heard.clear();
    moveRevisions(fork === undefined ? LOST_REVISION - 1 : Math.min(fork, at), at);
  }

  function groupOf({ group }: Pending) {
    if (group === 0) return undefined;
    const ids = [...pending].filter(([, row]) => row.group === group);
    ids.sort((a, b) => a[1].sequence - b[1].sequence);
    return { key: group, ids: ids.map(([id]) => id), latest: Math.max(...ids.map(([, row]) => row.time)) };
  }

  return {
    write,
    writeSending,
    take,
    apply(batch: ApplyBatch) {
      const stale: string[] = [];
      const made: number[] = [];
      const before = lastSequence;
      if (batch.opened !== undefined) uid = hex(batch.opened.collectionUid) as string;
      if (batch.parted !== undefined) {
        token = "";
        revision = 0;
        heard.clear();
        const { fork, ...begun } = batch.parted;
        recovering = begun;
        moveRevisions(fork, LOST_REVISION);
      }
      const done = new Set<Action>();
      for (const action of batch.actions) {
        const unit = "unit" in action ? (action.unit ?? 0) : 0;
        const together = unit === 0 ? [action] : batch.actions.filter((each) => "unit" in each && each.unit === unit);
        if (done.has(action)) continue;
        const wrong = together.some(isStale);
        for (const each of together) {
          done.add(each);
          if (wrong) stale.push(each.id);
          const conflict = wrong ? undefined : act(each, batch.nowUs, before);
          if (conflict !== undefined) made.push(conflict);
        }
      }
      const { checkpoint, recovered, witness } = batch;
      const reached = recovered ?? checkpoint;
      if (reached !== undefined && stale.length === 0) {
        token = hex(reached.token) as string;
        revision = reached.revision;
        if (recovered !== undefined) recover(recovered.revision, recovered.fork);
      }
      for (const each of [witness, stale.length > 0 ? checkpoint : undefined]) {
        if (each !== undefined && !heard.has(each.revision)) heard.set(each.revision, hex(each.token) as string);
      }
      for (const at of heard.keys()) if (at <= revision) heard.delete(at);
      return { stale, conflicts: made };
    },
    resolve,
    /** Whether an item, and what is in its group, can become what the server has. */
    knowsTheirs(id: string): boolean {
      const row = pending.get(id);
      if (row?.held !== true) return true;
      return (row.group === 0 ? [row] : membersOf(row.group)).every((each) => {
        const { base, baseContent, print } = each;
        return base?.print === undefined || base.print === print || baseContent !== undefined;
      });
    },
    prune(before: number): number {
      const old = [...conflicts.values()].filter((record) => record.recordTime < before);
      for (const { number } of old) conflicts.delete(number);
      return old.length;
    },
    settleConflict(number: number, restore: boolean, now: number): boolean {
      const record = conflicts.get(number);
      if (record === undefined) return false;
      conflicts.delete(number);
      const { id, content } = record;
      const upsert = content === undefined ? undefined : { content, fingerprint: fingerprintOf(id, content) };
      const replaced = pending.get(id);
      if (restore && replaced !== undefined && replaced.print !== record.print) addRecord(id, record.print, 0, now);
      if (restore) write([{ id, upsert }], now);
      return true;
    },
    sequenceOf: (id: string): number => pending.get(id)?.sequence ?? 0,
    has: (id: string): boolean => mine.has(id),
    mineOf: (id: string) => mine.get(id),
    baseOf: (id: string) => pending.get(id)?.base,
    /** The members of the group of an item, or the item alone. */
    unitOf: (id: string): readonly string[] => {
      const row = pending.get(id);
      return (row && groupOf(row)?.ids) ?? [id];
    },
    conflictNumbers: (): number[] => [...conflicts.keys()],
    /** All that can be seen, comparable. */
    view(ids: readonly string[]) {
      const bases = new Map<string, string>();
      for (const [id, version] of mine) if (!pending.has(id)) bases.set(id, version.print);
      for (const [id, row] of pending) if (row.base?.print !== undefined) bases.set(id, row.base.print);
      const inOrder = [...bases].sort((a, b) => Buffer.compare(Buffer.from(a[0]), Buffer.from(b[0])));
      const prints = [...bases.values()];
      return {
        state: {
          items: mine.size,
          pending: pending.size,
          rejected: [...pending.values()].filter((row) => row.rejected).length,
          held: [...pending.values()].filter((row) => row.held).length,
          conflicts: conflicts.size,
          lastSequence,
          token,
          revision,
          ...latest(),
          recovering,
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
          .map(([id, { sequence, print, time, rejected, held, group }]) => {
            const size = mine.has(id) ? bytesOf((mine.get(id) as Version).content) : 0;
            return {
              id,
              sequence,
              kind: print === undefined ? "deleted" : "upserted",
              size,
              time,
              rejected,
              held,
              group,
            };
          }),
        lookup: ids.map((id) => {
          const row = pending.get(id);
          const version = mine.get(id);
          const clean = version && { print: version.print, revision: version.revision, time: version.time };
          const nothing = { sendings: [], baseContent: undefined };
          if (row === undefined)
            return { id, sequence: 0, pending: undefined, time: clean?.time ?? 0, base: clean, ...nothing };
          const { sequence, print, time, base, held, sendings } = row;
          const baseContent = shown(row.baseContent);
          const sent = [...new Set([...sendings.values()].map((sending) => sending.print))].sort();
          const change = { print, time, held, group: groupOf(row) };
          return { id, sequence, pending: change, time: 0, base: base && { ...base }, sendings: sent, baseContent };
        }),
        held: [...pending]
          .filter(([, row]) => row.held)
          .sort((a, b) => Buffer.compare(Buffer.from(a[0]), Buffer.from(b[0])))
          .map(([id, { sequence, print, time, base, group }]) => {
            const theirs = { theirs: base?.print, theirsRevision: base?.revision ?? 0, theirsTime: base?.time ?? 0 };
            return { id, sequence, mine: print, mineTime: time, ...theirs, group };
          }),
        creations: [...pending]
          .filter(([, row]) => row.base?.print === undefined && row.sendings.size > 0)
          .sort((a, b) => a[1].sequence - b[1].sequence)
          .map(([id]) => id),
        bases: inOrder,
        ranges: RANGES.map(({ from, to }) => {
          const inside = inOrder.filter(([id]) => {
            const before = to === undefined || Buffer.compare(Buffer.from(id), Buffer.from(to)) < 0;
            return before && Buffer.compare(Buffer.from(id), Buffer.from(from)) >= 0;
          });
          return { count: inside.length, sum: sumOf(inside.map(([, print]) => print)) };
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
