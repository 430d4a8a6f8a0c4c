import type { BatchWritten, Write, WriteBatch } from "../../server/store/write-batch.js";
import { hexOf, printOf, shown, type Told } from "./model-contents.js";
import { chainOf, descendsFrom, type Happening, type Happenings } from "./model-events.js";
import type { Committed, History } from "./model-history.js";
import type { Recorded } from "./model-replica.js";

/*
 * What must hold, whatever happens. The model is plain maps of its own: it hears of every change that an application makes,
 * and of the results of the stores' public methods. It shares no rule with the product. Contents are unique (but for those
 * that somebody puts again), so that a stored state can be traced back to who made it.
 *
 * At every commit of the server (judge-commit.ts):
 *   - Revisions go on one by one, of each commit one, from where the last one ended.
 *   - What is stored was written by somebody, with the fingerprint of its id and content.
 *   - What is overwritten was seen by the one who overwrites it: it was there before the checkpoint or the base on which the
 *     change was made, or is an own earlier change. Else it is in a conflict record of this very commit. Three things need
 *     none: the tombstone of an item that this side never had, a tombstone that is compacted, and what the server lost and
 *     had given back to it as it was.
 *   - The members of an atomic group are in one commit; or they are there already, put by somebody else.
 *   - A change that arrives late is not made after the server has acknowledged what replaced it.
 *
 * At every transaction of an exchange on a replica (judge-replica.ts):
 *   - A change that is pending no more is with the server, or in a record. It does not give way to this replica's own
 *     earlier change.
 *   - A clean item is replaced only if the server ever had it in this line of its history, else there is a record.
 *   - A clean item is offered back only if the server lost it; or if it came in a recovery that was cut, for the next one
 *     can't tell the one history from the other then.
 *   - A checkpoint is true: of whatever the server changed last up to it, the replica has just that as its base.
 *   - A proof is true: the bases are what the server had at its revision. And as nothing here damages a base, none fails.
 *
 * At the end (judge-end.ts), after quiet exchanges: all sides hold the same, with right counts, sums and fingerprints, with
 * nothing pending, and one more exchange moves nothing. Where nothing was thrown away: every version is there, or was
 * replaced knowingly, or is in a record; and what was replaced knowingly is not back without a record.
 *
 * What a restore of the server takes away is no part of its history any more: deletions that it acknowledged after the
 * backup may have returned, versions that nobody else had are gone, records too. What replicas had of it is offered back,
 * or goes into records. What a restore or a loss of power takes from a replica file, the model of that file forgets with it;
 * a change that lay in a copied or restored file without having been sent may be sent once more as if it was new. A
 * change that was sent to a history that is lost and arrives in another one speaks of revisions that mean something else
 * there, so that it may come late. A compacted tombstone protects no more against a change that is pending; against one that was agreed on the base does.
 */

/** Says that something must not be. */
export type Fail = (rule: string, detail: string) => void;

/** What a commit is judged by. */
export interface CommitJudge {
  readonly happenings: Happenings;
  readonly fail: Fail;
  /** The next number of the count over all histories. */
  serial(): number;
  /** Says what has happened, where somebody listens. */
  readonly trace: ((line: string) => void) | undefined;
  /** One more thing was looked at. */
  checked(): void;
  /** What arrives now was sent to a history that the server has lost since. */
  astray: boolean;
}

/** A change that was made. */
interface Made {
  readonly write: Write;
  readonly content: Told;
  readonly revision: number;
  readonly happenings: readonly Happening[];
}

/**
 * Judges a transaction of the server by what was there before, and enters it into the history. `records` are the conflict
 * records that it made.
 */
export function judgeCommit(
  judge: CommitJudge,
  history: History,
  batch: WriteBatch,
  written: BatchWritten,
  records: readonly Recorded[],
): void {
  const made = madeBy(judge, batch, written);
  batch.writes.forEach((write, index) => {
    const outcome = written.outcomes[index];
    const revision = outcome !== undefined && "revision" in outcome ? ` ${outcome.revision}` : "";
    judge.trace?.(
      `    ${outcome?.kind}${revision}: "${write.id}"=${shown(write.upsert?.content as Told)} seen ${write.seen}`,
    );
  });
  for (const { id, content } of records) judge.trace?.(`    the server records "${id}"=${shown(content)}`);
  judgeRevisions(judge, history, made, written);
  for (const each of made) {
    judge.checked();
    judgeOverwrite(judge, history, each, records);
    judgeLateness(judge, history, each, records);
  }
  judgeGroups(judge, history, made);
  for (const record of records) markRecorded(judge.happenings, record);
  const serial = judge.serial();
  for (const { write, content, revision, happenings } of made) {
    history.add({ serial, revision, id: write.id, content, happenings });
  }
}

/** Whatever had this content gave way, and can be had from a record. */
export function markRecorded(happenings: Happenings, record: Recorded): void {
  for (const each of happenings.matching(record.id, record.content, undefined)) each.recorded = true;
}

function madeBy(judge: CommitJudge, batch: WriteBatch, written: BatchWritten): readonly Made[] {
  return batch.writes.flatMap((write, index): readonly Made[] => {
    const outcome = written.outcomes[index];
    if (outcome?.kind !== "applied") return [];
    const content = write.upsert?.content as Told;
    const { id, upsert, modifyTimeUs } = write;
    if (upsert !== undefined && hexOf(upsert.fingerprint) !== printOf(id, content)) {
      judge.fail("fingerprint", `the server stored "${id}" with a fingerprint that is not its content's`);
    }
    const happenings = judge.happenings.matching(id, content, modifyTimeUs);
    if (happenings.length === 0)
      judge.fail("invented", `the server stored of "${id}" what nobody wrote: ${shown(content)}`);
    return [{ write, content, revision: outcome.revision, happenings }];
  });
}

/** Revisions go on by one, from what the reader of the feed has seen last. */
function judgeRevisions(judge: CommitJudge, history: History, made: readonly Made[], written: BatchWritten): void {
  let last = history.head;
  if (written.revisionBefore !== last) {
    judge.fail("revisions", `a commit began at revision ${written.revisionBefore}, the last one ended at ${last}`);
  }
  for (const { revision, write } of made) {
    const goesOn = revision === last + 1 || (revision === last && write.group !== 0 && revision > history.head);
    if (!goesOn) judge.fail("revisions", `revision ${revision} came after ${last}`);
    last = revision;
  }
  if (written.revision !== last)
    judge.fail("revisions", `a commit said that it ended at ${written.revision}, not ${last}`);
}

/** Nothing is overwritten that the one who did it had not seen, unless a record is made of it. */
function judgeOverwrite(judge: CommitJudge, history: History, made: Made, records: readonly Recorded[]): void {
  const before = history.latest(made.write.id);
  if (before === undefined || before.content === made.content) return;
  if (records.some((record) => record.id === before.id && record.content === before.content)) return;
  if (made.happenings.some((happening) => knowingly(happening, before, history))) return;
  const what = `"${before.id}": ${shown(before.content)} of revision ${before.revision}`;
  judge.fail("overwritten", `${what} was overwritten unseen and unrecorded by ${shown(made.content)}`);
}

function knowingly(happening: Happening, before: Committed, history: History): boolean {
  const chain = chainOf(happening);
  const overcome = Math.max(happening.seen, ...chain.map(({ rebased }) => rebased));
  if (before.serial <= overcome) return true;
  if (before.happenings.some((each) => chain.includes(each))) return true;
  // What the server lost and somebody gave back to it is what it was; so is what a recovery found unchanged.
  const { base } = happening;
  const unchanged = base !== undefined && base.content === before.content;
  const sameUpTo = Math.max(...chain.map((each) => each.sameUpTo));
  if (unchanged && (!history.has(base.serial) || before.serial <= sameUpTo)) return true;
  // So is what it was put on top of once more in another history, as a recovery there found it.
  const known = history.commits.findLast(({ id, serial }) => id === before.id && serial <= overcome);
  const isOnto = known?.content === before.content || chain.some(({ onto }) => onto?.content === before.content);
  if (isOnto && before.serial <= sameUpTo) return true;
  // R5: of two sendings of its own change, the later one may be made after it has built on the first.
  if (unchanged && before.happenings.some(({ by }) => by === happening.by)) return true;
  // R5: what this side once sent and somebody else put again can't be told from its own arrival.
  if (chain.some((each) => each !== happening && each.content === before.content)) return true;
  if (before.content !== undefined || happening.content === undefined) return false;
  // A tombstone that is gone can't be put into a record.
  if (before.revision <= history.compacted) return true;
  // A deletion of what this side never had is nothing to it. But what was deleted may be what it sent.
  const own = before.before?.happenings.some((each) => chain.includes(each)) === true;
  return happening.creation && (!own || chain.some(({ copied }) => copied));
}

/** R5: what comes late is not made, once the server has told its replica that it has the change that replaced it. */
function judgeLateness(judge: CommitJudge, history: History, made: Made, records: readonly Recorded[]): void {
  const { write, happenings } = made;
  const before = history.latest(write.id);
  if (judge.astray || records.some(({ id }) => id === write.id)) return;
  // A member of a group that was there already goes along with the others.
  if (write.group !== 0 && before?.content === made.content) return;
  // A tombstone that is gone does not guard any more.
  if (before !== undefined && before.revision <= history.compacted) return;
  const isLate = (happening: Happening): boolean => {
    return (
      !happening.shared &&
      judge.happenings.all.some((each) => {
        return each !== happening && each.settled === history.line && descendsFrom(each, happening);
      })
    );
  };
  if (happenings.length === 0 || !happenings.every(isLate)) return;
  judge.fail("late", `${shown(made.content)} of "${write.id}" was made after what replaced it`);
}

/** The changes of an atomic group are committed together, or are there already. */
function judgeGroups(judge: CommitJudge, history: History, made: readonly Made[]): void {
  for (const { happenings, revision, write } of made) {
    // Where it can't be told which change it is, some of the candidates may be no part of a group.
    if (happenings.length !== 1) continue;
    const group = happenings[0]?.group ?? 0;
    for (const member of judge.happenings.ofGroup(group)) {
      const together = made.some((other) => {
        return other.revision === revision && other.happenings.some((each) => descendsFrom(each, member));
      });
      // Somebody else may have put the same there before, and it may have changed since.
      const already = judge.happenings.all.some((each) => {
        if (each.id !== member.id || !descendsFrom(each, member)) return false;
        if (each.settled !== 0) return true;
        return history.latest(each.id)?.content === each.content || history.held(each.id, each.content);
      });
      judge.checked();
      if (together || already || member.withdrawn) continue;
      judge.fail("group", `"${write.id}" was committed without "${member.id}", which is of the same group`);
    }
  }
}
