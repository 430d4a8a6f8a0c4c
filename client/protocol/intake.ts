import { ErrorReason, type Fault } from "../../core/fault.js";
import { changeAt, type ProvedColumns } from "../../core/item-columns.js";
import { ITEM_OVERHEAD_BYTES, WHOLE_BYTES } from "../../core/limits.js";
import type { Change } from "../../core/page.js";
import type { Checkpoint, RangeFingerprint } from "../../gen/tercet/v1/item.js";
import type { ContentChunk, ContentRefused, Contents, ContentWanted } from "../../gen/tercet/v1/sync.js";
import type { SettledRun } from "../replica/outgoing-columns.js";
import type { Action, ApplyBatch, ApplyResult, LocalState } from "../replica/store.js";
import {
  type Circumstances,
  type Decision,
  decide,
  isAtHand,
  type KnownChange,
  needsContent,
  takeOnlyNew,
  toAction,
} from "./compare-changes.js";
import { addBaseContents, judgeConflicts } from "./judge-conflicts.js";
import type { ClientOperation, ClientResult } from "./operation.js";
import { createChunkReceiver, wanted } from "./receive-chunks.js";
import { readContents } from "./receive-content.js";

/** Something that changes the replica: a page of change info, verdicts, or what recovery found. */
export interface Job {
  /** What verdicts have settled already. */
  readonly actions: readonly Action[];
  /** And new items in a row that were made. */
  readonly settled: readonly SettledRun[];
  /** What is to be compared. */
  readonly changes: readonly Change[];
  /** In place of changes: items with their contents, likely to be new, that agree with what proves them. */
  readonly items: ProvedColumns | undefined;
  /** Changes whose inline contents did not agree with the page's range fingerprint: fetched once more, then compared. */
  readonly doubtful: readonly Change[];
  /** Stored with the last of it. */
  readonly checkpoint: Checkpoint | undefined;
  /** The answer to a Done. */
  readonly proof: RangeFingerprint | undefined;
  /** The feed's end mark. */
  readonly end: boolean;
  /** Items whose change of this side is known not to have been made. */
  readonly unmade: ReadonlySet<string>;
  /** The latest revision that it speaks of, where that is beyond its checkpoint. */
  readonly witness: Checkpoint | undefined;
  /** The server told of contents that did not come inline: it waits to hear that the page was taken. */
  readonly fetches: boolean;
  /** In which round trip the server was asked for it. */
  readonly trip: number;
  /** Of a recovery: the last revision that both histories share. */
  readonly fork: number | undefined;
  /** Other pages follow: it need not be stored by itself. */
  readonly more: boolean;
  /** A recovery is complete; stored with the last of it. */
  readonly recovered: ApplyBatch["recovered"];
  /** Held items are judged anew. */
  readonly rejudges: boolean;
  /** What goes on once it is through. */
  readonly after: (() => void) | undefined;
}

/** A job with nothing to do. */
export const NO_JOB: Job = {
  actions: [],
  settled: [],
  changes: [],
  items: undefined,
  doubtful: [],
  checkpoint: undefined,
  proof: undefined,
  end: false,
  unmade: new Set(),
  witness: undefined,
  fetches: false,
  trip: 1,
  fork: undefined,
  more: false,
  recovered: undefined,
  rejudges: false,
  after: undefined,
};

/** What the intake needs of the machine around it. */
export interface IntakeWorld {
  /** Asks for an operation on the replica. */
  ask(operation: ClientOperation, then: (result: ClientResult) => void): void;
  /** Sends a Fetch. */
  fetch(items: readonly ContentWanted[]): void;
  /** The replica has something of a fetch that was cut in an earlier exchange. */
  hasDownloads(): boolean;
  /** What was fetched has come. */
  fetched(): void;
  fail(fault: Fault): void;
  /** The standard in force, and up to where this side's times count. */
  standard(): Pick<Circumstances, "standard" | "ceilingUs">;
  /** What the server lost with its history is not offered to it again. */
  readonly follows: boolean;
  /** The exchange ends where the server turns out to have lost anything. */
  readonly stops: boolean;
  /** The application judges conflicts by itself. */
  readonly resolves: boolean;
  /** Nothing is stored, fetched or sent: a dry run. */
  readonly dryRun: boolean;
  /** Contents that may be asked for at a time. */
  window(): { readonly bytes: number; readonly items: number };
  /** A push of this pending change is on its way, the first one ever. */
  isFirst(sequence: number): boolean;
  /** What goes with the next transaction that has something to store: what the server said when it opened. */
  takeOpened(): ApplyBatch["opened"];
  nowUs(): number;
  /** Whether a checkpoint says more than what the replica has. */
  isNew(checkpoint: Checkpoint): boolean;
  /** So many items were taken of which nothing was known here. */
  received(items: number): void;
  /** Nothing was ever taken from the server: almost everything that it tells is new. */
  isFirstPull(): boolean;
  /** Decisions were carried out: in a transaction, or in a dry run in thought. */
  applied(done: readonly Carried[], result: ApplyResult | undefined): void;
  /** All changes of a job were compared, and what needs no content was stored. */
  compared(job: Job): void;
  /** A job is through. */
  finished(job: Job): void;
}

/** A decision that was carried out; in a dry run there is no action. */
export interface Carried {
  readonly decision: Decision;
  readonly action: Action | undefined;
}

/** Receives change info and content: compares, judges, fetches what is needed, and stores. One job at a time. */
export interface Intake {
  /** A job is under way. */
  readonly busy: boolean;
  /** It waits for contents, and all its changes were compared: what does not depend on them can go on. */
  readonly waiting: boolean;
  /** What comes with its content is likely to be new: it is stored without being looked up first, best as `Job.items`. */
  readonly takesNew: boolean;
  /** Items whose pending changes are about to give way to contents that are being fetched. */
  readonly givingWay: ReadonlySet<string>;
  start(job: Job): void;
  /** Contents that were fetched. */
  receive(contents: Contents): void;
  /** A piece of a content that was fetched. */
  receiveChunk(chunk: ContentChunk): void;
  /** The replica may hold something that was fetched and not taken. */
  readonly hasLeftovers: boolean;
  /** The latest revision of a content that was fetched: it may be later than any checkpoint so far. */
  readonly fetchedRevision: number;
}

/** An intake with nothing to do. */
export function createIntake(world: IntakeWorld): Intake {
  let job: Job | undefined;
  /** What was settled in a row and is still to be stored. */
  let settled: readonly SettledRun[] = [];
  /** Whether what was told first was, or the page before that was taken without being looked up. */
  let mostlyNew: boolean | undefined;
  let comparedAll = false;
  let fetchedRevision = 0;
  let witness: Checkpoint | undefined;
  let waiting = new Set<string>();
  let fetched = new Map<string, KnownChange>();
  const chunks = createChunkReceiver(world.ask, world.hasDownloads);
  let retried = new Set<string>();
  let givingWay = new Set<string>();
  let whenFetched: (() => void) | undefined;

  function start(next: Job): void {
    job = next;
    settled = next.settled;
    comparedAll = false;
    witness = next.witness;
    retried = new Set(next.doubtful.map((change) => change.id));
    if (next.items !== undefined) return takeItems(next.items);
    if (isPlain(next)) return takeNew(next);
    if (next.doubtful.length === 0 || world.dryRun) return compareChanges(next.changes, next.actions);
    fetchContents(next.doubtful, () => {
      const again = next.doubtful.flatMap((change) => fetched.get(change.id) ?? []);
      compareChanges([...next.changes, ...again], next.actions);
    });
  }

  function takesNew(): boolean {
    return (mostlyNew ?? world.isFirstPull()) && !world.dryRun;
  }

  /** All of it has its content with it, and is likely to be new: then it is stored without being looked up first. */
  function isPlain({ changes, doubtful, actions, fork, rejudges }: Job): boolean {
    if (!takesNew() || fork !== undefined || rejudges) return false;
    if (changes.length === 0 || doubtful.length + actions.length + settled.length > 0) return false;
    return changes.every(({ content }) => content !== undefined);
  }

  function takeNew({ changes }: Job): void {
    const actions = changes.map((change) => takeOnlyNew(change));
    applyNew({ ...progress(true), actions }, changes.length, () => changes);
  }

  function takeItems(items: ProvedColumns): void {
    const all = (): Change[] => Array.from({ length: items.count }, (_, index) => changeAt(items, index));
    applyNew({ ...progress(true), actions: [], items }, items.count, all);
  }

  /** One transaction, unless some of it turns out to be known: that is compared. */
  function applyNew(batch: ApplyBatch, count: number, changes: () => readonly Change[]): void {
    world.ask({ kind: "apply", batch }, (result) => {
      if (result.kind !== "apply") return;
      const stale = new Set(result.result.stale);
      mostlyNew = stale.size * 2 < count;
      world.applied([], result.result);
      world.received(count - stale.size);
      if (stale.size === 0) return finish();
      compareChanges(
        changes().filter(({ id }) => stale.has(id)),
        [],
      );
    });
  }

  function circumstances(): Circumstances {
    const { fork, rejudges } = job as Job;
    return { ...world.standard(), fork, rejudges, follows: world.follows, stops: world.stops };
  }

  /** Agreed on after the fork, and told of: the server has it no more. */
  function isLost({ base }: LocalState): boolean {
    const fork = job?.fork;
    return fork !== undefined && base !== undefined && base.revision > fork;
  }

  const judge = { ask: world.ask, circumstances, resolves: world.resolves && !world.dryRun };

  /** Compares, judges and stores; then goes on with `next`, or where there is none, stores the checkpoint and finishes. */
  function compareChanges(changes: readonly KnownChange[], actions: readonly Action[], next?: () => void): void {
    if (changes.length === 0) return store([], actions, next);
    const { unmade, rejudges } = job as Job;
    world.ask({ kind: "lookup", ids: changes.map((change) => change.id) }, (result) => {
      if (result.kind !== "lookup") return;
      if (world.stops && result.states.some(isLost)) return world.fail(lostHistory());
      const decisions: Decision[] = [];
      const known = circumstances();
      const unknown = result.states.filter(({ base, pending }) => base === undefined && pending === undefined);
      mostlyNew ??= unknown.length * 2 > changes.length;
      for (const [index, local] of result.states.entries()) {
        const proved = unmade.has(local.id) || world.isFirst(local.sequence);
        const decision = decide(local, changes[index] as KnownChange, known, proved);
        if (decision !== undefined) decisions.push(decision);
      }
      if (rejudges) addBaseContents(judge, decisions, (complete) => settle(complete, actions, next));
      else settle(decisions, actions, next);
    });
  }

  /** Judges what is in conflict. An application judges by contents: those that are not at hand are fetched before. */
  function settle(decisions: readonly Decision[], actions: readonly Action[], next?: () => void): void {
    const unread = judge.resolves ? decisions.filter(isUnreadConflict) : [];
    if (unread.length === 0) {
      return judgeConflicts(judge, decisions, (all) => storeAll(all, actions, next));
    }
    const others = decisions.filter((decision) => !unread.includes(decision));
    // Until they are judged nobody knows whether they are to be sent.
    for (const { change } of unread) givingWay.add(change.id);
    const slices = sliceByContent(unread, world.window());
    judgeConflicts(judge, others, (all) => storeAll(all, actions, () => readSlices(slices, next)));
  }

  /** Fetches, judges and stores conflicts slice by slice. */
  function readSlices(slices: readonly (readonly Decision[])[], next?: () => void): void {
    const [slice = [], ...rest] = slices;
    fetchContents(
      slice.map(({ change }) => change),
      () => {
        const read = slice.map((decision) => ({
          ...decision,
          change: fetched.get(decision.change.id) ?? decision.change,
        }));
        const then = rest.length === 0 ? next : () => readSlices(rest, next);
        for (const { change } of slice) givingWay.delete(change.id);
        judgeConflicts(judge, read, (all) => storeAll(all, [], then));
      },
    );
  }

  /** What needs no content does not wait for what does; what comes at once is one transaction. */
  function storeAll(decisions: readonly Decision[], actions: readonly Action[], next?: () => void): void {
    const units = new Set(decisions.flatMap((decision) => (needsContent(decision) ? [decision.unit] : [])));
    units.delete(0);
    const waits = (decision: Decision): boolean => needsContent(decision) || units.has(decision.unit);
    const needing = world.dryRun ? [] : decisions.filter(waits);
    for (const { change, local } of needing) if (local.sequence > 0) givingWay.add(change.id);
    const slices = sliceByContent(needing, world.window());
    const atOnce = needing.length === 0 ? decisions : decisions.filter((decision) => !waits(decision));
    store(atOnce, actions, slices.length === 0 ? next : () => storeSlices(slices, next));
  }

  /** Fetches and stores slice by slice, so that the contents in memory are bounded. */
  function storeSlices(slices: readonly (readonly Decision[])[], next?: () => void): void {
    if (!comparedAll) {
      comparedAll = true;
      world.compared(job as Job);
    }
    const [slice = [], ...rest] = slices;
    const then = rest.length === 0 ? next : () => storeSlices(rest, next);
    fetchContents(
      slice.filter(needsContent).map((decision) => decision.change),
      () => store(slice, [], then),
    );
  }

  /** One transaction. The last one of a job, which has no `next`, brings the checkpoint. */
  function store(decisions: readonly Decision[], actions: readonly Action[], next?: () => void): void {
    const then = next ?? finish;
    if (world.dryRun) {
      world.applied(
        decisions.map((decision) => ({ decision, action: undefined })),
        undefined,
      );
      return then();
    }
    const settled = circumstances();
    const carried = decisions.map((decision) => {
      return { decision, action: toAction(decision, fetched.get(decision.change.id), settled) };
    });
    fetched = new Map();
    const batch = toBatch(
      carried.map(({ action }) => action),
      actions,
      next === undefined,
    );
    if (batch === undefined) return then();
    world.ask({ kind: "apply", batch }, (result) => {
      if (result.kind !== "apply") return;
      const stale = new Set(result.result.stale);
      const done = carried.filter((each) => !stale.has(each.decision.change.id));
      world.applied(done, result.result);
      chunks.forget(done.map(({ decision }) => decision.change.id));
      const left = decisions.filter((decision) => stale.has(decision.change.id) && !decision.companion);
      // R8: what the application changed meanwhile is compared once more, with what is left.
      if (stale.size > 0) {
        compareChanges(
          left.map((decision) => decision.change),
          [],
          next,
        );
      } else then();
    });
  }

  /** A transaction; undefined where there is nothing to store. */
  function toBatch(carried: readonly Action[], actions: readonly Action[], isLast: boolean): ApplyBatch | undefined {
    const { checkpoint, recovered } = job as Job;
    const moves = isLast && checkpoint !== undefined && world.isNew(checkpoint);
    const runs = settled;
    settled = [];
    const nothing = carried.length + actions.length + runs.length === 0;
    if (nothing && !moves && !(isLast && recovered !== undefined)) return undefined;
    const inRuns = runs.length === 0 ? {} : { settled: runs };
    return { ...progress(isLast), ...inRuns, actions: actions.length === 0 ? carried : [...actions, ...carried] };
  }

  /** What a transaction says beside its actions. */
  function progress(isLast: boolean): Omit<ApplyBatch, "actions"> {
    const { checkpoint, recovered, more } = job as Job;
    const opened = world.takeOpened();
    return {
      nowUs: world.nowUs(),
      ...(more ? { more } : {}),
      ...(isLast && checkpoint !== undefined ? { checkpoint } : {}),
      ...(isLast && recovered !== undefined ? { recovered } : {}),
      ...(opened === undefined ? {} : { opened }),
      ...witnessOf(isLast ? undefined : checkpoint),
    };
  }

  /** What a transaction without its checkpoint speaks of is witnessed: a server may be restored to before it. */
  function witnessOf(checkpoint: Checkpoint | undefined): Pick<ApplyBatch, "witness"> {
    const later = (checkpoint?.revision ?? 0) > (witness?.revision ?? 0) ? checkpoint : witness;
    return later === undefined ? {} : { witness: later };
  }

  /** Fetches the contents of these changes; a large one goes on where it was cut. */
  function fetchContents(changes: readonly Change[], then: () => void): void {
    chunks.prepare(changes, (items, here) => {
      waiting = new Set(items.map(({ id }) => id));
      for (const change of here) took(change);
      if (items.length === 0) return then();
      whenFetched = then;
      world.fetch(items);
    });
  }

  function took(change: KnownChange): void {
    fetched.set(change.id, change);
    fetchedRevision = Math.max(fetchedRevision, change.revision);
  }

  /** These contents are not what they should be: they are fetched once more. Answers whether that can be. */
  function fetchAgain(ids: readonly string[]): boolean {
    for (const id of ids) {
      const fault = waiting.has(id) ? (retried.has(id) ? unverified(id) : undefined) : unasked(id);
      if (fault !== undefined) {
        world.fail(fault);
        return false;
      }
      retried.add(id);
    }
    if (ids.length > 0) world.fetch(ids.map(wanted));
    return true;
  }

  function receive(contents: Contents): void {
    const read = readContents(contents);
    for (const change of read.changes) {
      if (!waiting.delete(change.id)) return world.fail(unasked(change.id));
      took(change);
    }
    chunks.forget(read.changes.map(({ id }) => id));
    for (const refusal of contents.refused) return world.fail(refused(refusal));
    if ((contents.witness?.revision ?? 0) > (witness?.revision ?? 0)) witness = contents.witness;
    if (fetchAgain(read.wrong)) endFetch();
  }

  function receiveChunk(chunk: ContentChunk): void {
    if (waiting.size === 0) return world.fail(unasked(chunk.id));
    chunks.receive(chunk, (outcome) => {
      if (outcome.kind === "more") return;
      if (outcome.kind === "wrong") return void fetchAgain([outcome.id]);
      if (outcome.kind === "misplaced") return world.fail(misplaced(outcome.id));
      if (!waiting.delete(outcome.change.id)) return world.fail(unasked(outcome.change.id));
      took(outcome.change);
      endFetch();
    });
  }

  function endFetch(): void {
    if (waiting.size > 0) return;
    world.fetched();
    const then = whenFetched;
    whenFetched = undefined;
    then?.();
  }

  function finish(): void {
    const done = job as Job;
    if (!comparedAll) world.compared(done);
    job = undefined;
    givingWay = new Set();
    world.finished(done);
  }

  return {
    get busy() {
      return job !== undefined;
    },
    get waiting() {
      return whenFetched !== undefined && comparedAll;
    },
    get takesNew() {
      return takesNew();
    },
    get givingWay() {
      return givingWay;
    },
    get fetchedRevision() {
      return fetchedRevision;
    },
    get hasLeftovers() {
      return chunks.used || world.hasDownloads();
    },
    start,
    receive,
    receiveChunk,
  };
}

/** A conflict whose other version is not at hand. Nobody judges by a large one. */
function isUnreadConflict({ change, comparison, outcome }: Decision): boolean {
  const open = comparison === "conflict" && outcome === undefined;
  return open && change.fingerprint !== undefined && change.size <= WHOLE_BYTES && !isAtHand(change);
}

/** Cuts decisions where the contents to fetch would go beyond the window. A larger one, or a unit, is a slice of its own. */
function sliceByContent(
  decisions: readonly Decision[],
  window: { readonly bytes: number; readonly items: number },
): readonly (readonly Decision[])[] {
  const slices: Decision[][] = [];
  let filled = Number.POSITIVE_INFINITY;
  for (const atom of atomsOf(decisions)) {
    const size = atom.reduce((sum, { change }) => sum + change.size + ITEM_OVERHEAD_BYTES, 0);
    if (filled + size > window.bytes || (slices.at(-1)?.length ?? 0) + atom.length > window.items) {
      slices.push([]);
      filled = 0;
    }
    (slices.at(-1) as Decision[]).push(...atom);
    filled += size;
  }
  return slices;
}

/** Decisions one by one, but those of a unit together. */
function atomsOf(decisions: readonly Decision[]): Iterable<readonly Decision[]> {
  const units = new Map<number, Decision[]>();
  const atoms: (readonly Decision[])[] = [];
  for (const decision of decisions) {
    const known = units.get(decision.unit);
    if (decision.unit === 0) atoms.push([decision]);
    else if (known !== undefined) known.push(decision);
    else {
      const atom = [decision];
      units.set(decision.unit, atom);
      atoms.push(atom);
    }
  }
  return atoms;
}

function refused({ id, reason, message }: ContentRefused): Fault {
  return { reason, message: `the server can't send the content of "${id}": ${message}`, metadata: { id } };
}

function unasked(id: string): Fault {
  const message = `the server sent a content that was not asked for: "${id}"`;
  return { reason: ErrorReason.ERROR_REASON_OUT_OF_ORDER, message };
}

function misplaced(id: string): Fault {
  const message = `the server sent a piece of "${id}" that does not go on from the one before it`;
  return { reason: ErrorReason.ERROR_REASON_OUT_OF_ORDER, message };
}

function lostHistory(): Fault {
  const message =
    "the server has lost what this replica had agreed on with it: it was restored or replaced; nothing was changed";
  return { reason: ErrorReason.ERROR_REASON_TOKEN_OTHER_HISTORY, message };
}

function unverified(id: string): Fault {
  const message = `the content of "${id}" does not agree with its fingerprint, twice`;
  return { reason: ErrorReason.ERROR_REASON_UNVERIFIED, message, metadata: { id } };
}
