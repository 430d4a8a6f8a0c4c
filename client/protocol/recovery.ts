import type { Fault } from "../../core/fault.js";
import { compareIds } from "../../core/id.js";
import type { Change } from "../../core/page.js";
import type { IdInterval, RangeEntry } from "../../core/range.js";
import { MAX_QUERY_RANGES } from "../../core/reconcile.js";
import type { Checkpoint } from "../../gen/tercet/v1/item.js";
import type { RangeAnswers, RangeList, RangeQuery } from "../../gen/tercet/v1/sync.js";
import type { ApplyBatch } from "../replica/apply-batch.js";
import type { KnownChange } from "./compare-changes.js";
import { outOfOrder } from "./faults.js";
import type { ClientOperation, ClientResult } from "./operation.js";
import { type Asked, type Listed, readAnswers, readList, toRangeQuery } from "./range-messages.js";
import type { FinerRange, TheirPart } from "./refine-ranges.js";

/** What recovery needs of the machine around it. */
export interface RecoveryWorld {
  ask(operation: ClientOperation, then: (result: ClientResult) => void): void;
  /** Sends a query; answers in which round trip. */
  send(query: RangeQuery): number;
  /** These are the server's states of items that differ, found in this round trip: to be compared and stored. */
  found(changes: readonly Change[], doubtful: readonly Change[], trip: number, then: () => void): void;
  /** Everything has been compared. */
  complete(recovered: NonNullable<ApplyBatch["recovered"]>): void;
  fail(fault: Fault): void;
  /** What was sent went to another collection, which is gone: it can't arrive in this one. */
  rebinds(): boolean;
  /** The server's states up to this revision are older than what it lost. */
  lostAfter(): number;
  /** Most ranges that the server may be asked about at once. */
  windowItems(): number;
}

/** The client's side of range-based set reconciliation. */
export interface Recovery {
  /** Asks the first ranges. */
  begin(): void;
  receive(answers: RangeAnswers): void;
  /** An answer is being worked on: the next one has to wait. */
  readonly busy: boolean;
  /** The latest revision that the server has spoken of. */
  readonly witness: Checkpoint | undefined;
}

/** Ranges of a query: with what lies between them not more than a query may have. */
const RANGES_AT_ONCE = MAX_QUERY_RANGES / 2 - 1;
/** Items of the ranges in a query that are compared item by item, about: 128 KiB of short fingerprints. */
const ITEMS_AT_ONCE = 16_384;
/** The same of all ranges that are without an answer, whose entries are kept until then: some 5 MB. */
const MOST_ITEMS_ASKED = 32_768;
/** While others are without an answer, it is asked about so many or more: few, so that both sides are at work. */
const ENOUGH = 128;
/** Ranges that may be without an answer. */
const MOST_ASKED = MAX_QUERY_RANGES;
/** Where many ranges wait, few are asked at a time: deep first, so that not many more come to wait. */
const MANY_WAITING = 4096;
const FEW_RANGES = 1024;
const BASES_AT_ONCE = 1000;

/** A recovery that has not begun. */
export function createRecovery(world: RecoveryWorld): Recovery {
  let preamble: RangeAnswers | undefined;
  let witness: Checkpoint | undefined;
  /** Ranges without an answer, in the order in which they were asked. */
  let asked: Asked[] = [];
  /** Ranges that are still to be asked, the latest found last. */
  const waiting: FinerRange[] = [];
  let busy = false;

  /** Asks as much of what waits as may be without an answer, a query at a time. */
  function ask(then: () => void): void {
    const isMany = waiting.length > MANY_WAITING;
    const ranges = asked.length > 0 && waiting.length < ENOUGH ? [] : nextRanges(isMany ? FEW_RANGES : RANGES_AT_ONCE);
    if (ranges.length === 0) return then();
    world.ask({ kind: "entries", ranges }, (result) => {
      if (result.kind !== "entries") return;
      const trip = world.send(toRangeQuery(result.ranges));
      asked = [...asked, ...result.ranges.map((range) => ({ range, trip }))];
      if (isMany) then();
      else ask(then);
    });
  }

  /** Takes ranges for a query off those that wait, in the order of their ids. */
  function nextRanges(most: number): readonly FinerRange[] {
    const room = Math.min(most, MOST_ASKED - asked.length, world.windowItems() - asked.length);
    const itemsAsked = asked.reduce((sum, { range }) => sum + (range.entries?.length ?? 0), 0);
    let itemsLeft = Math.min(ITEMS_AT_ONCE, MOST_ITEMS_ASKED - itemsAsked);
    let first = waiting.length;
    while (first > 0 && waiting.length - first < room && itemsLeft > 0) {
      first -= 1;
      const { byItems, total } = waiting[first] as FinerRange;
      if (byItems) itemsLeft -= total.count;
    }
    return waiting.splice(first).sort((a, b) => compareIds(a.interval.from, b.interval.from));
  }

  function refine(parts: readonly TheirPart[] | undefined, then: () => void): void {
    if (parts?.length === 0) return then();
    world.ask({ kind: "refine", parts }, (result) => {
      if (result.kind !== "refine") return;
      waiting.push(...result.ranges);
      then();
    });
  }

  function goOn(): void {
    ask(() => {
      busy = asked.length === 0;
      if (!busy) return;
      if (world.rebinds()) complete();
      else settleCreations(0);
    });
  }

  /** What was listed, range by range; then finer ranges of what was split. */
  function take(listed: readonly Listed[], parts: readonly TheirPart[], trip: number): void {
    const told: Change[] = [];
    const doubtful: Change[] = [];
    const small = listed.filter(({ range }) => range.entries !== undefined);
    for (const { range, list } of small) {
      const read = readList(list);
      if ("reason" in read) return world.fail(read);
      told.push(...read.changes, ...lacking(range.entries ?? [], list, headOf().compactedRevision));
      doubtful.push(...read.doubtful);
    }
    world.found(told, doubtful, trip, () => takeWhole(listed, 0, trip, () => refine(parts, goOn)));
  }

  /** Ranges in which the server has few items and this side has many: its bases are read in pieces. */
  function takeWhole(listed: readonly Listed[], at: number, trip: number, then: () => void): void {
    const next = listed[at];
    if (next === undefined) return then();
    const after = (): void => takeWhole(listed, at + 1, trip, then);
    if (next.range.entries !== undefined) return after();
    const read = readList(next.list);
    if ("reason" in read) return world.fail(read);
    world.found(read.changes, read.doubtful, trip, () => takeRest(next, next.range.interval, trip, after));
  }

  function takeRest(listed: Listed, interval: IdInterval, trip: number, then: () => void): void {
    world.ask({ kind: "bases", interval, limit: BASES_AT_ONCE }, (result) => {
      if (result.kind !== "bases") return;
      const { entries } = result;
      const last = entries.at(-1);
      if (last === undefined) return then();
      const known = new Set([...listed.list.items, ...listed.list.deleted].map(({ id }) => id));
      const rest = entries.filter(({ id }) => !known.has(id));
      const gone = rest.map(({ id }) => absent(id, headOf().compactedRevision));
      // No id is between this one and itself with a control character behind it.
      const further = { from: `${last.id}\u0000`, to: interval.to };
      world.found(gone, [], trip, () => {
        if (entries.length < BASES_AT_ONCE) then();
        else takeRest(listed, further, trip, then);
      });
    });
  }

  function headOf(): RangeAnswers {
    return preamble as RangeAnswers;
  }

  /** Absent at the server, and nothing known of a deletion: as of the head, or of the fork and before. */
  function absent(id: string, compacted: number): Change {
    const revision = compacted > world.lostAfter() ? compacted : 0;
    return { id, revision, fingerprint: undefined, size: 0, modifyTimeUs: 0, group: 0, content: undefined };
  }

  function lacking(entries: readonly RangeEntry[], list: RangeList, compacted: number): readonly Change[] {
    const told = new Set([...list.items, ...list.deleted].map(({ id }) => id));
    return list.differing.flatMap((at) => {
      const id = entries[at]?.id;
      return id === undefined || told.has(id) ? [] : [absent(id, compacted)];
    });
  }

  /** A creation that was sent and that the server told nothing of may have been made, and deleted by somebody else. */
  function settleCreations(after: number): void {
    world.ask({ kind: "creations", after }, (result) => {
      if (result.kind !== "creations") return;
      const last = result.states.at(-1);
      if (last === undefined) return complete();
      const revision = headOf().head?.revision ?? 0;
      const gone = result.states.map(({ id }): KnownChange => ({ ...absent(id, 0), revision, presumed: true }));
      world.found(gone, [], 0, () => settleCreations(last.sequence));
    });
  }

  function complete(): void {
    const { head, lineage } = headOf();
    if (head === undefined)
      return world.fail(outOfOrder("the server's first answer to a recovery did not say its head"));
    world.complete({ token: head.token, revision: head.revision, lineage });
  }

  return {
    begin() {
      busy = true;
      refine(undefined, () => {
        ask(() => {
          busy = false;
        });
      });
    },
    receive(answers) {
      preamble ??= answers;
      witness = answers.witness ?? witness;
      const read = readAnswers(answers, asked);
      if ("reason" in read) return world.fail(read);
      busy = true;
      asked = asked.slice(answers.outcomes.length);
      take(read.listed, read.parts, read.trip);
    },
    get busy() {
      return busy;
    },
    get witness() {
      return witness;
    },
  };
}
