import { type ChangePage, PushOutcome, type Verdict, type Verdicts } from "../../../gen/tercet/v1/sync.js";
import { readChanges } from "./change-info.js";
import { same } from "./fingerprint.js";
import { fetchContents } from "./receive-content.js";
import { agree, later, type State } from "./replica.js";
import type { Sent, Session } from "./session.js";
import { takeChanges } from "./settle.js";
import { outOfOrder, type Response } from "./stream.js";

/*
 * What the server says of its own accord: pages of change info, and verdicts on pushes.
 */

/** After so many lost races a change stays pending for another time. */
const MOST_RACES = 5;

/** Takes a message. Answers the page, if it was the one with the proof. */
export async function takeMessage(session: Session, message: Response): Promise<ChangePage | undefined> {
  if (message.$case === "page") return takePage(session, message.value);
  if (message.$case === "verdicts") await takeVerdicts(session, message.value);
  // Of an upload whose push has been sent; and what matters only to an exchange that stays open.
  else if (message.$case !== "upload" && message.$case !== "goingAway") {
    throw outOfOrder(`"${message.$case}" was not asked for`);
  }
  return undefined;
}

async function takePage(session: Session, page: ChangePage): Promise<ChangePage | undefined> {
  const { good, doubtful } = readChanges(page.changes, page.fingerprint);
  const again = await fetchContents(session, doubtful, true);
  await takeChanges(session, [...good, ...again], { checkpoint: page.checkpoint });
  // The server waits for this before it goes on with contents that have to be fetched.
  const isFetched = good.some(({ fingerprint, version }) => fingerprint !== undefined && version === undefined);
  const { revision } = session.replica.checkpoint;
  if (isFetched) session.stream.send({ $case: "taken", value: { revision } });
  return page.proof === undefined ? undefined : page;
}

async function takeVerdicts(session: Session, { verdicts, checkpoint, witness }: Verdicts): Promise<void> {
  const told: State[] = [];
  const doubtful: State[] = [];
  for (const verdict of verdicts) {
    const { ordinal, count, current } = verdict;
    if (ordinal !== session.firstOrdinal || count < 1 || count > session.onTheWay.length) {
      throw outOfOrder(`a verdict on push ${ordinal} came out of order`);
    }
    session.firstOrdinal += count;
    for (const [index, sent] of session.onTheWay.splice(0, count).entries()) {
      const made = settle(session, verdict, sent, index);
      if (made !== undefined) told.push(made);
    }
    if (verdict.outcome !== PushOutcome.PUSH_OUTCOME_CONFLICT || current === undefined) continue;
    const read = readChanges([current], undefined);
    doubtful.push(...read.doubtful);
    // A content that does not come along is still to come with the change feed.
    const isToCome = current.content === undefined && current.revision > session.replica.checkpoint.revision;
    told.push(...read.good.filter(({ fingerprint }) => fingerprint === undefined || !isToCome));
  }
  session.heard = later(session.heard, witness);
  const again = await fetchContents(session, doubtful, true);
  await takeChanges(session, [...told, ...again], { checkpoint });
}

/** What one verdict says of one push. Answers the server's state where it is to be compared like anybody's change. */
function settle(session: Session, verdict: Verdict, sent: Sent, index: number): State | undefined {
  const { report, replica, races, tried } = session;
  const { id, sequence, version } = sent;
  const fingerprint = version?.fingerprint;
  const entry = replica.entries.get(id);
  const pending = entry?.pending?.sequence === sequence ? entry.pending : undefined;
  const { outcome, reason } = verdict;
  const applied = outcome === PushOutcome.PUSH_OUTCOME_APPLIED;
  if (applied || outcome === PushOutcome.PUSH_OUTCOME_ALREADY_APPLIED) {
    if (applied && version !== undefined) report.sent += 1;
    else if (applied) report.sentDeletions += 1;
    else if (!session.settled.has(sequence)) report.settled += 1;
    const revision = verdict.revision + (applied && !verdict.oneRevision ? index : 0);
    const base = entry?.base;
    const isLater = base === undefined || base.revision < revision;
    const repeats = base?.revision === revision && same(base.fingerprint, fingerprint);
    if (entry !== undefined && pending !== undefined && (isLater || repeats)) agree(replica, entry, revision);
    // It was changed since, or gave way: then this is what the server has.
    else if (pending === undefined)
      return { id, fingerprint, revision, timeUs: sent.timeUs, size: sent.bytes, version };
    return undefined;
  }
  // It was not made. But where something was sent on an earlier stream, that may still arrive.
  const changed = entry?.pending;
  if (changed !== undefined && !sent.resent) {
    changed.sendings = changed.sendings.filter((each) => !same(each, fingerprint));
  }
  if (outcome === PushOutcome.PUSH_OUTCOME_REJECTED) {
    report.rejected.set(id, reason);
    if (pending !== undefined) pending.rejected = reason;
  } else if (outcome === PushOutcome.PUSH_OUTCOME_COMPARE_FIRST) {
    tried.delete(sequence);
  } else if (outcome === PushOutcome.PUSH_OUTCOME_CONFLICT && sent.again) {
    races.set(id, (races.get(id) ?? 0) + 1);
    if (races.get(id) === MOST_RACES) report.contended.add(id);
  }
  return undefined;
}
