import type { ReplicaStore } from "../../client/replica/store.js";
import { type CommitJudge, markRecorded } from "./judge-commit.js";
import { printOf, shown } from "./model-contents.js";
import { descendsFrom, type Happening } from "./model-events.js";
import type { History } from "./model-history.js";
import { type Face, latestRecords, lookAt, type Recorded, type ReplicaModel, type Sight } from "./model-replica.js";

/** A replica in a step that the model looks at. */
export interface Watched {
  readonly name: string;
  readonly store: ReplicaStore;
  readonly model: ReplicaModel;
}

/** Whether and how far the exchange recovers. */
export interface Recovering {
  /** This transaction completes it. */
  readonly recovered: boolean;
  /** The server's answers are of this revision or later; undefined where it does not recover. */
  readonly answeredFrom: number | undefined;
}

/**
 * Judges what a transaction of an exchange did to a replica: `history` is that of the server it talks to. What was pending
 * and is not any more is with the server, or in a record. What was agreed on and is replaced was the server's to replace,
 * or is in a record. A checkpoint speaks of what is there.
 */
export function judgeApplied(
  judge: CommitJudge,
  history: History,
  watched: Watched,
  ids: readonly string[],
  { recovered, answeredFrom }: Recovering,
): void {
  const { model, store, name } = watched;
  const before = model.sight;
  const after = lookAt(store, ids);
  const records = latestRecords(store, after.conflicts - before.conflicts);
  // What it agreed on is of a collection that is gone, until it has recovered into the one that was made anew.
  const knowsNoHistory = store.state().lineage.length === 0;
  for (const record of records) markRecorded(judge.happenings, record);
  model.sight = after;
  for (const id of ids) {
    const was = before.faces.get(id) as Face;
    const is = after.faces.get(id) as Face;
    judge.checked();
    const happening = model.pending.get(id);
    if (judge.trace !== undefined) traceFace(judge.trace, id, was, is);
    if (was.sequence !== 0 && is.sequence !== was.sequence) {
      judgeSettled(judge, history, watched, id, is, records, answeredFrom);
      if (!was.grouped) judgeConflict(judge, history, watched, is, happening, records);
    } else if (was.sequence === 0 && is.sequence !== 0)
      judgeOffered(judge, history, watched, id, was, is, knowsNoHistory);
    else if (was.sequence === 0) judgeReplaced(judge, history, watched, id, was, is, records);
    trackBase(model, history, id, was, is, knowsNoHistory);
  }
  for (const { id, content } of records) judge.trace?.(`    ${name} records "${id}"=${shown(content)}`);
  if (after.revision !== before.revision) judge.trace?.(`    ${name} stands at ${after.revision}`);
  if (after.token === "" || (after.token === before.token && after.revision === before.revision)) return;
  model.seen = history.serialAt(after.revision);
  if (recovered) {
    for (const happening of model.pending.values()) happening.sameUpTo = model.seen;
  }
  if (!model.damaged) judgeCheckpoint(judge, history, name, after, ids);
}

function traceFace(trace: (line: string) => void, id: string, was: Face, is: Face): void {
  const show = ({ content, sequence, base, baseRevision, held }: Face): string => {
    const pending = sequence === 0 ? "" : `, pending ${sequence}${held ? " held" : ""}`;
    return `${shown(content)} (base ${base?.slice(0, 4) ?? "-"} of ${baseRevision}${pending})`;
  };
  if (show(was) !== show(is)) trace(`    "${id}": ${show(was)} becomes ${show(is)}`);
}

/** A pending change has gone from the replica, or has become another one, and not by its application. */
export function judgeSettled(
  judge: CommitJudge,
  history: History,
  { name, model, store }: Watched,
  id: string,
  is: Face,
  records: readonly Recorded[],
  answeredFrom?: number,
): void {
  const happening = model.pending.get(id);
  model.pending.delete(id);
  if (happening === undefined) return judge.fail("model", `${name} had a pending change of "${id}" that nobody made`);
  const { content } = happening;
  // What is pending in its place is the application's own resolution of the conflict.
  const merged = is.sequence === 0 ? undefined : judge.happenings.matching(id, is.content, is.modifyTimeUs).at(-1);
  if (merged !== undefined) {
    merged.withdrawn = false;
    model.pending.set(id, merged);
    if (is.content === content) return;
  }
  if (records.some((record) => record.id === id && record.content === content)) return;
  const isThere = isWithServer(history, happening, answeredFrom ?? store.state().revision);
  const arrived = is.sequence === 0 && is.content === content && isThere;
  if (arrived) happening.settled = history.line;
  if (!arrived) judge.fail("lost", `${name}'s ${shown(content)} of "${id}" has gone without a trace`);
}

/** R5: what this replica sent itself is no change of somebody else's that its later change would be in conflict with. */
function judgeConflict(
  judge: CommitJudge,
  history: History,
  { name }: Watched,
  is: Face,
  happening: Happening | undefined,
  records: readonly Recorded[],
): void {
  if (happening === undefined || is.sequence !== 0) return;
  const { id, content, previous } = happening;
  if (!records.some((record) => record.id === id && record.content === content)) return;
  const prevailing = history.latest(id);
  // An unsettled creation may have been deleted by somebody else, where the tombstone that could tell is gone.
  if (is.content === undefined && prevailing !== undefined && prevailing.revision <= history.compacted) return;
  const [maker] = prevailing?.happenings.length === 1 ? prevailing.happenings : [];
  // Of two copies of a file, what the other one sent is no own sending to this one.
  const own = previous !== undefined && maker !== undefined && !maker.shared && descendsFrom(previous, maker);
  if (own && prevailing?.content === is.content) {
    judge.fail("self-conflict", `${name}'s ${shown(content)} of "${id}" gave way to its own ${shown(is.content)}`);
  }
}

function isWithServer(history: History, { id, content }: Happening, answeredFrom: number): boolean {
  if (content !== undefined) return history.held(id, content);
  // Somebody may have put it since the server answered.
  if (history.at(id, answeredFrom)?.content === undefined) return true;
  return history.latest(id)?.content === undefined || history.held(id, undefined);
}

/** A clean item has become pending: only what the server lost with its history is offered back. */
function judgeOffered(
  judge: CommitJudge,
  history: History,
  { name, model }: Watched,
  id: string,
  was: Face,
  is: Face,
  knowsNoHistory: boolean,
): void {
  const { serial, revision } = model.base.get(id) ?? { serial: 0, revision: 0 };
  // A recovery ends with bases at its head, which may be lost where the commit itself is not.
  const isExact = revision === was.baseRevision && !knowsNoHistory;
  if (serial !== 0 && history.has(serial) && !model.damaged && isExact) {
    judge.fail("offered", `${name} offers "${id}" back, which the server never lost`);
  }
  const offered = judge.happenings.add({
    id,
    content: is.content,
    by: name,
    previous: undefined,
    seen: Math.max(model.seen, serial),
    base: { serial, content: is.content },
    creation: is.base === undefined,
    modifyTimeUs: is.modifyTimeUs,
    group: 0,
  });
  model.pending.set(id, offered);
}

/** A clean item has another content, or has gone. */
function judgeReplaced(
  judge: CommitJudge,
  history: History,
  { name, model }: Watched,
  id: string,
  was: Face,
  is: Face,
  records: readonly Recorded[],
): void {
  if (was.content === is.content || was.content === undefined || model.damaged) return;
  if (history.held(id, was.content)) return;
  if (records.some((record) => record.id === id && record.content === was.content)) return;
  judge.fail(
    "dropped",
    `${name} dropped ${shown(was.content)} of "${id}", which the server has lost, without a record`,
  );
}

/** Which commit an id's base is, where that can be told. */
function trackBase(
  model: ReplicaModel,
  history: History,
  id: string,
  was: Face,
  is: Face,
  knowsNoHistory: boolean,
): void {
  if (was.base === is.base && was.baseRevision === is.baseRevision) return;
  const lost = model.base.get(id);
  const pending = model.pending.get(id);
  if (lost !== undefined && pending !== undefined && !history.has(lost.serial)) pending.rebased = lost.serial;
  if (is.base === undefined && is.baseRevision === 0) {
    model.base.delete(id);
    // In a collection that was made anew it is an item that this side never had, and sends as if it was new.
    if (pending !== undefined && knowsNoHistory) Object.assign(pending, { creation: true, copied: true });
    return;
  }
  const at = history.at(id, is.baseRevision);
  if (at === undefined || printOf(id, at.content) !== is.base) return;
  model.base.set(id, at);
  if (pending !== undefined) pending.onto = at;
}

/** R1: whatever the server changed last up to the checkpoint is what the replica agreed on. */
function judgeCheckpoint(
  judge: CommitJudge,
  history: History,
  name: string,
  sight: Sight,
  ids: readonly string[],
): void {
  for (const id of ids) {
    const latest = history.latest(id);
    if (latest !== undefined && latest.revision > sight.revision) continue;
    judge.checked();
    const base = (sight.faces.get(id) as Face).base;
    if (base === printOf(id, latest?.content)) continue;
    const what = `"${id}" is ${shown(latest?.content)} since revision ${latest?.revision ?? 0}`;
    judge.fail("checkpoint", `${name}'s checkpoint ${sight.revision} lies: ${what}, which it has not taken`);
  }
}

/** A proof was equal: the bases are what the server had at the checkpoint. */
export function judgeProof(judge: CommitJudge, history: History, watched: Watched, ids: readonly string[]): void {
  const sight = lookAt(watched.store, ids);
  for (const id of ids) {
    judge.checked();
    const told = history.at(id, sight.revision)?.content;
    const base = (sight.faces.get(id) as Face).base;
    if (base === printOf(id, told)) continue;
    judge.fail(
      "proof",
      `${watched.name} is verified at ${sight.revision}, but not of one mind on "${id}": ${shown(told)}`,
    );
  }
}

/**
 * A replica that is live, with nothing under way: it has what the server has, and the server has what it has, but for what
 * waits for somebody's word.
 */
export function judgeRest(judge: CommitJudge, history: History, { name, store }: Watched): void {
  const { revision } = store.state();
  judge.checked();
  if (revision < history.head) {
    return judge.fail("rest", `${name} is live at revision ${revision}, the server at ${history.head}`);
  }
  const pending = store.listPending(0, 1000);
  // A group shares the fate of each of its members.
  const stuck = new Set(
    pending.filter(({ held, rejected }) => held || rejected !== undefined).map(({ group }) => group),
  );
  for (const { id, held, rejected, group } of pending) {
    if (held || rejected !== undefined || (group !== 0 && stuck.has(group))) continue;
    judge.fail("rest", `${name} is live and at rest, and has not sent what it made of "${id}"`);
  }
}
