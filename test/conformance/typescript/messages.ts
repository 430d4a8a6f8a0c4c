import { type ChangePage, PushOutcome, type Verdict, type Verdicts } from "../../../gen/tercet/v1/sync.js";
import { readChanges } from "./change-info.js";
import { same } from "./fingerprint.js";
import { agree, hear, later, type State, stateOf } from "./replica.js";
import type { Sent, Session } from "./session.js";
import { takeChanges } from "./settle.js";
import { outOfOrder, type Response } from "./stream.js";

/*
 * What the server says of its own accord: pages of change info, and verdicts on pushes.
 */

/** After so many lost races a change stays pending for another time. */
const MOST_RACES = 5;

/** Takes a message. Answers the page, if it was one. */
export async function takeMessage(session: Session, message: Response): Promise<ChangePage | undefined> {
  if (message.$case === "page") return takePage(session, message.value);
  if (message.$case === "verdicts") await takeVerdicts(session, message.value);
  // Of an upload whose push has been sent; and what matters only to an exchange that stays open.
  else if (message.$case !== "upload" && message.$case !== "goingAway") {
    throw outOfOrder(`"${message.$case}" was not asked for`);
  }
  return undefined;
}

async function takePage(session: Session, page: ChangePage): Promise<ChangePage> {
  const told = readChanges(page.changes, page.fingerprint);
  await takeChanges(session, told, { checkpoint: page.checkpoint });
  // The server waits for this before it goes on with contents that have to be fetched.
  const isFetched = page.changes.some(({ content, fingerprint }) => content === undefined && fingerprint !== undefined);
  const { revision } = session.replica.checkpoint;
  if (isFetched) session.stream.send({ $case: "taken", value: { revision } });
  return page;
}

async function takeVerdicts(session: Session, { verdicts, checkpoint, witness }: Verdicts): Promise<void> {
  const told: State[] = [];
  session.heard = later(session.heard, witness);
  for (const verdict of verdicts) {
    const { ordinal, count, outcome, current } = verdict;
    if (ordinal !== session.firstOrdinal || count < 1 || count > session.onTheWay.length) {
      throw outOfOrder(`a verdict on push ${ordinal} came out of order`);
    }
    session.firstOrdinal += count;
    for (const [index, sent] of session.onTheWay.splice(0, count).entries()) {
      const { PUSH_OUTCOME_APPLIED, PUSH_OUTCOME_ALREADY_APPLIED } = PushOutcome;
      if (outcome === PUSH_OUTCOME_ALREADY_APPLIED) told.push(...settle(session, sent, verdict.revision, false));
      else if (outcome !== PUSH_OUTCOME_APPLIED) takeBack(session, sent, verdict);
      else told.push(...settle(session, sent, verdict.revision + (verdict.oneRevision ? 0 : index), true));
    }
    if (outcome !== PushOutcome.PUSH_OUTCOME_CONFLICT || current === undefined) continue;
    // A content that does not come along is still to come with the change feed.
    const isToCome = current.revision > session.replica.checkpoint.revision && current.content === undefined;
    told.push(...readChanges([current]).filter(({ fingerprint }) => fingerprint === undefined || !isToCome));
  }
  // What is settled stands in the replica already: so does what proves it, before anything is awaited.
  hear(session.replica, session.heard);
  await takeChanges(session, told, { checkpoint });
}

/** The server has what was sent. Where it is not pending any more, that is to be compared like anybody's change. */
function settle({ report, replica, settled }: Session, sent: Sent, revision: number, isNew: boolean): State[] {
  const { id, sequence, version, timeUs } = sent;
  if (isNew && version !== undefined) report.sent += 1;
  else if (isNew) report.sentDeletions += 1;
  else if (!settled.has(sequence)) report.settled += 1;
  const entry = replica.entries.get(id);
  if (entry?.pending?.sequence !== sequence) return [stateOf(id, version, revision, timeUs)];
  const { base } = entry;
  const isLater = base === undefined || base.revision < revision;
  const isBase = base?.revision === revision && same(base.fingerprint, version?.fingerprint);
  if (isLater || isBase) agree(replica, entry, revision);
  return [];
}

/** What was sent was not made. But where something was sent on an earlier stream, that may still arrive. */
function takeBack({ report, replica, tried, races }: Session, sent: Sent, { outcome, reason }: Verdict): void {
  const { id, sequence, version } = sent;
  const pending = replica.entries.get(id)?.pending;
  if (pending !== undefined && !sent.resent) {
    pending.sendings = pending.sendings.filter((each) => !same(each, version?.fingerprint));
  }
  if (outcome === PushOutcome.PUSH_OUTCOME_COMPARE_FIRST) tried.delete(sequence);
  if (outcome === PushOutcome.PUSH_OUTCOME_REJECTED) {
    report.rejected.set(id, reason);
    if (pending?.sequence === sequence) pending.rejected = reason;
  }
  if (outcome !== PushOutcome.PUSH_OUTCOME_CONFLICT || !sent.again) return;
  const lost = (races.get(id) ?? 0) + 1;
  races.set(id, lost);
  if (lost >= MOST_RACES) report.contended.add(id);
}
