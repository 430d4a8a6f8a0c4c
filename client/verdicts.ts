import { reasonName } from "../core/fault.js";
import { sameFingerprint } from "../core/fingerprint.js";
import { TercetError } from "./error.js";
import type { Action } from "./replica/action.js";
import type { ApplyBatch, ApplyResult } from "./replica/apply-batch.js";
import type { GroupLimits, LocalWrite } from "./replica/local-items.js";
import type { LocalState } from "./replica/local-state.js";
import { oneByOne } from "./replica/one-by-one.js";
import type { ReplicaStore } from "./replica/store.js";
import { checkPositive } from "./validate.js";

/**
 * What became of one local change, of exactly this version.
 *
 *   - `applied`: the server has it, as its revision `revision`;
 *   - `already`: there was nothing to send, or both sides had made the same of it: the server had it by `revision`;
 *   - `gave-way`: another version prevailed; this one is in conflict record `conflict` of the replica;
 *   - `held`: in conflict until somebody resolves it; it stays pending;
 *   - `rejected`: not acceptable to the server; it stays pending, and is tried again with every exchange;
 *   - `superseded`: a later local write took its place, sent or not;
 *   - `discarded`: it is not pending any more, and nothing of the above is known.
 */
export type Verdict =
  | { readonly outcome: "applied" | "already"; readonly revision: number }
  | { readonly outcome: "gave-way"; readonly conflict: number }
  | { readonly outcome: "rejected"; readonly reason: string; readonly message: string }
  | { readonly outcome: "held" | "superseded" | "discarded" };

/** How long to wait for a verdict. */
export interface VerdictOptions {
  /** Stops waiting: rejects with CANCELLED. The change stays as it is. */
  readonly signal?: AbortSignal;
  /** Milliseconds after which it rejects with DEADLINE_EXCEEDED. Default: none. */
  readonly timeoutMs?: number;
}

/** Versions that one local write made, or that somebody asked for. */
export interface Followed {
  /**
   * The latest verdict on the version of this id; waits for the first one. Rejects with FAILED_PRECONDITION where the
   * replica is closed before.
   */
  verdict(id: string, options?: VerdictOptions): Promise<Verdict>;
}

/** Who knows the verdicts on local changes: by watching a store, in memory only. */
export interface Verdicts {
  /** The store, to be used in place of the one that is watched. */
  readonly store: ReplicaStore;
  /** Writes, and follows what was written. Throws what the store throws. */
  write(changes: readonly LocalWrite[], nowUs: number, group?: GroupLimits): Followed;
  /** Follows the change that is pending of an item; undefined where none is. */
  follow(id: string): Followed | undefined;
  /** Whoever waits gets this error. */
  close(error: Error): void;
}

/**
 * A version of an item: known by its modify time, which no other local write has, while sequence numbers change with
 * those of a group.
 */
interface Version {
  timeUs: number;
  verdict: Verdict | undefined;
  readonly waiters: Set<{ resolve(verdict: Verdict): void; reject(error: Error): void }>;
}

/** Versions of one write: those not in `versions` have `timeUs`, and no verdict. */
interface Writing {
  readonly timeUs: number;
  readonly versions: Map<string, Version>;
}

const LEAST_SWEPT = 4096;
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Watches a store. What nobody holds is forgotten with the garbage. */
export function createVerdicts(held: ReplicaStore): Verdicts {
  /** By id: the write whose version is pending. */
  const open = new Map<string, WeakRef<Writing>>();
  /** Versions that somebody waits for keep their writes. */
  const awaited = new Map<Version, Writing>();
  let sweepAt = LEAST_SWEPT;
  let closedBy: Error | undefined;

  function versionOf(writing: Writing, id: string): Version {
    let version = writing.versions.get(id);
    if (version === undefined) {
      version = { timeUs: writing.timeUs, verdict: undefined, waiters: new Set() };
      writing.versions.set(id, version);
    }
    return version;
  }

  function openVersion(id: string): Version | undefined {
    const writing = open.get(id)?.deref();
    return writing && versionOf(writing, id);
  }

  function follow(id: string, writing: WeakRef<Writing>): void {
    open.set(id, writing);
    if (open.size < sweepAt) return;
    for (const [each, reference] of open) if (reference.deref() === undefined) open.delete(each);
    sweepAt = Math.max(LEAST_SWEPT, open.size * 2);
  }

  function tell(id: string, version: Version, verdict: Verdict, final: boolean): void {
    version.verdict = verdict;
    if (final) open.delete(id);
    awaited.delete(version);
    const waiters = [...version.waiters];
    version.waiters.clear();
    for (const waiter of waiters) waiter.resolve(verdict);
  }

  /** Does the work, and judges by the states before and after it what became of the versions that are followed. */
  function watch<T>(ids: Iterable<string>, work: () => T, judge: (seen: Seen, result: T) => Judged): T {
    const followed = new Map<string, Version>();
    if (open.size > 0) {
      for (const id of ids) {
        const version = openVersion(id);
        if (version !== undefined) followed.set(id, version);
      }
    }
    if (followed.size === 0) return work();
    const names = [...followed.keys()];
    const before = held.lookup(names);
    const result = work();
    held.lookup(names).forEach((after, index) => {
      const version = followed.get(after.id) as Version;
      const judged = judge({ version, before: before[index] as LocalState, after }, result);
      if ("timeUs" in judged) version.timeUs = judged.timeUs;
      else if (judged.verdict !== undefined) tell(after.id, version, judged.verdict, judged.final);
      else if (version.verdict?.outcome === "held" && after.pending?.held !== true) version.verdict = undefined;
    });
    return result;
  }

  const store: ReplicaStore = {
    ...held,
    write: (changes, nowUs, group) => watch(idsOf(changes), () => held.write(changes, nowUs, group), judgeWrite),
    settleConflict(number, restore, nowUs) {
      const record = restore && open.size > 0 ? held.getConflict(number) : undefined;
      const ids = record === undefined ? [] : [record.id];
      return watch(ids, () => held.settleConflict(number, restore, nowUs), judgeWrite);
    },
    resolveHeld(id, how, nowUs, group) {
      const [state] = open.size > 0 ? held.lookup([id]) : [];
      const ids = state?.pending?.group?.ids ?? [id];
      const numbers = recordsSince(held);
      return watch(
        ids,
        () => held.resolveHeld(id, how, nowUs, group),
        (seen) => judgeResolved(seen, numbers),
      );
    },
    apply(given) {
      const batch = open.size > 0 ? oneByOne(given) : given;
      const records = recordsOf(held);
      return watch(
        idsOf(batch.actions),
        () => held.apply(batch),
        (seen, result) => judgeApplied(seen, batch, result, records),
      );
    },
  };

  function wait(version: Version, writing: Writing, { signal, timeoutMs }: VerdictOptions): Promise<Verdict> {
    if (version.verdict !== undefined) return Promise.resolve(version.verdict);
    if (closedBy !== undefined) return Promise.reject(closedBy);
    if (signal?.aborted === true) return Promise.reject(cancelled());
    awaited.set(version, writing);
    return new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined;
      const abort = (): void => waiter.reject(cancelled());
      function end(): void {
        clearTimeout(timer);
        signal?.removeEventListener("abort", abort);
        version.waiters.delete(waiter);
        if (version.waiters.size === 0) awaited.delete(version);
      }
      const waiter = {
        resolve(verdict: Verdict): void {
          end();
          resolve(verdict);
        },
        reject(error: Error): void {
          end();
          reject(error);
        },
      };
      version.waiters.add(waiter);
      signal?.addEventListener("abort", abort, { once: true });
      if (timeoutMs === undefined || timeoutMs > LONGEST_TIMER_MS) return;
      timer = setTimeout(() => waiter.reject(tooLate(timeoutMs)), timeoutMs);
    });
  }

  function followed(writing: Writing): Followed {
    return {
      async verdict(id, options = {}) {
        checkPositive("timeoutMs", options.timeoutMs);
        return await wait(versionOf(writing, id), writing, options);
      },
    };
  }

  /** Follows the version of a state, together with those who follow it already. */
  function join(writing: Writing, reference: WeakRef<Writing>, { id, sequence, pending }: LocalState): void {
    const known = openVersion(id);
    const timeUs = pending?.modifyTimeUs ?? 0;
    const version = known ?? { timeUs, verdict: standing(held, sequence, pending), waiters: new Set() };
    writing.versions.set(id, version);
    if (awaited.has(version)) awaited.set(version, writing);
    follow(id, reference);
  }

  return {
    store,
    write(changes, nowUs, group) {
      const { sequences } = store.write(changes, nowUs, group);
      const at = sequences.findIndex((sequence) => sequence > 0);
      const [first] = at < 0 ? [] : held.lookup([(changes[at] as LocalWrite).id]);
      const writing: Writing = { timeUs: first?.pending?.modifyTimeUs ?? 0, versions: new Map() };
      const reference = new WeakRef(writing);
      const { pending, revision } = held.state();
      const unchanged: string[] = [];
      changes.forEach(({ id }, index) => {
        if (sequences[index] !== 0) follow(id, reference);
        else unchanged.push(id);
      });
      const states = pending === 0 ? [] : held.lookup(unchanged);
      unchanged.forEach((id, index) => {
        const state = states[index];
        if (state?.pending !== undefined) join(writing, reference, state);
        else versionOf(writing, id).verdict = { outcome: "already", revision };
      });
      return followed(writing);
    },
    follow(id) {
      const [state] = held.lookup([id]);
      if (state?.pending === undefined) return undefined;
      const writing: Writing = { timeUs: 0, versions: new Map() };
      join(writing, new WeakRef(writing), state);
      return followed(writing);
    },
    close(error) {
      closedBy = error;
      for (const version of [...awaited.keys()]) for (const waiter of [...version.waiters]) waiter.reject(error);
    },
  };
}

/** A followed version, and the states of its item around some work. */
interface Seen {
  readonly version: Version;
  readonly before: LocalState;
  readonly after: LocalState;
}

/** A verdict, if there is one; or the version goes on under another time. */
type Judged = { readonly verdict: Verdict | undefined; readonly final: boolean } | { readonly timeUs: number };

const NOTHING_NEW: Judged = { verdict: undefined, final: false };

function isStill({ version, after }: Seen): boolean {
  return after.pending?.modifyTimeUs === version.timeUs;
}

function judgeWrite(seen: Seen): Judged {
  return isStill(seen) ? NOTHING_NEW : { verdict: { outcome: "superseded" }, final: true };
}

type FindRecord = (result: readonly number[], seen: Seen) => number | undefined;

function judgeResolved(seen: Seen, find: (seen: Seen) => number | undefined): Judged {
  if (isStill(seen)) return NOTHING_NEW;
  const conflict = find(seen);
  if (conflict !== undefined) return { verdict: { outcome: "gave-way", conflict }, final: true };
  return { verdict: asBefore(seen) ?? { outcome: "discarded" }, final: true };
}

function judgeApplied(seen: Seen, batch: ApplyBatch, result: ApplyResult, find: FindRecord): Judged {
  const { version, before, after } = seen;
  const { id, sequence } = before;
  if (isStill(seen)) {
    const rejection = batch.actions.find((action) => action.kind === "reject" && isOf(action, id, sequence));
    if (rejection?.kind === "reject") {
      const { reason, message } = rejection;
      return { verdict: { outcome: "rejected", reason: reasonName(reason), message }, final: false };
    }
    const isHeld = after.pending?.held === true && version.verdict?.outcome !== "held";
    return isHeld ? { verdict: { outcome: "held" }, final: false } : NOTHING_NEW;
  }
  const conflict = result.conflicts.length === 0 ? undefined : find(result.conflicts, seen);
  if (conflict !== undefined) return { verdict: { outcome: "gave-way", conflict }, final: true };
  // An application's merge that came to the same content: this version goes on, with a later time.
  const { pending } = after;
  const goesOn = pending !== undefined && sameFingerprint(pending.fingerprint, before.pending?.fingerprint);
  if (goesOn) return { timeUs: pending.modifyTimeUs };
  const settled = batch.actions.find((action) => action.kind === "settle" && isOf(action, id, sequence));
  if (settled?.kind === "settle") {
    return { verdict: { outcome: "applied", revision: settled.revision }, final: true };
  }
  return { verdict: asBefore(seen) ?? { outcome: "discarded" }, final: true };
}

function isOf(action: Extract<Action, { kind: "settle" | "reject" }>, id: string, sequence: number): boolean {
  return action.id === id && action.sequence === sequence;
}

/** The item is what this version made it: the server has made the same of it. */
function asBefore({ before, after }: Seen): Verdict | undefined {
  if (after.pending !== undefined) return undefined;
  if (!sameFingerprint(before.pending?.fingerprint, after.base?.fingerprint)) return undefined;
  return { outcome: "already", revision: after.base?.revision ?? before.base?.revision ?? 0 };
}

/** Finds the record of a version among those that were just made. They are read when the first is asked for. */
function recordsOf(held: ReplicaStore): FindRecord {
  let records: ReturnType<ReplicaStore["listConflicts"]> | undefined;
  return (numbers, { before, version }) => {
    records ??= held.listConflicts(numbers.reduce((a, b) => Math.max(a, b)) + 1, numbers.length);
    return records.find(({ id, modifyTimeUs }) => id === before.id && modifyTimeUs === version.timeUs)?.number;
  };
}

/** The same for records made from now on. */
function recordsSince(held: ReplicaStore): (seen: Seen) => number | undefined {
  const last = held.listConflicts(Number.MAX_SAFE_INTEGER, 1)[0]?.number ?? 0;
  const find = recordsOf(held);
  let made: number[] | undefined;
  return (seen) => {
    made ??= newNumbers(held, last);
    return made.length === 0 ? undefined : find(made, seen);
  };
}

function newNumbers(held: ReplicaStore, last: number): number[] {
  const numbers: number[] = [];
  for (let before = Number.MAX_SAFE_INTEGER; ; ) {
    const page = held.listConflicts(before, 100).map(({ number }) => number);
    numbers.push(...page.filter((number) => number > last));
    before = page.at(-1) ?? 0;
    if (before <= last) return numbers;
  }
}

/** What is known of a pending change that nobody followed so far. */
function standing(held: ReplicaStore, sequence: number, pending: LocalState["pending"]): Verdict | undefined {
  if (pending?.held === true) return { outcome: "held" };
  const [change] = held.listPending(sequence - 1, 1);
  if (change?.rejected === undefined) return undefined;
  const { reason, message } = change.rejected;
  return { outcome: "rejected", reason: reasonName(reason), message };
}

function* idsOf(changes: readonly { readonly id: string }[]): Generator<string> {
  for (const { id } of changes) yield id;
}

function cancelled(): TercetError {
  return new TercetError("nobody waits for the verdict any more", { code: "CANCELLED" });
}

function tooLate(timeoutMs: number): TercetError {
  return new TercetError(`no verdict within ${timeoutMs / 1000} s`, { code: "DEADLINE_EXCEEDED" });
}
