import fc from "fast-check";
import { expect } from "vitest";
import type { Action } from "../../client/replica/action.js";
import type { ApplyBatch } from "../../client/replica/apply-batch.js";
import { GroupTooLarge, type LocalWrite } from "../../client/replica/local-items.js";
import type { BaseState } from "../../client/replica/local-state.js";
import type { OutgoingChange, OutgoingQuery } from "../../client/replica/outgoing-batch.js";
import type { ReplicaStore } from "../../client/replica/store.js";
import type { Content } from "../../core/content.js";
import { fingerprintOf } from "../../core/fingerprint.js";
import type { IdInterval } from "../../core/range.js";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import { createModel, hex, type Model, RANGES, shown, sumOf, TOO_LARGE } from "./model.js";

/** Too many for an atomic group of one. */
const TOO_MANY = ["a", "b"].map((id) => put(id, "of a group that is too large"));

/** A replica under test that can be closed and opened again, without a change to be seen. */
export interface Harness {
  replica(): ReplicaStore;
  reopen(): void;
  dispose(): void;
}

/** Ids whose order tells UTF-8 from UTF-16, and prefixes of one another. */
export const IDS = ["a", "a/", "a/b", "a\u{ffff}", "a\u{10000}", "b", "\u{e000}", "\u{1f600}", "\u{d7ff}"] as const;
/** Contents; the first two have the same bytes. */
export const CONTENTS: readonly Content[] = [
  "x\0y",
  Buffer.from("x\0y"),
  "",
  new Uint8Array(0),
  "snow \u{2603}",
  Buffer.from([0, 255, 128]),
  "z".repeat(3000),
  Buffer.alloc(2100, "y"),
];
/** What is large to the replicas under test: the last two contents are, in several pieces each. */
export const LARGE = { wholeBytes: 2000 } as const;
export const UID = Buffer.alloc(16, 7);
const STANDARDS = [ChangeStandard.CHANGE_STANDARD_SERVER, ChangeStandard.CHANGE_STANDARD_CLIENT] as const;
const ALL_IDS: readonly string[] = [...IDS, "unknown"];

/** A change of the application. */
export function put(id: string, content: Content): LocalWrite {
  return { id, upsert: { content, fingerprint: fingerprintOf(id, content) } };
}

/** The deletion of an item. */
export function del(id: string): LocalWrite {
  return { id, upsert: undefined };
}

/** All that can be seen of a replica, in the model's words. */
export function view(replica: ReplicaStore): ReturnType<Model["view"]> {
  const { items, pending, rejected, held, conflicts, lastSequence, total, ...rest } = replica.state();
  const conflictRecords = replica.listConflicts(Number.MAX_SAFE_INTEGER, 1000);
  return {
    state: {
      items,
      pending,
      rejected,
      held,
      conflicts,
      lastSequence,
      token: hex(rest.token) as string,
      revision: rest.revision,
      witness: hex(rest.witness) as string,
      witnessRevision: rest.witnessRevision,
      recovering: rest.recovering,
      uid: hex(rest.collectionUid) as string,
      count: total.count,
      sum: hex(total.sum) as string,
    },
    items: replica
      .list({ prefix: "", after: "", limit: 1000 })
      .map(({ id, content, fingerprint, modifyTimeUs, pending }) => {
        return { id, content: shown(content), print: hex(fingerprint) as string, time: modifyTimeUs, pending };
      }),
    pending: replica.listPending(0, 1000).map(({ modifyTimeUs, ...change }) => ({ ...change, time: modifyTimeUs })),
    lookup: replica.lookup(ALL_IDS).map(({ id, sequence, pending, modifyTimeUs, base, sendings }) => ({
      id,
      sequence,
      pending: pending && {
        print: hex(pending.fingerprint),
        time: pending.modifyTimeUs,
        held: pending.held,
        group: pending.group && { key: pending.group.key, ids: pending.group.ids, latest: pending.group.latestUs },
      },
      time: modifyTimeUs,
      base: shownBase(base),
      sendings: sendings.map((sent) => hex(sent) ?? "").sort(),
      baseContent: shown(replica.getBaseContent(id)),
    })) as ReturnType<Model["view"]>["lookup"],
    held: replica.listHeld("", 1000).map(({ mineTimeUs, theirsTimeUs, mine, theirs, ...item }) => {
      return { ...item, mine: hex(mine), mineTime: mineTimeUs, theirs: hex(theirs), theirsTime: theirsTimeUs };
    }),
    creations: replica.listUnsettledCreations(0, 1000).map((state) => state.id),
    bases: replica.listBases({ from: "", to: undefined }, 1000).map(({ id, fingerprint }) => {
      return [id, hex(fingerprint) as string];
    }),
    ranges: replica.sumRanges(RANGES).map(({ count, sum }) => ({ count, sum: hex(sum) as string })),
    conflicts: conflictRecords.map(
      ({ number, id, fingerprint, prevailed, standard, recordTimeUs, modifyTimeUs, size }) => {
        const { content } = replica.getConflict(number) as { content: Content | undefined };
        expect(size).toBe(content === undefined ? 0 : Buffer.from(content as string).length);
        const prints = { print: hex(fingerprint), prevailed: hex(prevailed) };
        return {
          number,
          id,
          ...prints,
          standard,
          recordTime: recordTimeUs,
          time: modifyTimeUs,
          content: shown(content),
        };
      },
    ),
  };
}

function shownBase(base: BaseState | undefined) {
  return base && { print: hex(base.fingerprint), revision: base.revision, time: base.modifyTimeUs };
}

/** The parts of a range must be the range, one behind the other, each with the sum of what is in it. */
export function checkSplit(replica: ReplicaStore, interval: IdInterval, parts: number): void {
  const pieces = replica.splitRange(interval, parts);
  expect([pieces[0]?.from, pieces.at(-1)?.to]).toEqual([interval.from, interval.to]);
  for (const [index, piece] of pieces.entries()) {
    if (index > 0) expect(piece.from).toBe(pieces[index - 1]?.to);
    const prints = replica.listBases(piece, 1_000_000).map((entry) => hex(entry.fingerprint) as string);
    expect(piece.total.count).toBe(prints.length);
    expect(hex(piece.total.sum)).toBe(sumOf(prints));
  }
}

/** One step, in numbers that mean something only once the state is known. */
type Step =
  | {
      readonly do: "write";
      readonly changes: readonly { id: number; content: number }[];
      readonly group: boolean;
      readonly sending: boolean;
      readonly clock: number;
    }
  | ({
      readonly do: "take";
      readonly ids: readonly number[] | undefined;
      readonly after: number;
      readonly through: number;
    } & { readonly bytes: number; readonly changes: number; readonly eager: boolean })
  | {
      readonly do: "apply";
      readonly actions: readonly ActionSeed[];
      readonly checkpoint: boolean;
      /** How far from the revision of the batch the one is that it heard of; undefined for none. */
      readonly witness: number | undefined;
      readonly opened: boolean;
      /** How far before the revision of the batch a recovery ends; undefined for none. */
      readonly recovered: number | undefined;
      /** How far before the revision of the batch histories part: where a recovery begins, and where one ends. */
      readonly parted: number | undefined;
      readonly fork: number | undefined;
      readonly more: boolean;
    }
  | {
      readonly do: "verdicts";
      readonly last: number;
      readonly reject: number;
      readonly late: boolean;
      readonly resent: boolean;
    }
  | { readonly do: "conflict"; readonly which: number; readonly restore: boolean }
  | { readonly do: "prune"; readonly age: number }
  | {
      readonly do: "resolve";
      readonly id: number;
      readonly how: "mine" | "theirs" | "merged";
      readonly content: number;
    };

interface ActionSeed {
  readonly kind: Action["kind"];
  readonly id: number;
  readonly content: number;
  readonly stale: boolean;
  readonly pick: number;
  readonly ahead: number;
  readonly flag: boolean;
}

const idIndex = fc.nat({ max: IDS.length - 1 });
/** One beyond the contents stands for a deletion. */
const contentIndex = fc.nat({ max: CONTENTS.length });
const often = fc.integer({ min: 0, max: 9 });

const actionSeed: fc.Arbitrary<ActionSeed> = fc.record({
  kind: fc.constantFrom(
    "take",
    "take",
    "rebase",
    "rebase",
    "offer",
    "merge",
    "agree",
    "settle",
    "settle",
    "settle",
    "reject",
  ),
  id: idIndex,
  content: contentIndex,
  stale: often.map((n) => n === 0),
  pick: fc.nat({ max: 11 }),
  ahead: fc.constantFrom(0, 0, 5, 1e6, 3e8),
  flag: fc.boolean(),
});

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constant("write" as const),
    changes: fc.uniqueArray(fc.record({ id: idIndex, content: contentIndex }), { maxLength: 5, selector: (c) => c.id }),
    clock: fc.constantFrom(0, 0, 1, 1000),
    group: fc.boolean(),
    sending: fc.boolean(),
  }),
  fc.record({
    do: fc.constant("take" as const),
    ids: fc.option(fc.uniqueArray(idIndex, { maxLength: 4 }), { nil: undefined }),
    after: fc.nat({ max: 12 }),
    through: fc.constantFrom(0, 2, 5, 1000, 1000, 1000),
    bytes: fc.constantFrom(1, 100, 200, 300, 4000, 100_000),
    changes: fc.constantFrom(1, 3, 100),
    eager: fc.boolean(),
  }),
  fc.record({
    do: fc.constant("apply" as const),
    actions: fc.array(actionSeed, { maxLength: 8 }),
    checkpoint: fc.boolean(),
    witness: fc.option(fc.integer({ min: -3, max: 12 }), { nil: undefined }),
    opened: often.map((n) => n === 0),
    recovered: fc.option(fc.nat({ max: 6 }), { nil: undefined, freq: 2 }),
    parted: fc.option(fc.nat({ max: 9 }), { nil: undefined, freq: 1 }),
    fork: fc.option(fc.nat({ max: 9 }), { nil: undefined }),
    more: fc.boolean(),
  }),
  fc.record({
    do: fc.constant("verdicts" as const),
    last: fc.nat({ max: 12 }),
    reject: fc.nat({ max: 12 }),
    late: often.map((n) => n === 0),
    resent: fc.boolean(),
  }),
  fc.record({ do: fc.constant("conflict" as const), which: fc.nat({ max: 3 }), restore: fc.boolean() }),
  fc.record({ do: fc.constant("prune" as const), age: fc.constantFrom(-1, 0, 1000) }),
  fc.record({
    do: fc.constant("resolve" as const),
    id: idIndex,
    how: fc.constantFrom("mine" as const, "theirs" as const, "merged" as const),
    content: contentIndex,
  }),
);

/** Random sequences of steps. */
export const steps: fc.Arbitrary<readonly Step[]> = fc.array(step, { maxLength: 40, size: "max" });

/** Runs steps on a model and any number of replicas, which must answer and look the same after every one. */
export function drive(script: readonly Step[], harnesses: readonly Harness[], reopenEvery: number): void {
  const model = createModel();
  const world = createWorld(model);
  for (const [index, next] of script.entries()) {
    const call = world.resolve(next);
    const wanted = call.model();
    for (const harness of harnesses) {
      // What throws changes nothing.
      expect(() => harness.replica().write(TOO_MANY, 1e15, { items: 1, bytes: 1e6 })).toThrow(GroupTooLarge);
      expect(call.replica(harness.replica())).toEqual(wanted);
      expect(view(harness.replica())).toEqual(model.view(ALL_IDS));
      expect(harness.replica().audit()).toBeUndefined();
      for (const parts of [2, 5]) checkSplit(harness.replica(), RANGES[index % RANGES.length] as IdInterval, parts);
      if (index % reopenEvery === 0) harness.reopen();
    }
  }
}

interface Call {
  model(): unknown;
  replica(replica: ReplicaStore): unknown;
}

/** Gives steps a meaning: the clock, the server's revisions, and what was sent and may get a verdict. */
function createWorld(model: Model): { resolve(step: Step): Call } {
  let nowUs = 1_000_000;
  let revision = 0;
  const sent: { id: string; sequence: number; fingerprint: Uint8Array | undefined }[] = [];

  function upsertOf(id: string, content: number): LocalWrite["upsert"] {
    const chosen = CONTENTS[content];
    return chosen === undefined ? undefined : put(id, chosen).upsert;
  }

  /** Judged before the first of them is made, so that of several on one id the later ones may be stale. */
  function actionsOf(seeds: readonly ActionSeed[]): Action[] {
    const seen = new Set<string>();
    return seeds.flatMap((seed) => {
      const group = model.unitOf(IDS[seed.id] ?? "a");
      if (group.length > 1 && seed.pick % 3 !== 0) return wholeUnit(seed, group, seen);
      const verdict = seed.kind === "settle" || seed.kind === "reject" ? sent.at(-1 - seed.pick) : undefined;
      const id = verdict?.id ?? IDS[seed.id] ?? "a";
      // Onto a clean item, or one whose content is another by then, these would be a fault of the caller.
      if ((seed.kind === "rebase" || seed.kind === "merge" || seed.kind === "offer") && seen.has(id)) return [];
      if (seed.kind === "merge" && model.sequenceOf(id) === 0) return [];
      seen.add(id);
      revision += 1;
      return actionOf(seed, id, verdict);
    });
  }

  /** Actions on a group, of which one may be stale. */
  function wholeUnit(seed: ActionSeed, group: readonly string[], seen: Set<string>): Action[] {
    if (seed.kind === "settle" || seed.kind === "reject" || seed.kind === "offer") return [];
    if (group.some((id) => seen.has(id))) return [];
    revision += 1;
    const unit = revision;
    return group.flatMap((id, index) => {
      seen.add(id);
      const kind = index === 0 ? seed.kind : (["take", "rebase", "merge", "agree"] as const)[(seed.pick + index) % 4];
      const stale = seed.stale && index === seed.pick % group.length;
      const made = actionOf({ ...seed, kind: kind ?? "take", stale, pick: seed.pick + index }, id, undefined);
      return made.map((action) => ({ ...action, unit }) as Action);
    });
  }

  function actionOf(seed: ActionSeed, id: string, verdict: (typeof sent)[number] | undefined): Action[] {
    const sequence = model.sequenceOf(id) + (seed.stale ? 1 : 0);
    const upsert = upsertOf(id, seed.content);
    if (seed.kind === "settle") {
      const late = seed.stale ? (model.baseOf(id)?.revision ?? 0) : revision;
      return verdict === undefined ? [] : [{ kind: "settle", ...verdict, revision: late }];
    }
    if (seed.kind === "reject") {
      const { fingerprint: _, ...which } = verdict ?? { id, sequence, fingerprint: undefined };
      return [{ kind: "reject", ...which, reason: TOO_LARGE, message: `no ${revision}`, resent: seed.flag }];
    }
    if (seed.kind === "agree") return [{ kind: "agree", id, sequence, revision }];
    if (seed.kind === "take") {
      const conflict = seed.flag ? STANDARDS[0] : undefined;
      if (seed.pick % 3 === 2 && upsert !== undefined) {
        const unseen = { sequence: 0, conflict: undefined, onlyNew: true };
        return [{ kind: "take", id, upsert, revision, modifyTimeUs: nowUs + seed.ahead, ...unseen }];
      }
      return [{ kind: "take", id, sequence, upsert, revision, modifyTimeUs: nowUs + seed.ahead, conflict }];
    }
    const mine = model.mineOf(id);
    const clean = model.sequenceOf(id) === 0;
    const theirs = IDS.length - seed.id > 4 ? upsertOf(id, seed.pick % CONTENTS.length) : undefined;
    const modifyTimeUs = nowUs + seed.ahead;
    const base = { fingerprint: theirs?.fingerprint, revision, modifyTimeUs };
    const content = seed.flag ? theirs?.content : undefined;
    if (seed.kind === "offer") {
      const overrides = seed.flag ? STANDARDS[1] : undefined;
      return [{ kind: "offer", id, sequence: 0, base: seed.flag ? base : undefined, content, overrides }];
    }
    if (seed.kind === "merge") {
      return [{ kind: "merge", id, sequence, upsert, base, content, overrides: STANDARDS[1], modifyTimeUs }];
    }
    const fingerprint = clean ? mine && Buffer.from(mine.print, "hex") : upsert?.fingerprint;
    // What is held always has theirs.
    const held = seed.pick % 4 < 2;
    const known = !clean && (seed.flag || held) ? upsert?.content : undefined;
    const overrides = seed.pick % 2 === 0 ? undefined : STANDARDS[1];
    const onto = { base: { ...base, fingerprint }, content: known, overrides };
    return [{ kind: "rebase", id, sequence, ...onto, ...(held && { held }) }];
  }

  function writeCall(step: Extract<Step, { do: "write" }>): Call {
    nowUs += step.clock;
    const at = nowUs;
    const changes = step.changes.map(({ id, content }) => ({
      id: IDS[id] as string,
      upsert: upsertOf(IDS[id] as string, content),
    }));
    const limits = step.group ? { items: 100, bytes: 1e6 } : undefined;
    const { sending } = step;
    return {
      model: () =>
        sending ? model.writeSending(changes, at, LARGE.wholeBytes, limits) : model.write(changes, at, limits),
      replica(replica) {
        const written = withStaged(replica, (stage) =>
          replica.write(
            changes.map((change) => stagedWrite(change, stage)),
            at,
            limits,
            sending,
          ),
        );
        // What is taken in the same exchange counts as not sent before, which only the replica itself knows.
        if (sending) replica.begin();
        return written;
      },
    };
  }

  function takeCall(step: Extract<Step, { do: "take" }>): Call {
    const select = step.ids?.map((id) => IDS[id] as string);
    const query: OutgoingQuery = {
      select: select === undefined ? { after: step.after, through: step.through } : { ids: select },
      maxBytes: step.bytes,
      maxChanges: step.changes,
      eager: step.eager,
    };
    return {
      model() {
        const batch = model.take(query);
        for (const { id, sequence, print } of batch.changes) {
          sent.push({ id, sequence, fingerprint: print === undefined ? undefined : Buffer.from(print, "hex") });
        }
        return batch;
      },
      replica(replica) {
        const batch = replica.takeOutgoing(query);
        const changes = batch.changes.map(({ id, sequence, upsert, modifyTimeUs, base, overrides, resent, group }) => ({
          id,
          sequence,
          print: hex(upsert?.fingerprint),
          content: shown(upsert && outgoingContent(replica, id, sequence, upsert)),
          time: modifyTimeUs,
          base: shownBase(base),
          overrides,
          resent,
          group,
        }));
        return { ...batch, changes };
      },
    };
  }

  /** Verdicts on the last pushes, as they come in numbers, all applied but one; late ones say what is known already. */
  function verdictsOf(step: Extract<Step, { do: "verdicts" }>): Action[] {
    return sent.slice(sent.length - Math.min(step.last, sent.length)).map(({ id, sequence, fingerprint }, index) => {
      revision += 1;
      const known = model.baseOf(id)?.revision ?? 0;
      if (index === step.reject)
        return { kind: "reject", id, sequence, reason: TOO_LARGE, message: "no", resent: step.resent };
      return { kind: "settle", id, sequence, fingerprint, revision: step.late ? known : revision };
    });
  }

  function applyCall(step: Extract<Step, { do: "apply" | "verdicts" }>): Call {
    if (step.do === "verdicts") return batchCall({ actions: verdictsOf(step), nowUs });
    const actions = actionsOf(step.actions);
    const token = Buffer.from(`token ${revision}`);
    const heard = step.witness === undefined ? 0 : Math.max(1, revision + step.witness);
    const witness = { token: Buffer.from(`heard of ${heard} at ${revision}`), revision: heard };
    const lineage = [{ id: Buffer.alloc(8, 1), firstRevision: 1 }];
    return batchCall({
      actions,
      nowUs,
      more: step.more,
      ...(step.checkpoint && { checkpoint: { token, revision } }),
      ...(step.recovered !== undefined && {
        recovered: {
          token,
          revision: Math.max(0, revision - step.recovered),
          lineage,
          ...(step.fork !== undefined && { fork: Math.max(0, revision - step.fork) }),
        },
      }),
      ...(step.parted !== undefined && {
        parted: {
          fork: Math.max(0, revision - step.parted),
          lostAfter: Math.max(0, revision - step.parted - 1),
          why: "history" as const,
        },
      }),
      ...(step.witness !== undefined && { witness }),
      ...(step.opened && { opened: { collectionUid: UID, lineage, settings: Buffer.from([1]) } }),
    });
  }

  /** Which ids are stale has no order: they are compared anew, all of them. */
  function inOrder<Result extends { readonly stale: readonly string[] }>(result: Result): Result {
    return { ...result, stale: [...result.stale].sort() };
  }

  function batchCall(batch: ApplyBatch): Call {
    return {
      model: () => inOrder(model.apply(batch)),
      replica(replica) {
        const { total, ...result } = withStaged(replica, (stage) => {
          return replica.apply({ ...batch, actions: batch.actions.map((action) => stagedAction(action, stage)) });
        });
        expect(total).toEqual(replica.state().total);
        return inOrder(result);
      },
    };
  }

  return {
    resolve(step) {
      switch (step.do) {
        case "write":
          return writeCall(step);
        case "take":
          return takeCall(step);
        case "apply":
        case "verdicts":
          return applyCall(step);
        case "prune":
          return {
            model: () => model.prune(nowUs - step.age),
            replica: (replica) => replica.pruneConflicts(nowUs - step.age),
          };
        case "resolve": {
          const id = IDS[step.id] as string;
          const how = step.how === "merged" ? { merged: upsertOf(id, step.content) } : step.how;
          if (how === "theirs" && !model.knowsTheirs(id)) {
            const refuses = (replica: ReplicaStore) => {
              expect(() => replica.resolveHeld(id, how, nowUs)).toThrow("is not known here");
            };
            return { model: () => undefined, replica: refuses };
          }
          return {
            model: () => model.resolve(id, how, nowUs),
            replica: (replica) => replica.resolveHeld(id, how, nowUs),
          };
        }
        case "conflict": {
          const number = model.conflictNumbers()[step.which] ?? 999;
          return {
            model: () => model.settleConflict(number, step.restore, nowUs),
            replica: (replica) => replica.settleConflict(number, step.restore, nowUs),
          };
        }
      }
    },
  };
}

/** What is to be sent of a change: of a large one, what its pieces come to. */
function outgoingContent(
  replica: ReplicaStore,
  id: string,
  sequence: number,
  { content, size, upload }: NonNullable<OutgoingChange["upsert"]>,
): Content {
  expect(upload === undefined).toBe(content !== undefined);
  if (content !== undefined) return content;
  expect(size).toBeGreaterThan(LARGE.wholeBytes);
  const pieces: Uint8Array[] = [];
  for (let offset = 0; offset < size; offset += 700) {
    pieces.push(replica.readContent({ pending: id, sequence }, offset, 700) as Uint8Array);
  }
  expect(replica.readContent({ pending: id, sequence: sequence + 1 }, 0, 700)).toBeUndefined();
  const whole = Buffer.concat(pieces);
  expect(whole.length).toBe(size);
  return upload?.text === true ? whole.toString() : whole;
}

type Stage = (content: Content) => number | undefined;

/** Contents of bytes, where large, are staged before: a text goes as it is. What nobody took of it is forgotten. */
function withStaged<T>(replica: ReplicaStore, work: (stage: Stage) => T): T {
  const keys: number[] = [];
  const result = work((content) => {
    if (typeof content === "string" || content.length <= LARGE.wholeBytes) return undefined;
    const { key } = replica.stage({ text: false }, content.subarray(0, 900));
    expect(replica.stage(key, content.subarray(900))).toEqual({ key, offset: content.length });
    keys.push(key);
    return key;
  });
  for (const key of keys) replica.unstage(key);
  return result;
}

function stagedWrite({ id, upsert }: LocalWrite, stage: Stage): LocalWrite {
  const staged = upsert?.content === undefined ? undefined : stage(upsert.content);
  if (upsert === undefined || staged === undefined) return { id, upsert };
  return { id, upsert: { content: undefined, staged, fingerprint: upsert.fingerprint } };
}

function stagedAction(action: Action, stage: Stage): Action {
  let made = action;
  if ((made.kind === "take" || made.kind === "merge") && made.upsert !== undefined) {
    made = { ...made, upsert: stagedWrite({ id: made.id, upsert: made.upsert }, stage).upsert } as Action;
  }
  if (made.kind !== "rebase" && made.kind !== "merge" && made.kind !== "offer") return made;
  const staged = made.content === undefined ? undefined : stage(made.content);
  return staged === undefined ? made : { ...made, content: undefined, staged };
}
