import { readAnswers, toRangeQuery } from "../../client/protocol/range-messages.js";
import { refineRanges, withEntries } from "../../client/protocol/refine-ranges.js";
import { type ClientFace, compare, compareRecovered, type KnownState } from "../../core/compare.js";
import { type Content, fromContentField } from "../../core/content.js";
import { cutEntries } from "../../core/cut-entries.js";
import { fingerprintOf, toFingerprint } from "../../core/fingerprint.js";
import { compareIds } from "../../core/id.js";
import type { IdInterval, RangeEntry } from "../../core/range.js";
import { createRangeSum, type RangeTotal, toRangeFingerprint, totalOf } from "../../core/range-sum.js";
import {
  type ChangeInfo,
  ChangeStandard,
  type Checkpoint,
  type Epoch,
  type RangeFingerprint,
} from "../../gen/tercet/v1/item.js";
import { type Push, PushOutcome, type RangeList, type Verdict } from "../../gen/tercet/v1/sync.js";
import type { Api } from "./api.js";
import { deletion, upsert } from "./build.js";

/** A client that walks the three steps by unary calls, as a language without streams would: nothing of it is the library's. */
export interface Walker {
  /** Its items, by id. */
  items(): Record<string, Content>;
  put(id: string, content: string): void;
  delete(id: string): void;
  /** Marks pending changes as an atomic group. */
  group(...ids: string[]): void;
  /** Step 1 with step 2: takes the change info since the checkpoint, compares, and gets the contents to take. */
  take(): Promise<void>;
  /** Step 3 towards the server: writes the pending changes. */
  give(): Promise<readonly Verdict[]>;
  /** All of it, until nothing is pending; the proof at the end. */
  walk(): Promise<RangeFingerprint | undefined>;
  /** Finds what differs where the token is refused; answers what the server had lost. */
  recover(): Promise<readonly string[]>;
  /** Count and sum of what was agreed on. */
  agreed(): RangeFingerprint;
}

interface Row {
  /** Undefined: deleted, or never there. */
  content: Content | undefined;
  pending: boolean;
  base: KnownState | undefined;
  /** The pending change overrides one of the server's, which is `base` by now. */
  overrides: boolean;
  group: number;
}

/** Contents up to so many bytes come inline, so that others have to be fetched. */
const INLINE_BYTES = 4;

/** A walker that knows of nothing. By its standard, SERVER or CLIENT, one of two conflicting changes prevails. */
export function createWalker(apiOf: () => Api, collection: string, standard: ChangeStandard): Walker {
  const rows = new Map<string, Row>();
  const checkpoint = { token: Buffer.alloc(0), revision: 0 };
  let lineage: Epoch[] = [];
  let groups = 0;

  const rowOf = (id: string): Row => {
    const row = rows.get(id) ?? { content: undefined, pending: false, base: undefined, overrides: false, group: 0 };
    rows.set(id, row);
    return row;
  };
  const printOf = (id: string, { content }: Row) => (content === undefined ? undefined : fingerprintOf(id, content));
  const faceOf = (id: string, row: Row): ClientFace => ({
    base: row.base,
    pending: row.pending ? { fingerprint: printOf(id, row) } : undefined,
    sendings: [],
  });

  /** Both sides have agreed. A deletion that both know of need not be remembered. */
  function settle(id: string, base: KnownState): void {
    if (base.fingerprint === undefined) rows.delete(id);
    else Object.assign(rowOf(id), { base, pending: false, overrides: false, group: 0 });
  }

  /** Step 2 for one item; whether its content is to be taken. */
  function meet({ id, ...info }: ChangeInfo, fork?: number): "take" | "lost" | undefined {
    const server = { fingerprint: info.fingerprint?.value, revision: info.revision };
    const row = rowOf(id);
    const face = faceOf(id, row);
    const found = fork === undefined ? compare(face, server) : compareRecovered(face, server, fork);
    switch (found) {
      case "known":
        return undefined;
      case "same":
      case "agreed":
        settle(id, server);
        return undefined;
      case "theirs":
        return "take";
      case "lost":
      case "arrived":
      case "new":
        Object.assign(row, { base: server, pending: true });
        return found === "lost" ? "lost" : undefined;
      case "conflict":
        if (standard !== ChangeStandard.CHANGE_STANDARD_CLIENT) return "take";
        Object.assign(row, { base: server, pending: true, overrides: true });
        return undefined;
    }
  }

  /** Gets the contents of changes that prevail and did not come inline, and stores them all. */
  async function takeAll(infos: readonly ChangeInfo[]): Promise<void> {
    const wanted = infos.filter(({ fingerprint, content }) => fingerprint !== undefined && content === undefined);
    const fetched = new Map<string, Content | undefined>();
    let ids = wanted.map(({ id }) => id);
    while (ids.length > 0) {
      const answer = await apiOf().batchGetItems({ collection, ids });
      for (const item of answer.items) fetched.set(item.id, fromContentField(item.content));
      ids = answer.notRead;
    }
    for (const info of infos) {
      const content = fromContentField(info.content) ?? fetched.get(info.id);
      rowOf(info.id).content = info.fingerprint === undefined ? undefined : content;
      settle(info.id, { fingerprint: info.fingerprint?.value, revision: info.revision });
    }
  }

  /** Step 1: the change info since the checkpoint, a page after the other. */
  async function take(): Promise<RangeFingerprint | undefined> {
    for (;;) {
      const page = await apiOf().listChanges({ collection, ...checkpoint, pageSize: 3, inlineBytes: INLINE_BYTES });
      await takeAll(page.changes.filter((change) => meet(change) === "take"));
      Object.assign(checkpoint, page.checkpoint);
      if (page.end) return page.proof;
    }
  }

  function toPush(id: string, row: Row): Push {
    const more = {
      expected: row.base?.fingerprint === undefined ? undefined : toFingerprint(row.base.fingerprint),
      revisionSeen: Math.max(checkpoint.revision, row.base?.revision ?? 0),
      overrides: row.overrides ? standard : ChangeStandard.CHANGE_STANDARD_UNSPECIFIED,
      group: row.group,
    };
    return row.content === undefined ? deletion(id, "", more) : upsert(id, row.content as string, more);
  }

  async function give(): Promise<readonly Verdict[]> {
    const pending = [...rows].filter(([, row]) => row.pending).sort(([, a], [, b]) => a.group - b.group);
    if (pending.length === 0) return [];
    const pushes = pending.map(([id, row]) => toPush(id, row));
    const { verdicts } = await apiOf().batchWriteItems({ collection, pushes, revisionSeen: checkpoint.revision });
    for (const verdict of verdicts) {
      for (let at = 0; at < verdict.count; at++) {
        const [id, row] = pending[verdict.ordinal + at] as [string, Row];
        const applied = verdict.outcome === PushOutcome.PUSH_OUTCOME_APPLIED;
        if (applied || verdict.outcome === PushOutcome.PUSH_OUTCOME_ALREADY_APPLIED) {
          const revision = verdict.revision + (applied && !verdict.oneRevision ? at : 0);
          settle(id, { fingerprint: printOf(id, row), revision });
        } else if (verdict.current !== undefined && meet(verdict.current) === "take") await takeAll([verdict.current]);
      }
    }
    return verdicts;
  }

  const bases = (): RangeEntry[] =>
    [...rows]
      .flatMap(([id, { base }]) => (base?.fingerprint === undefined ? [] : [{ id, fingerprint: base.fingerprint }]))
      .sort((a, b) => compareIds(a.id, b.id));
  const basesIn = ({ from, to }: IdInterval): RangeEntry[] =>
    bases().filter(({ id }) => compareIds(id, from) >= 0 && (to === undefined || compareIds(id, to) < 0));
  const totalIn = (interval: IdInterval): RangeTotal => {
    const sum = createRangeSum();
    for (const { fingerprint } of basesIn(interval)) sum.add(fingerprint);
    return totalOf(sum);
  };
  const ranges = {
    sumRanges: (intervals: readonly IdInterval[]) => intervals.map(totalIn),
    splitRange: (interval: IdInterval, parts: number) => cutEntries(basesIn(interval), interval, parts),
    listBases: (interval: IdInterval) => basesIn(interval),
  };

  /** What a list says of the items of its range, those that are not there at all included. */
  function changesOf(list: RangeList, own: readonly RangeEntry[], byItems: boolean, gone: number): ChangeInfo[] {
    const told = [...list.items, ...list.deleted];
    const ids = new Set(told.map(({ id }) => id));
    const suspects = byItems ? list.differing.map((at) => own[at] as RangeEntry) : own;
    const absent = suspects.filter(({ id }) => !ids.has(id)).map(({ id }) => ({ ...NOTHING, id, revision: gone }));
    return [...told, ...absent];
  }

  async function recover(): Promise<readonly string[]> {
    const lost: string[] = [];
    let asked = withEntries(ranges, refineRanges(ranges, undefined)).map((range) => ({ range, trip: 1 }));
    let head: Checkpoint | undefined;
    let theirs: Epoch[] = [];
    while (asked.length > 0) {
      const query = toRangeQuery(asked.map(({ range }) => range));
      const request = { collection, ranges: query, lineage, inlineBytes: INLINE_BYTES };
      const { answers } = await apiOf().compareRanges(request);
      const read = answers === undefined ? undefined : readAnswers(answers, asked);
      if (answers?.head === undefined || read === undefined || "reason" in read) throw new Error("a bad answer");
      head ??= answers.head;
      theirs = answers.lineage;
      const fork = answers.forkRevision;
      const gone = answers.compactedRevision > fork ? answers.compactedRevision : 0;
      for (const { range, list } of read.listed) {
        const own = basesIn(range.interval);
        const changes = changesOf(list, own, range.entries !== undefined, gone);
        const met = changes.map((change) => ({ change, as: meet(change, fork) }));
        lost.push(...met.filter(({ as }) => as === "lost").map(({ change }) => change.id));
        await takeAll(met.filter(({ as }) => as === "take").map(({ change }) => change));
      }
      const finer = withEntries(ranges, refineRanges(ranges, read.parts)).map((range) => ({
        range,
        trip: read.trip + 1,
      }));
      asked = [...asked.slice(answers.outcomes.length), ...(read.parts.length === 0 ? [] : finer)];
      asked.sort((a, b) => compareIds(a.range.interval.from, b.range.interval.from));
    }
    lineage = theirs;
    Object.assign(checkpoint, head);
    return lost.sort();
  }

  return {
    items: () =>
      Object.fromEntries(
        [...rows]
          .flatMap(([id, { content }]) => (content === undefined ? [] : [[id, content] as const]))
          .sort(([a], [b]) => compareIds(a, b)),
      ),
    put: (id, content) => void Object.assign(rowOf(id), { content, pending: true }),
    delete: (id) => void Object.assign(rowOf(id), { content: undefined, pending: true }),
    group(...ids) {
      groups += 1;
      for (const id of ids) rowOf(id).group = groups;
    },
    async take() {
      await take();
    },
    give,
    async walk() {
      for (let pass = 0; pass < 5; pass++) {
        const proof = await take();
        if ((await give()).length > 0) continue;
        const { answers } = await apiOf().compareRanges({ collection, ranges: NO_QUESTION });
        lineage = answers?.lineage ?? [];
        return proof;
      }
      throw new Error("other writers were faster five times");
    },
    recover,
    agreed: () => toRangeFingerprint(totalIn({ from: "", to: undefined })),
  };
}

/** Asks for the lineage, and compares nothing. */
const NO_QUESTION = { kinds: [0 as const] };

/** What is told of an item that is not there. */
const NOTHING: Omit<ChangeInfo, "id" | "revision"> = {
  kind: 2,
  fingerprint: undefined,
  size: 0,
  modifyTimeUs: 0,
  group: 0,
  content: undefined,
};
