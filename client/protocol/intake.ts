import { changeAt, type ProvedColumns } from "../../core/item-columns.js";
import { ITEM_OVERHEAD_BYTES, WHOLE_BYTES } from "../../core/limits.js";
import type { Change } from "../../core/page.js";
import type { ContentChunk, Contents, Limits } from "../../gen/tercet/v1/sync.js";
import type { Action } from "../replica/action.js";
import type { ApplyBatch } from "../replica/apply-batch.js";
import type { LocalState } from "../replica/local-state.js";
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
import { type Conversation, ceilingUs } from "./conversation.js";
import { lostHistoryFault } from "./faults.js";
import { createContentFetcher } from "./fetch-contents.js";
import { fillPortions } from "./fill-portions.js";
import type { Job } from "./job.js";
import { createJobBatches } from "./job-batches.js";
import { addBaseContents, judgeConflicts } from "./judge-conflicts.js";
import type { KnownHistory } from "./known-history.js";

/** What the intake needs beside the conversation. */
export interface IntakeWorld {
  readonly history: KnownHistory;
  /** The replica has something of a fetch that was cut in an earlier exchange. */
  readonly downloads: boolean;
  /** Nothing was ever taken from the server: almost everything that it tells is new. */
  readonly isFirstPull: boolean;
  /** A push of this pending change is on its way, the first one ever. */
  isFirst(sequence: number): boolean;
  /** Decisions were carried out: in a transaction, or in a dry run in thought. */
  applied(done: readonly Carried[]): void;
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
  /** Contents that were fetched, or a piece of one. */
  receive(contents: Contents | ContentChunk): void;
  /** The replica may hold something that was fetched and not taken. */
  readonly hasLeftovers: boolean;
  /** The latest revision of a content that was fetched: it may be later than any checkpoint so far. */
  readonly fetchedRevision: number;
}

/** An intake with nothing to do. */
export function createIntake(conversation: Conversation, world: IntakeWorld): Intake {
  const { ask, close, config, dryRun } = conversation;
  const batches = createJobBatches(conversation, world.history);
  const fetcher = createContentFetcher(conversation, { downloads: world.downloads, witnessed: batches.witnessed });
  const judge = { ask, circumstances, resolves: config.resolves && !dryRun, asked: new Map<string, number>() };
  const stops = config.onHistoryChange === "stop";
  const follows = config.onHistoryChange === "follow";
  let job: Job | undefined;
  /** Whether what was told first was, or the page before that was taken without being looked up. */
  let mostlyNew: boolean | undefined;
  let comparedAll = false;
  let givingWay = new Set<string>();

  function start(next: Job): void {
    job = next;
    comparedAll = false;
    batches.begin(next);
    fetcher.begin(next.doubtful);
    if (next.items !== undefined) return takeItems(next.items);
    if (takesNew() && isPlain(next)) return takeNew(next);
    if (next.doubtful.length === 0 || dryRun) return settleAndCompare(next, next.changes);
    fetcher.fetch(next.doubtful, () => {
      const again = next.doubtful.flatMap(({ id }) => fetcher.get(id) ?? []);
      settleAndCompare(next, [...next.changes, ...again]);
    });
  }

  /** What is settled moves bases, to which members of groups that give way fall back: it comes first. */
  function settleAndCompare({ actions, settled }: Job, changes: readonly KnownChange[]): void {
    if (changes.length === 0) store([], undefined, actions);
    else if (actions.length + settled.length === 0) compareChanges(changes);
    else store([], () => compareChanges(changes), actions);
  }

  function takesNew(): boolean {
    return (mostlyNew ?? world.isFirstPull) && !dryRun;
  }

  function takeNew({ changes }: Job): void {
    const actions = changes.map((change) => takeOnlyNew(change));
    applyNew({ ...batches.progress(true), actions }, changes.length, () => changes);
  }

  function takeItems(items: ProvedColumns): void {
    const all = (): Change[] => Array.from({ length: items.count }, (_, index) => changeAt(items, index));
    applyNew({ ...batches.progress(true), actions: [], items }, items.count, all);
  }

  /** One transaction, unless some of it turns out to be known: that is compared. */
  function applyNew(batch: ApplyBatch, count: number, changes: () => readonly Change[]): void {
    ask({ kind: "apply", batch }, (result) => {
      if (result.kind !== "apply") return;
      const stale = new Set(result.result.stale);
      mostlyNew = stale.size * 2 < count;
      conversation.total = result.result.total;
      conversation.report.counts.received += count - stale.size;
      if (stale.size === 0) return finish();
      compareChanges(changes().filter(({ id }) => stale.has(id)));
    });
  }

  function circumstances(): Circumstances {
    const { fork, rejudges } = job as Job;
    return { standard: conversation.standard, ceilingUs: ceilingUs(conversation), fork, rejudges, follows, stops };
  }

  /** Agreed on after the fork, and told of: the server has it no more. */
  function isLost({ base }: LocalState): boolean {
    const fork = job?.fork;
    return fork !== undefined && base !== undefined && base.revision > fork.shared;
  }

  /** Compares, judges and stores; then goes on with `next`, or where there is none, stores the checkpoint and finishes. */
  function compareChanges(changes: readonly KnownChange[], next?: () => void): void {
    if (changes.length === 0) return store([], next);
    const { unmade, rejudges } = job as Job;
    ask({ kind: "lookup", ids: changes.map((change) => change.id) }, (result) => {
      if (result.kind !== "lookup") return;
      if (stops && result.states.some(isLost)) return close(lostHistoryFault());
      const decisions: Decision[] = [];
      const known = circumstances();
      const unknown = result.states.filter(({ base, pending }) => base === undefined && pending === undefined);
      mostlyNew ??= unknown.length * 2 > changes.length;
      for (const [index, local] of result.states.entries()) {
        const proved = unmade.has(local.id) || world.isFirst(local.sequence);
        const decision = decide(local, changes[index] as KnownChange, known, proved);
        if (decision !== undefined) decisions.push(decision);
      }
      if (rejudges) addBaseContents(judge, decisions, (complete) => settle(complete, next));
      else settle(decisions, next);
    });
  }

  /** Judges what is in conflict. An application judges by contents: those that are not at hand are fetched before. */
  function settle(decisions: readonly Decision[], next?: () => void): void {
    const unread = judge.resolves ? decisions.filter(isUnreadConflict) : [];
    if (unread.length === 0) {
      return judgeConflicts(judge, decisions, (all) => storeAll(all, next));
    }
    const others = decisions.filter((decision) => !unread.includes(decision));
    // Until they are judged nobody knows whether they are to be sent.
    for (const { change } of unread) givingWay.add(change.id);
    const slices = sliceByContent(unread, conversation.limits);
    judgeConflicts(judge, others, (all) => storeAll(all, () => readSlices(slices, next)));
  }

  /** Fetches, judges and stores conflicts slice by slice. */
  function readSlices(slices: readonly (readonly Decision[])[], next?: () => void): void {
    const [slice = [], ...rest] = slices;
    fetcher.fetch(
      slice.map(({ change }) => change),
      () => {
        const read = slice.map((decision) => ({
          ...decision,
          change: fetcher.get(decision.change.id) ?? decision.change,
        }));
        const then = rest.length === 0 ? next : () => readSlices(rest, next);
        for (const { change } of slice) givingWay.delete(change.id);
        judgeConflicts(judge, read, (all) => storeAll(all, then));
      },
    );
  }

  /** What needs no content does not wait for what does; what comes at once is one transaction. */
  function storeAll(decisions: readonly Decision[], next?: () => void): void {
    const units = new Set(decisions.flatMap((decision) => (needsContent(decision) ? [decision.unit] : [])));
    units.delete(0);
    const waits = (decision: Decision): boolean => needsContent(decision) || units.has(decision.unit);
    const needing = dryRun ? [] : decisions.filter(waits);
    for (const { change, local } of needing) if (local.sequence > 0) givingWay.add(change.id);
    const slices = sliceByContent(needing, conversation.limits);
    const atOnce = needing.length === 0 ? decisions : decisions.filter((decision) => !waits(decision));
    store(atOnce, slices.length === 0 ? next : () => storeSlices(slices, next));
  }

  /** Fetches and stores slice by slice, so that the contents in memory are bounded. */
  function storeSlices(slices: readonly (readonly Decision[])[], next?: () => void): void {
    if (!comparedAll) {
      comparedAll = true;
      world.compared(job as Job);
    }
    const [slice = [], ...rest] = slices;
    const then = rest.length === 0 ? next : () => storeSlices(rest, next);
    fetcher.fetch(
      slice.filter(needsContent).map((decision) => decision.change),
      () => store(slice, then),
    );
  }

  /** One transaction. The last one of a job, which has no `next`, brings the checkpoint. */
  function store(decisions: readonly Decision[], next?: () => void, actions: readonly Action[] = []): void {
    const then = next ?? finish;
    if (dryRun) {
      world.applied(decisions.map((decision) => ({ decision, action: undefined })));
      return then();
    }
    const settled = circumstances();
    const carried = decisions.map((decision) => {
      return { decision, action: toAction(decision, fetcher.get(decision.change.id), settled) };
    });
    fetcher.clear();
    const own = carried.map(({ action }) => action);
    // What was settled is followed at once by what is judged.
    const batch = batches.of([...actions, ...own], next === undefined, next !== undefined && own.length === 0);
    if (batch === undefined) return then();
    ask({ kind: "apply", batch }, (result) => {
      if (result.kind !== "apply") return;
      const stale = new Set(result.result.stale);
      const done = carried.filter((each) => !stale.has(each.decision.change.id));
      conversation.total = result.result.total;
      world.applied(done);
      fetcher.forget(done.map(({ decision }) => decision.change.id));
      for (const { decision } of done) judge.asked.delete(decision.change.id);
      if (stale.size === 0) return then();
      // R8: what the application changed meanwhile is compared once more, with what is left.
      const left = decisions.filter((decision) => stale.has(decision.change.id) && !decision.companion);
      compareChanges(
        left.map((decision) => decision.change),
        next,
      );
    });
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
      return fetcher.waits && comparedAll;
    },
    get takesNew() {
      return takesNew();
    },
    get givingWay() {
      return givingWay;
    },
    get fetchedRevision() {
      return fetcher.latestRevision;
    },
    get hasLeftovers() {
      return fetcher.hasLeftovers;
    },
    start,
    receive(contents) {
      if ("items" in contents) fetcher.receive(contents);
      else fetcher.receiveChunk(contents);
    },
  };
}

/** All of it has its content with it, and nothing is known that speaks against its being new. */
function isPlain({ changes, doubtful, actions, settled, fork, rejudges }: Job): boolean {
  if (fork !== undefined || rejudges) return false;
  if (changes.length === 0 || doubtful.length + actions.length + settled.length > 0) return false;
  return changes.every(({ content }) => content !== undefined);
}

/** A conflict whose other version is not at hand. Nobody judges by a large one. */
function isUnreadConflict({ change, comparison, outcome }: Decision): boolean {
  const open = comparison === "conflict" && outcome === undefined;
  return open && change.fingerprint !== undefined && change.size <= WHOLE_BYTES && !isAtHand(change);
}

/** Cuts decisions where the contents to fetch would go beyond the window. */
function sliceByContent(
  decisions: readonly Decision[],
  { windowBytes: bytes, windowItems: items }: Limits,
): readonly (readonly Decision[])[] {
  return fillPortions(atomsOf(decisions), ({ change }) => change.size + ITEM_OVERHEAD_BYTES, { bytes, items });
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
