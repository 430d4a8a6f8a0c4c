import {
  type RangeAnswers,
  RangeKind,
  type RangeList,
  RangeOutcome,
  type RangeQuery,
} from "../../../gen/tercet/v1/sync.js";
import { readChanges } from "./change-info.js";
import {
  compareIds,
  decodeBounds,
  encodeBounds,
  minus,
  NOTHING,
  plus,
  type RangeSum,
  same,
  sumBytes,
  sumOf,
} from "./fingerprint.js";
import { takeMessage } from "./messages.js";
import { later, NO_CHECKPOINT, type Replica, type State, stateOf } from "./replica.js";
import type { RecoveryReason, Session } from "./session.js";
import { takeChanges } from "./settle.js";
import { outOfOrder } from "./stream.js";

/*
 * Recovery: finds what differs between the bases of the replica and the server's items, by comparing sums of ranges of ids
 * and cutting those that differ. Everything that was found is taken in one transaction at the end: an exchange that is cut
 * before has changed nothing.
 */

/** With the ranges between them that are not asked about, a query may have 4,096. */
const RANGES_AT_ONCE = 2000;
/** A range with more bases than this is asked about in so many parts; the others are compared item by item. */
const SMALL = 12;
const PARTS = 4;
/** Bytes of a sum or fingerprint that travel in a recovery. */
const SHORT = 8;

/** A range of ids, [from, to); undefined: to the last id. */
type Range = readonly [from: string, to: string | undefined];

/** Count and sum of the items in a range, as they travel. */
interface Total {
  readonly count: number;
  readonly sum: Uint8Array;
}

/** Looks for what differs from the bases of a replica, and collects what it has found. */
interface Search {
  /** All bases in the order of their ids, and the sums of the first n of them. */
  readonly ids: readonly string[];
  readonly fingerprints: readonly Uint8Array[];
  readonly sums: readonly RangeSum[];
  /** The server's states of what differs, by id. */
  readonly found: Map<string, State>;
  /** The first answer: it says the head, the fork, and more that holds for all. */
  preamble: RangeAnswers | undefined;
}

/** Compares all items with the server's, and takes what differs. */
export async function recover(session: Session, why: RecoveryReason): Promise<void> {
  session.recovering = true;
  session.heard = NO_CHECKPOINT;
  session.report.recovery = { why, offered: [] };
  const lineage = session.rebinds ? [] : [...session.replica.lineage];
  session.stream.send({ $case: "recover", value: { lineage } });
  const search = searchIn(session.replica);
  const atOnce = Math.max(1, Math.min(RANGES_AT_ONCE, session.limits.windowItems));
  let ranges = cut(search, ["", undefined]);
  while (ranges.length > 0) {
    const finer: Range[] = [];
    while (ranges.length > 0) finer.push(...(await compareRanges(session, search, ranges.splice(0, atOnce))));
    ranges = finer;
  }
  await complete(session, search);
}

/** Lets the server compare ranges, and takes what it lists; answers those parts of the others that differ. */
async function compareRanges(session: Session, search: Search, asked: Range[]): Promise<Range[]> {
  session.stream.send({ $case: "ranges", value: toQuery(search, asked) });
  session.report.roundTrips += 1;
  const finer: Range[] = [];
  while (asked.length > 0) {
    const message = await session.stream.receiveOnly("ranges", "verdicts");
    if (message.$case === "ranges") {
      search.preamble ??= message.value;
      session.heard = later(session.heard, message.value.witness);
      finer.push(...readAnswers(search, asked, message.value));
    } else await takeMessage(session, message);
  }
  return finer;
}

/** Takes what was found, and stands where the server stood when the recovery began. */
async function complete(session: Session, { found, preamble }: Search): Promise<void> {
  if (preamble?.head === undefined) throw outOfOrder("the server's first answer to a recovery did not say its head");
  const { head, forkRevision: fork, lineage } = preamble;
  const { replica } = session;
  const creations = session.rebinds
    ? []
    : unsettledCreations(replica, head.revision).filter(({ id }) => !found.has(id));
  await takeChanges(session, [...found.values(), ...creations], {
    fork,
    checkpoint: head,
    store() {
      // Revisions beyond the fork may be of another history. The server has had all of these states at its head.
      for (const entry of replica.entries.values()) {
        const { base } = entry;
        if (base !== undefined && base.revision > Math.min(fork, head.revision))
          entry.base = { ...base, revision: head.revision };
      }
      const known = lineage.at(-1)?.firstRevision ?? 0;
      replica.lineage = [...lineage, ...session.begun.filter(({ firstRevision }) => firstRevision > known)];
      replica.uid = session.opened.collectionUid;
      // They speak of the history that was left.
      replica.checkpoint = NO_CHECKPOINT;
      replica.witness = NO_CHECKPOINT;
    },
  });
  session.recovering = false;
}

/**
 * A creation that was sent, and that the server tells nothing of, may have been made, and deleted by somebody else. One
 * that was deleted here since is still to be deleted there: what was sent may be under way yet.
 */
function unsettledCreations({ entries }: Replica, revision: number): State[] {
  const sent = [...entries.values()].filter(({ mine, base, pending }) => {
    const isCreation = mine !== undefined && base?.fingerprint === undefined;
    return isCreation && pending !== undefined && pending.sendings.length > 0;
  });
  return sent.map(({ id }) => stateOf(id, undefined, revision));
}

function searchIn({ entries }: Replica): Search {
  const ids: string[] = [];
  const fingerprints: Uint8Array[] = [];
  const sums: RangeSum[] = [NOTHING];
  for (const { id, base } of [...entries.values()].sort((a, b) => compareIds(a.id, b.id))) {
    if (base?.fingerprint === undefined) continue;
    ids.push(id);
    fingerprints.push(base.fingerprint);
    sums.push(plus(sums.at(-1) ?? NOTHING, sumOf(base.fingerprint)));
  }
  return { ids, fingerprints, sums, found: new Map(), preamble: undefined };
}

/** Which of the bases are in a range: from the first of them to before the last. */
function inside({ ids }: Search, [from, to]: Range): readonly [first: number, last: number] {
  const find = (bound: string): number => {
    let [low, high] = [0, ids.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (compareIds(ids[middle] as string, bound) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  return [find(from), to === undefined ? ids.length : find(to)];
}

function totalOf(search: Search, range: Range): Total {
  const [first, last] = inside(search, range);
  const total = minus(search.sums[last] as RangeSum, search.sums[first] as RangeSum);
  return { count: total.count, sum: sumBytes(total).subarray(0, SHORT) };
}

/** Parts of about the same size, unless it is small: the server cuts them again, which saves round trips. */
function cut(search: Search, range: Range): Range[] {
  const [first, last] = inside(search, range);
  const count = last - first;
  if (count <= SMALL) return [range];
  const bounds = Array.from({ length: PARTS - 1 }, (_, part) => first + Math.floor((count * (part + 1)) / PARTS));
  return split(
    range,
    bounds.map((at) => search.ids[at] as string),
  );
}

/** The parts of a range between these bounds. */
function split([from, to]: Range, inner: readonly string[]): Range[] {
  return [from, ...inner].map((start, part) => [start, part < inner.length ? inner[part] : to]);
}

/** The ranges, which are in order, as a query; with nothing asked of what is between them. */
function toQuery(search: Search, ranges: readonly Range[]): RangeQuery {
  const ends: string[] = [];
  const kinds: RangeKind[] = [];
  const counts: number[] = [];
  const sums: Uint8Array[] = [];
  const items: Uint8Array[] = [];
  let at: string | undefined = "";
  for (const range of ranges) {
    const [from, to] = range;
    if (from !== at) {
      ends.push(from);
      kinds.push(RangeKind.RANGE_KIND_UNSPECIFIED);
    }
    if (to !== undefined) ends.push(to);
    at = to;
    const [first, last] = inside(search, range);
    counts.push(last - first);
    if (last - first <= SMALL) {
      kinds.push(RangeKind.RANGE_KIND_ITEMS);
      items.push(...search.fingerprints.slice(first, last).map((each) => each.subarray(0, SHORT)));
    } else {
      kinds.push(RangeKind.RANGE_KIND_SUM);
      sums.push(totalOf(search, range).sum);
    }
  }
  if (at !== undefined) kinds.push(RangeKind.RANGE_KIND_UNSPECIFIED);
  return { ends: encodeBounds(ends), kinds, counts, sums: Buffer.concat(sums), items: Buffer.concat(items) };
}

/** Takes the ranges that are answered off those asked, and what is listed; answers the parts that differ. */
function readAnswers(search: Search, asked: Range[], answers: RangeAnswers): Range[] {
  const [sizes, lists] = [[...answers.parts], [...answers.lists]];
  const ends = decodeBounds(answers.ends ?? { shared: [], rest: [] }) ?? misfit();
  const totals = answers.counts.map((count, at): Total => {
    return { count, sum: answers.sums.subarray(at * SHORT, (at + 1) * SHORT) };
  });
  const finer: Range[] = [];
  for (const outcome of answers.outcomes) {
    const whole = asked.shift() ?? misfit();
    if (outcome === RangeOutcome.RANGE_OUTCOME_LIST) takeList(search, whole, lists.shift() ?? misfit());
    else if (outcome === RangeOutcome.RANGE_OUTCOME_SPLIT) {
      const size = sizes.shift() ?? misfit();
      if (size < 2 || size - 1 > ends.length) misfit();
      for (const part of split(whole, ends.splice(0, size - 1))) {
        const [own, theirs] = [totalOf(search, part), totals.shift() ?? misfit()];
        if (own.count !== theirs.count || !same(own.sum, theirs.sum)) finer.push(...cut(search, part));
      }
    } else if (outcome !== RangeOutcome.RANGE_OUTCOME_EQUAL) misfit();
  }
  const left = sizes.length + lists.length + ends.length + totals.length;
  if (left > 0 || answers.sums.length !== answers.counts.length * SHORT) misfit();
  return finer;
}

function misfit(): never {
  throw outOfOrder("the server's answer to a recovery does not fit what was asked");
}

/**
 * Takes what the server has in a range that differs, and what it has deleted after the fork. Of what else differs nothing is
 * known there: it was deleted up to the fork, or up to the horizon of tombstones.
 */
function takeList(search: Search, range: Range, list: RangeList): void {
  const { ids, found, preamble } = search;
  for (const state of readChanges([...list.items, ...list.deleted])) found.set(state.id, state);
  const own = ids.slice(...inside(search, range));
  const differing = own.length <= SMALL ? list.differing.flatMap((at) => own[at] ?? []) : own;
  const { compactedRevision = 0, forkRevision = 0 } = preamble ?? {};
  const revision = compactedRevision > forkRevision ? compactedRevision : 0;
  for (const id of differing) if (!found.has(id)) found.set(id, stateOf(id, undefined, revision));
}
