import { ChangeStandard, type Checkpoint } from "../../../gen/tercet/v1/item.js";
import { type Comparison, compare, compareRecovered, judge, type Outcome } from "./compare.js";
import { same } from "./fingerprint.js";
import { fetchContents } from "./receive-content.js";
import {
  agree,
  ClientError,
  type Entry,
  entryOf,
  groupOf,
  hear,
  moveBase,
  offer,
  type State,
  stand,
  standOn,
  stateOf,
  takeTheirs,
  UNPROVED,
} from "./replica.js";
import type { Session } from "./session.js";

/*
 * Step 2: the client compares what it was told with its own changes, and does with each item what follows from it.
 */

/** What is to be done with one item. */
interface Decision {
  readonly entry: Entry;
  readonly theirs: State;
  readonly comparison: Comparison;
  /** Of a conflict, and of what the server lost, where its history is followed. */
  readonly outcome: Outcome | undefined;
  /** It shares the fate of its group; the server told nothing of it. */
  readonly companion: boolean;
}

/** How changes are taken. */
export interface Taking {
  /** In a recovery: the last revision that both histories share. */
  readonly fork?: number;
  /** Held items are judged anew. */
  readonly rejudges?: boolean;
  /** Where the replica stands once they are taken. */
  readonly checkpoint?: Checkpoint | undefined;
  /** Done together with them. */
  readonly store?: () => void;
}

/**
 * Compares, fetches what contents are needed, and stores. While contents are awaited the application may change items: so
 * everything is compared anew then. What is stored is stored at once, with the checkpoint: here, as nothing is awaited in
 * between; in a database, in one transaction.
 */
export async function takeChanges(session: Session, told: readonly State[], taking: Taking): Promise<void> {
  const fetched = new Map<string, State>();
  for (;;) {
    // What was fetched is the server's state as well, and may be a later one.
    const states = new Map([...told, ...fetched.values()].map((state) => [state.id, state]));
    const decisions = decide(session, [...states.values()], taking);
    const missing = decisions.filter(needsContent).map(({ theirs }) => theirs);
    if (missing.length === 0) {
      for (const decision of decisions) carryOut(session, decision);
      taking.store?.();
      hear(session.replica, session.heard);
      if (taking.checkpoint !== undefined) stand(session.replica, taking.checkpoint);
      return;
    }
    for (const state of await fetchContents(session, missing)) {
      fetched.set(state.id, state);
      knowBase(entryOf(session.replica, state.id), state);
    }
  }
}

/** Where what was fetched is the base itself, its content is at hand from now on: a member of a group may give way to it. */
function knowBase(entry: Entry, { fingerprint, version }: State): void {
  const { base } = entry;
  if (base !== undefined && same(base.fingerprint, fingerprint)) entry.base = { ...base, version };
}

function decide(session: Session, told: readonly State[], taking: Taking): Decision[] {
  // What is told now was there before a push that is on its way for the first time.
  const first = new Set(session.onTheWay.flatMap(({ id, resent }) => (resent ? [] : [id])));
  const decisions = told.map((theirs) => decideOne(session, theirs, taking, first.has(theirs.id)));
  return joinGroups(
    session,
    decisions.filter(({ comparison }) => comparison !== "known"),
  );
}

function decideOne(session: Session, theirs: State, { fork, rejudges }: Taking, isFirst: boolean): Decision {
  const { onHistoryChange } = session.options;
  const entry = entryOf(session.replica, theirs.id);
  const { base, pending } = entry;
  if (onHistoryChange === "stop" && fork !== undefined && base !== undefined && base.revision > fork) {
    throw new ClientError("TOKEN_OTHER_HISTORY", "the server has lost what was agreed on; nothing was changed");
  }
  const own = {
    base,
    pending: pending === undefined ? undefined : { fingerprint: entry.mine?.fingerprint },
    sendings: pending === undefined || isFirst ? [] : pending.sendings,
  };
  let comparison = fork === undefined ? compare(own, theirs) : compareRecovered(own, theirs, fork);
  if (rejudges && pending?.held) comparison = "conflict";
  let outcome: Outcome | undefined;
  if (comparison === "conflict") outcome = judgeOne(session, entry, entry.timeUs, theirs);
  if (comparison === "lost" && onHistoryChange === "follow") outcome = "theirs";
  return { entry, theirs: withContent(entry, theirs), comparison, outcome, companion: false };
}

/** A state with its content, where that is at hand. */
function withContent({ mine, base }: Entry, state: State): State {
  if (state.fingerprint === undefined || state.version !== undefined) return state;
  const version = [mine, base?.version].find((each) => same(each?.fingerprint, state.fingerprint));
  return { ...state, version };
}

function judgeOne(session: Session, { mine }: Entry, timeUs: number, theirs: State): Outcome {
  const ceilingUs = session.options.nowUs() + session.ceilingAheadUs;
  return judge(
    session.opened.standard,
    { fingerprint: mine?.fingerprint, timeUs: Math.min(timeUs, ceilingUs) },
    theirs,
  );
}

/** An atomic group that is in conflict has one fate. */
function joinGroups(session: Session, decisions: readonly Decision[]): Decision[] {
  const joined = new Map(decisions.map((decision) => [decision.theirs.id, decision]));
  const groups = new Set(decisions.map(({ outcome, entry }) => (outcome && entry.pending?.group) ?? 0));
  groups.delete(0);
  for (const group of groups) {
    const conflicts = decisions.filter(({ outcome, entry }) => outcome && entry.pending?.group === group);
    const members = groupOf(session.replica, (conflicts[0] as Decision).entry);
    const fate = fateOf(session, conflicts, members);
    for (const entry of members) {
      const told = joined.get(entry.id);
      if (told?.comparison === "agreed") continue;
      if (told !== undefined && (fate !== "mine" || told.outcome)) {
        joined.set(entry.id, { ...told, comparison: "conflict", outcome: fate });
      } else if (told === undefined && fate !== "mine") {
        const theirs = withContent(entry, entry.base ?? stateOf(entry.id));
        joined.set(entry.id, { entry, theirs, comparison: "conflict", outcome: fate, companion: true });
      }
    }
  }
  return [...joined.values()];
}

/** Held where one of them is; else by the latest times of both sides. */
function fateOf(session: Session, conflicts: readonly Decision[], members: readonly Entry[]): Outcome {
  if (conflicts.some(({ outcome }) => outcome === "held")) return "held";
  if (conflicts.some(({ comparison }) => comparison === "lost")) return "theirs";
  const latest = conflicts.reduce((a, b) => (b.theirs.timeUs > a.theirs.timeUs ? b : a));
  return judgeOne(session, latest.entry, Math.max(...members.map(({ timeUs }) => timeUs)), latest.theirs);
}

/** The server's content is to be kept here, and is not at hand. */
function needsContent({ theirs, comparison, outcome }: Decision): boolean {
  if (theirs.fingerprint === UNPROVED) return true;
  if (theirs.fingerprint === undefined || theirs.version !== undefined) return false;
  return comparison === "theirs" || outcome === "theirs" || outcome === "held";
}

function carryOut(session: Session, decision: Decision): void {
  const { replica, report } = session;
  const { standard } = session.opened;
  const { entry, theirs, comparison, outcome, companion } = decision;
  const { pending } = entry;
  const none = ChangeStandard.CHANGE_STANDARD_UNSPECIFIED;
  const overrides = outcome === "mine" ? standard : none;
  if (outcome !== undefined && !companion) report.conflicts.set(entry.id, { standard, prevailed: outcome });
  else if (comparison === "lost") report.recovery?.offered.push(entry.id);
  if (comparison === "theirs" || outcome === "theirs") {
    if (theirs.fingerprint === undefined) report.deleted += 1;
    else report.received += 1;
    takeTheirs(replica, entry, theirs, outcome && standard, session.options.nowUs());
  } else if (comparison === "agreed") {
    report.settled += 1;
    if (pending !== undefined) session.settled.add(pending.sequence);
    sendAgain(session, entry);
    agree(replica, entry, theirs.revision);
  } else if (comparison === "same") {
    moveBase(replica, entry, theirs);
  } else if (companion && pending !== undefined) {
    pending.held = true;
  } else if (pending === undefined) {
    offer(replica, entry, theirs, overrides, outcome === "held");
  } else {
    standOn(replica, entry, theirs, overrides, outcome === "held");
    sendAgain(session, entry);
  }
}

/** A pending change stands on another base: it is to be sent, and with it its whole group. */
export function sendAgain({ replica, report, tried }: Session, entry: Entry): void {
  if (report.contended.has(entry.id)) return;
  for (const { pending } of groupOf(replica, entry)) if (pending !== undefined) tried.delete(pending.sequence);
}
