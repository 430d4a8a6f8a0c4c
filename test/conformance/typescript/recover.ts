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

/** A range of ids, [from, to); undefined: to the last id. */
type Range = readonly [from: string, to: string | undefined];

/** All bases in the order of their ids, and the sums of the first n of them. */
interface Bases {
  readonly ids: readonly string[];
  readonly fingerprints: readonly Uint8Array[];
  readonly sums: readonly RangeSum[];
}

/** A range with so few bases is compared item by item. */
const LEAF_ITEMS = 12;
/** With the ranges between them that are not asked about, a query may have 4,096. */
const RANGES_AT_ONCE = 2000;

/** Compares all items with the server's, and takes what differs. */
export async function recover(session: Session, why: RecoveryReason): Promise<void> {
  const { replica, report, stream } = session;
  session.recovering = true;
  session.heard = NO_CHECKPOINT;
  report.recovery = { why, offered: [] };
  const lineage = session.rebinds ? [] : [...replica.lineage];
  stream.send({ $case: "recover", value: { lineage } });
  const bases = sortedBases(replica);
  const found = new Map<string, State>();
  let preamble: RangeAnswers | undefined;
  let ranges = cut(bases, ["", undefined]);
  while (ranges.length > 0) {
    const asked = ranges.splice(0, Math.max(1, session.limits.windowItems / 2));
    for (let at = 0; at < asked.length; at += RANGES_AT_ONCE) {
      stream.send({ $case: "ranges", value: toQuery(bases, asked.slice(at, at + RANGES_AT_ONCE)) });
    }
    report.roundTrips += 1;
    const finer: Range[] = [];
    while (asked.length > 0) {
      const message = await stream.receiveOnly("ranges", "verdicts");
      if (message.$case !== "ranges") {
        await takeMessage(session, message);
        continue;
      }
      const answers = message.value;
      preamble ??= answers;
      finer.push(...readAnswers(bases, asked, answers, preamble, found));
      session.heard = later(session.heard, answers.witness);
    }
    // A query is in the order of ids: what is finer lies before what was not asked yet.
    ranges = [...finer, ...ranges];
  }
  if (preamble?.head === undefined) throw outOfOrder("the server's first answer to a recovery did not say its head");
  await complete(session, preamble, found);
}

/** Takes what was found, and stands where the server stood when the recovery began. */
async function complete(
  session: Session,
  { head = NO_CHECKPOINT, forkRevision: fork, lineage }: RangeAnswers,
  found: ReadonlyMap<string, State>,
): Promise<void> {
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

/** A creation that was sent, and that the server tells nothing of, may have been made, and deleted by somebody else. */
function unsettledCreations({ entries }: Replica, revision: number): State[] {
  const sent = [...entries.values()].filter(({ base, pending }) => {
    return base?.fingerprint === undefined && pending !== undefined && pending.sendings.length > 0;
  });
  return sent.map(({ id }) => stateOf(id, undefined, revision));
}

function sortedBases({ entries }: Replica): Bases {
  const ids: string[] = [];
  const fingerprints: Uint8Array[] = [];
  const sums: RangeSum[] = [NOTHING];
  for (const { id, base } of [...entries.values()].sort((a, b) => compareIds(a.id, b.id))) {
    if (base?.fingerprint === undefined) continue;
    ids.push(id);
    fingerprints.push(base.fingerprint);
    sums.push(plus(sums.at(-1) ?? NOTHING, sumOf(base.fingerprint)));
  }
  return { ids, fingerprints, sums };
}

/** Which of the bases are in a range: from the first of them to before the last. */
function inside({ ids }: Bases, [from, to]: Range): readonly [first: number, last: number] {
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

function totalOf(bases: Bases, range: Range): RangeSum {
  const [first, last] = inside(bases, range);
  return minus(bases.sums[last] as RangeSum, bases.sums[first] as RangeSum);
}

/** Cuts a range into parts of about the same size. Few parts cost fewer bytes, many parts fewer round trips. */
function cut(bases: Bases, range: Range): Range[] {
  const [first, last] = inside(bases, range);
  const count = last - first;
  if (count <= LEAF_ITEMS) return [range];
  const parts = count >= 16_384 ? 16 : count >= 1_024 ? 8 : 4;
  const inner = Array.from({ length: parts - 1 }, (_, part) => first + Math.floor((count * (part + 1)) / parts));
  return split(
    range,
    inner.map((at) => bases.ids[at] as string),
  );
}

/** The parts of a range between these bounds. */
function split([from, to]: Range, inner: readonly string[]): Range[] {
  return [from, ...inner].map((start, part) => [start, part < inner.length ? inner[part] : to]);
}

/** The ranges, which are in order, as a query; with nothing asked of what is between them. */
function toQuery(bases: Bases, ranges: readonly Range[]): RangeQuery {
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
    const [first, last] = inside(bases, range);
    const isLeaf = last - first <= LEAF_ITEMS;
    kinds.push(isLeaf ? RangeKind.RANGE_KIND_ITEMS : RangeKind.RANGE_KIND_SUM);
    counts.push(last - first);
    if (isLeaf) items.push(...bases.fingerprints.slice(first, last).map((each) => each.subarray(0, 8)));
    else sums.push(sumBytes(totalOf(bases, range)).subarray(0, 8));
  }
  if (at !== undefined) kinds.push(RangeKind.RANGE_KIND_UNSPECIFIED);
  return { ends: encodeBounds(ends), kinds, counts, sums: Buffer.concat(sums), items: Buffer.concat(items) };
}

/** Takes the ranges that are answered out of those asked; answers finer ones, which are to be asked next. */
function readAnswers(
  bases: Bases,
  asked: Range[],
  answers: RangeAnswers,
  preamble: RangeAnswers,
  found: Map<string, State>,
): Range[] {
  const { outcomes, parts, counts, sums, lists } = answers;
  const ends = decodeBounds(answers.ends ?? { shared: [], rest: [] });
  const at = { list: 0, split: 0, end: 0, part: 0 };
  const finer: Range[] = [];
  for (const outcome of outcomes) {
    const range = asked.shift();
    const size = outcome === RangeOutcome.RANGE_OUTCOME_SPLIT ? (parts[at.split++] ?? 0) : 0;
    const list = outcome === RangeOutcome.RANGE_OUTCOME_LIST ? lists[at.list++] : undefined;
    if (range === undefined || ends === undefined) break;
    if (list !== undefined) takeList(bases, range, list, preamble, found);
    const inner = ends.slice(at.end, at.end + size - 1);
    at.end += Math.max(0, size - 1);
    for (const part of size === 0 ? [] : split(range, inner)) {
      const own = totalOf(bases, part);
      const short = sums.subarray(at.part * 8, at.part * 8 + 8);
      const isEqual = own.count === counts[at.part] && same(sumBytes(own).subarray(0, 8), short);
      if (!isEqual) finer.push(...cut(bases, part));
      at.part += 1;
    }
  }
  const fits =
    ends !== undefined &&
    at.end === ends.length &&
    at.part === counts.length &&
    at.part * 8 === sums.length &&
    at.split === parts.length &&
    parts.every((size) => size >= 2) &&
    at.list === lists.length;
  if (!fits) throw outOfOrder("the server's answer to a recovery does not fit what was asked");
  return finer;
}

/** What the server has in a range that differs; and what it does not have, and nothing is known of its deletion. */
function takeList(
  bases: Bases,
  range: Range,
  list: RangeList,
  { compactedRevision, forkRevision }: RangeAnswers,
  found: Map<string, State>,
): void {
  for (const state of readChanges([...list.items, ...list.deleted])) found.set(state.id, state);
  const own = bases.ids.slice(...inside(bases, range));
  const differing = own.length <= LEAF_ITEMS ? list.differing.flatMap((index) => own[index] ?? []) : own;
  // Deletions beyond the fork would be told, but for those up to the horizon.
  const revision = compactedRevision > forkRevision ? compactedRevision : 0;
  for (const id of differing) if (!found.has(id)) found.set(id, stateOf(id, undefined, revision));
}
