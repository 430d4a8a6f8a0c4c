import type { LocalWrite } from "../../client/replica/local-items.js";
import type { ReplicaStore } from "../../client/replica/store.js";
import { fingerprintOf } from "../../core/fingerprint.js";
import { GROUP_LIMITS } from "./features.js";
import { type CommitJudge, markRecorded } from "./judge-commit.js";
import { judgeSettled, type Watched } from "./judge-replica.js";
import { printOf, type Told } from "./model-contents.js";
import type { Happening } from "./model-events.js";
import type { History } from "./model-history.js";
import { type Face, latestRecords, lookAt } from "./model-replica.js";

/** A change that an application makes. */
export interface Wanted {
  readonly id: string;
  /** Undefined deletes. */
  readonly content: Told;
}

/**
 * The application of a replica changes items, together or each by itself, and the model hears of it. `sending`: an exchange
 * has said that it sends at once what is written now.
 */
export function writeLocally(
  judge: CommitJudge,
  watched: Watched,
  ids: readonly string[],
  wanted: readonly Wanted[],
  nowUs: number,
  grouped: boolean,
  sending: boolean,
): void {
  const { store, model, name } = watched;
  const before = model.sight;
  const writes = wanted.map(({ id, content }): LocalWrite => {
    return { id, upsert: content === undefined ? undefined : { content, fingerprint: fingerprintOf(id, content) } };
  });
  store.write(writes, nowUs, grouped ? GROUP_LIMITS : undefined, sending);
  model.sight = lookAt(store, ids);
  const changed = wanted.filter(({ id, content }) => before.faces.get(id)?.content !== content);
  const pending = changed.filter(({ id }) => model.sight.faces.get(id)?.sequence !== 0);
  const group = grouped && pending.length > 1 ? judge.serial() : 0;
  for (const { id, content } of changed) {
    note(judge, watched, id, content, before.faces.get(id) as Face, pending.length > 1 ? group : 0);
    if (model.sight.faces.get(id)?.content !== content) {
      judge.fail("unwritten", `${name} wrote "${id}" and reads another content`);
    }
  }
}

/** A version in a conflict record becomes a local change again; a pending one that it replaces goes into a record. */
export function restoreLocally(judge: CommitJudge, watched: Watched, ids: readonly string[], nowUs: number): boolean {
  const { store, model } = watched;
  const [record] = store.listConflicts(Number.MAX_SAFE_INTEGER, 1);
  if (record === undefined) return false;
  const before = model.sight.faces.get(record.id);
  if (before === undefined || before.held) return false;
  const content = store.getConflict(record.number)?.content as Told;
  const replaced = before.sequence === 0 ? undefined : model.pending.get(record.id);
  store.settleConflict(record.number, true, nowUs);
  model.sight = lookAt(store, ids);
  if (before.content === content) return true;
  if (replaced !== undefined && replaced.content !== content) {
    const [kept] = latestRecords(store, 1);
    if (kept?.id === record.id && kept.content === replaced.content) markRecorded(judge.happenings, kept);
    else judge.fail("lost", `restoring a record of "${record.id}" dropped the pending change there`);
  }
  note(judge, watched, record.id, content, before, 0);
  return true;
}

/** The user decides on an item that is held in conflict. */
export function resolveLocally(
  judge: CommitJudge,
  history: History,
  watched: Watched,
  ids: readonly string[],
  how: "mine" | "theirs",
  nowUs: number,
  which: number,
): boolean {
  const { store, model } = watched;
  const held = store.listHeld("", 1000);
  const item = held[which % Math.max(held.length, 1)];
  if (item === undefined) return false;
  const before = model.sight;
  store.resolveHeld(item.id, how === "theirs" && knowsTheirs(store, item.id) ? how : "mine", nowUs);
  model.sight = lookAt(store, ids);
  const records = latestRecords(store, model.sight.conflicts - before.conflicts);
  for (const record of records) markRecorded(judge.happenings, record);
  for (const id of ids) {
    const was = before.faces.get(id) as Face;
    const is = model.sight.faces.get(id) as Face;
    if (was.sequence === 0 || is.sequence !== 0) continue;
    if (was.base === printOf(id, was.content)) withdraw(watched, id);
    else judgeSettled(judge, history, watched, id, is, records);
  }
  return true;
}

/** Whether theirs is known of all that gives way with an item: where it is not, an exchange has to take it. */
function knowsTheirs(store: ReplicaStore, id: string): boolean {
  const [held] = store.lookup([id]);
  const states = store.lookup(held?.pending?.group?.ids ?? [id]);
  return states.every(({ id, base }) => base?.fingerprint === undefined || store.getBaseContent(id) !== undefined);
}

/** Mine had become what theirs is (a creation that was deleted while it was held), so that nothing of it gives way. */
function withdraw({ model }: Watched, id: string): void {
  const happening = model.pending.get(id);
  if (happening !== undefined) happening.withdrawn = true;
  model.pending.delete(id);
}

/** Enters a change that was made into the model. */
function note(judge: CommitJudge, watched: Watched, id: string, content: Told, was: Face, group: number): void {
  const { model, name } = watched;
  const { happenings } = judge;
  const is = model.sight.faces.get(id) as Face;
  const previous = was.sequence === 0 ? undefined : model.pending.get(id);
  const base = model.base.get(id);
  const seen: readonly Happening[] = base?.happenings ?? happenings.matching(id, was.content, undefined);
  const replaced = previous === undefined ? seen : [previous];
  for (const each of replaced) each.superseded = true;
  const happening = happenings.add({
    id,
    content,
    by: name,
    previous,
    seen: previous?.seen ?? Math.max(model.seen, base?.serial ?? 0),
    base: previous === undefined ? { serial: base?.serial ?? 0, content: was.content } : previous.base,
    creation: previous?.creation ?? was.content === undefined,
    modifyTimeUs: is.modifyTimeUs,
    group,
  });
  if (is.sequence !== 0) {
    model.pending.set(id, happening);
    return;
  }
  model.pending.delete(id);
  for (let each: Happening | undefined = happening; each !== undefined; each = each.previous) each.withdrawn = true;
}
