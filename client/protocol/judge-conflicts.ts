import type { Change } from "../../core/page.js";
import { judge, type Prevailing } from "../../core/standard.js";
import type { LocalState } from "../replica/local-state.js";
import { type Circumstances, type Decision, isAtHand, judged } from "./compare-changes.js";
import type { ClientOperation, ClientResult, Resolution } from "./operation.js";

/** What judging needs of the machine around it. */
export interface JudgeWorld {
  ask(operation: ClientOperation, then: (result: ClientResult) => void): void;
  circumstances(): Circumstances;
  /** The application judges conflicts by itself. */
  readonly resolves: boolean;
  /** How often it was asked about an item, until what it answered is stored. */
  readonly asked: Map<string, number>;
}

/** An item that is changed whenever the application is asked about it is held in the end: the others wait for it. */
const MOST_ASKED = 8;

type Then = (decisions: readonly Decision[]) => void;

/**
 * Judges the conflicts among decisions: by the application, if it wants to (their contents must be at hand then), or by the
 * standard in force. An atomic group has one fate: its other members are looked up and join the decisions.
 */
export function judgeConflicts(world: JudgeWorld, decisions: readonly Decision[], then: Then): void {
  if (!decisions.some((decision) => isOpen(decision) || isOfGroup(decision))) return then(decisions);
  if (world.resolves) return resolveEach(world, decisions, (resolved) => joinGroups(world, resolved, then));
  const circumstances = world.circumstances();
  const judgedAll = decisions.map((decision) => (isOpen(decision) ? judged(decision, circumstances) : decision));
  joinGroups(world, judgedAll, then);
}

function isOpen(decision: Decision): boolean {
  return decision.comparison === "conflict" && decision.outcome === undefined;
}

/** What becomes of it concerns others, too. */
function isOfGroup({ comparison, local }: Decision): boolean {
  return comparison === "conflict" && local.pending?.group !== undefined;
}

/** Asks the application, conflict by conflict. */
function resolveEach(world: JudgeWorld, decisions: readonly Decision[], then: Then): void {
  const result = [...decisions];
  function from(start: number): void {
    const at = result.findIndex((decision, index) => index >= start && isOpen(decision));
    if (at < 0) return then(result);
    const decision = result[at] as Decision;
    const { change, local } = decision;
    // A clean item that the server lost has no version that an application would merge.
    if (local.pending === undefined) {
      result[at] = judged(decision, world.circumstances());
      return from(at + 1);
    }
    const asked = world.asked.get(change.id) ?? 0;
    if (asked >= MOST_ASKED) {
      result[at] = { ...decision, outcome: "held" };
      return from(at + 1);
    }
    world.asked.set(change.id, asked + 1);
    const times = { mineTimeUs: local.pending.modifyTimeUs, theirsTimeUs: change.modifyTimeUs };
    const theirsSize = change.fingerprint === undefined ? undefined : change.size;
    const conflict = { id: change.id, theirs: change.content, theirsSize, ...times };
    world.ask({ kind: "resolve", conflict }, (answer) => {
      if (answer.kind !== "resolve") return;
      result[at] = { ...decision, ...resolved(answer.resolution) };
      from(at + 1);
    });
  }
  from(0);
}

function resolved(resolution: Resolution): Pick<Decision, "outcome" | "merged"> {
  return { outcome: resolution.kind, merged: resolution.kind === "merged" ? resolution.upsert : undefined };
}

/** Looks up the members of groups that are in conflict, and gives each group its one fate. */
function joinGroups(world: JudgeWorld, decisions: readonly Decision[], then: Then): void {
  const groups = groupsInConflict(decisions);
  if (groups.size === 0) return then(decisions);
  const told = new Set(decisions.map(({ change }) => change.id));
  const others = [...groups.values()].flatMap(({ ids }) => ids.filter((id) => !told.has(id)));
  world.ask({ kind: "lookup", ids: others }, (result) => {
    if (result.kind !== "lookup") return;
    const states = new Map(result.states.map((state) => [state.id, state]));
    const fates = new Map([...groups].map(([key, { members }]) => [key, fateOf(members, world)]));
    const told = decisions.map((decision) => withFate(decision, fates));
    const companions = [...groups].flatMap(([key, { ids }]) =>
      ids.flatMap((id) => companionOf(states.get(id), key, fates.get(key) as Prevailing)),
    );
    addBaseContents(world, [...told, ...companions], then);
  });
}

interface GroupInConflict {
  readonly ids: readonly string[];
  /** Those of its members that are in conflict. */
  readonly members: Decision[];
}

function groupsInConflict(decisions: readonly Decision[]): Map<number, GroupInConflict> {
  const groups = new Map<number, GroupInConflict>();
  for (const decision of decisions) {
    const group = decision.local.pending?.group;
    if (group === undefined || decision.comparison !== "conflict") continue;
    const known = groups.get(group.key) ?? { ids: group.ids, members: [] };
    known.members.push(decision);
    groups.set(group.key, known);
  }
  return groups;
}

/** One fate for all: held where one of them is, else theirs where one of them gives way. NEWEST judges the latest times. */
function fateOf(members: readonly Decision[], { circumstances, resolves }: JudgeWorld): Prevailing {
  if (members.some(({ outcome }) => outcome === "held")) return "held";
  if (members.some(({ followed }) => followed)) return "theirs";
  if (resolves) return members.some(({ outcome }) => outcome === "theirs") ? "theirs" : "mine";
  const { standard, ceilingUs } = circumstances();
  const latest = members.reduce((a, b) => (b.change.modifyTimeUs > a.change.modifyTimeUs ? b : a));
  const mineUs = Math.min(latest.local.pending?.group?.latestUs ?? 0, ceilingUs);
  return judge(standard, { fingerprint: latest.local.pending?.fingerprint, modifyTimeUs: mineUs }, latest.change);
}

function withFate(decision: Decision, fates: ReadonlyMap<number, Prevailing>): Decision {
  const key = decision.local.pending?.group?.key ?? 0;
  const fate = fates.get(key);
  if (fate === undefined) return decision;
  const { comparison, outcome } = decision;
  if (comparison === "agreed") return { ...decision, unit: key };
  if (fate === "mine") {
    const own = comparison === "conflict" && outcome !== "merged";
    return { ...decision, unit: key, outcome: own ? "mine" : outcome };
  }
  // Whatever the server told of it, a member goes the way of its group.
  return { ...decision, unit: key, comparison: "conflict", outcome: fate };
}

/** A member that the server told nothing of: it gives way to its base, or is held on it. */
function companionOf(local: LocalState | undefined, key: number, fate: Prevailing): readonly Decision[] {
  const pending = local?.pending;
  if (local === undefined || pending === undefined || pending.group?.key !== key || fate === "mine") return [];
  const change: Change = {
    id: local.id,
    revision: local.base?.revision ?? 0,
    fingerprint: local.base?.fingerprint,
    size: 0,
    modifyTimeUs: local.base?.modifyTimeUs ?? 0,
    group: 0,
    content: undefined,
  };
  return [
    {
      change,
      local,
      comparison: "conflict",
      outcome: fate,
      merged: undefined,
      unit: key,
      companion: true,
      followed: false,
    },
  ];
}

/** The contents of bases that are taken again are at hand as a rule; where they are not, they are fetched like others. */
export function addBaseContents(world: JudgeWorld, decisions: readonly Decision[], then: Then): void {
  const wanted = decisions.filter(({ change, local }) => {
    const isBase = change.fingerprint !== undefined && !isAtHand(change);
    return isBase && local.pending !== undefined && sameBase(change, local);
  });
  if (wanted.length === 0) return then(decisions);
  const ids = wanted.map(({ change }) => change.id);
  world.ask({ kind: "base-contents", ids }, (result) => {
    if (result.kind !== "base-contents") return;
    const bases = new Map(ids.map((id, index) => [id, result.bases[index]]));
    then(
      decisions.map((decision) => {
        const content = bases.get(decision.change.id);
        const known = content === "large" ? { kept: true } : { content };
        return content === undefined ? decision : { ...decision, change: { ...decision.change, ...known } };
      }),
    );
  });
}

function sameBase({ fingerprint }: Change, { base }: LocalState): boolean {
  return base?.fingerprint !== undefined && Buffer.compare(base.fingerprint, fingerprint as Uint8Array) === 0;
}
