import {
  decisionsOf,
  type Judged,
  judgeApplied,
  judgeResolved,
  judgeWrite,
  type Seen,
  standing,
} from "./judge-verdicts.js";
import type { GroupLimits, LocalWrite } from "./replica/local-items.js";
import type { LocalState } from "./replica/local-state.js";
import { oneByOne } from "./replica/one-by-one.js";
import { idAt, type SettledRun } from "./replica/outgoing-columns.js";
import type { ReplicaStore } from "./replica/store.js";
import { checkNamed, checkPositive, checkSignal } from "./validate.js";
import type { Verdict, VerdictOptions } from "./verdict.js";
import { recordsOf, recordsSince } from "./verdict-records.js";
import { cancelled, type Waiter, waitAmong } from "./wait-verdict.js";

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
  /** None where nobody ever waited. */
  waiters: Set<Waiter> | undefined;
}

/** Versions of one write: those not in `versions` have `timeUs`, and no verdict. */
interface Writing {
  readonly timeUs: number;
  readonly versions: Map<string, Version>;
  /** Those that it has versions of: they are known by them, and stay as long as this. */
  readonly joined: Set<Writing>;
}

const LEAST_SWEPT = 4096;

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
      version = { timeUs: writing.timeUs, verdict: undefined, waiters: undefined };
      writing.versions.set(id, version);
    }
    return version;
  }

  /** The write whose version of an item is pending, where somebody holds it. */
  function openWriting(id: string): Writing | undefined {
    return open.get(id)?.deref();
  }

  function openVersion(id: string): Version | undefined {
    const writing = openWriting(id);
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
    if (version.waiters === undefined) return;
    awaited.delete(version);
    const waiters = [...version.waiters];
    version.waiters.clear();
    for (const waiter of waiters) waiter.resolve(verdict);
  }

  /** Only local writes make creations, and each opens its version: what is open of these ids are the versions that were sent. */
  function tellSettled({ columns, from, to, revision }: SettledRun): void {
    // Neighbours are of the same write, and to look through a weak reference takes long.
    let reference: WeakRef<Writing> | undefined;
    let writing: Writing | undefined;
    for (let at = from; at < to; at++) {
      const id = idAt(columns, at);
      const next = open.get(id);
      if (next === undefined) continue;
      if (next !== reference) writing = next.deref();
      reference = next;
      if (writing === undefined) open.delete(id);
      else tell(id, versionOf(writing, id), { outcome: "applied", revision: revision + at - from }, true);
    }
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
      // A version that is followed is pending, unless nobody holds it any more.
      if (open.size > 0 && held.state().pending === 0) open.clear();
      if (open.size === 0) return held.apply(given);
      const whole = (given.settled ?? []).filter((run) => held.settlesWhole(run));
      const batch = oneByOne(given, whole);
      const records = recordsOf(held);
      const decisions = decisionsOf(batch.actions);
      const done = watch(
        idsOf(batch.actions),
        () => held.apply(batch),
        (seen, result) => judgeApplied(seen, decisions, result, records),
      );
      for (const run of whole) tellSettled(run);
      return done;
    },
  };

  function wait(version: Version, writing: Writing, options: VerdictOptions): Promise<Verdict> {
    if (version.verdict !== undefined) return Promise.resolve(version.verdict);
    if (closedBy !== undefined) return Promise.reject(closedBy);
    if (options.signal?.aborted === true) return Promise.reject(cancelled());
    awaited.set(version, writing);
    version.waiters ??= new Set();
    return waitAmong(version.waiters, options, () => awaited.delete(version));
  }

  function followed(writing: Writing): Followed {
    return {
      async verdict(id, options = {}) {
        checkNamed(options, ["signal", "timeoutMs"]);
        checkPositive("timeoutMs", options.timeoutMs);
        checkSignal("signal", options.signal);
        return await wait(versionOf(writing, id), writing, options);
      },
    };
  }

  /** Follows the version of a state, together with those who follow it already. */
  function join(writing: Writing, reference: WeakRef<Writing>, { id, sequence, pending }: LocalState): void {
    const owner = openWriting(id);
    if (owner !== undefined) {
      writing.versions.set(id, versionOf(owner, id));
      writing.joined.add(owner);
      return;
    }
    const timeUs = pending?.modifyTimeUs ?? 0;
    writing.versions.set(id, { timeUs, verdict: standing(held, sequence, pending), waiters: undefined });
    follow(id, reference);
  }

  return {
    store,
    write(changes, nowUs, group) {
      const { sequences } = store.write(changes, nowUs, group);
      const at = sequences.findIndex((sequence) => sequence > 0);
      const [first] = at < 0 ? [] : held.lookup([(changes[at] as LocalWrite).id]);
      const writing = createWriting(first?.pending?.modifyTimeUs ?? 0);
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
      const writing = createWriting(0);
      join(writing, new WeakRef(writing), state);
      return followed(writing);
    },
    close(error) {
      closedBy = error;
      for (const version of [...awaited.keys()])
        for (const waiter of [...(version.waiters ?? [])]) waiter.reject(error);
    },
  };
}

function createWriting(timeUs: number): Writing {
  return { timeUs, versions: new Map(), joined: new Set() };
}

function* idsOf(changes: readonly { readonly id: string }[]): Generator<string> {
  for (const { id } of changes) yield id;
}
