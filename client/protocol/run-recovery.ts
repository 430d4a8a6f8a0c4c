import type { Checkpoint } from "../../gen/tercet/v1/item.js";
import type { RangeAnswers } from "../../gen/tercet/v1/sync.js";
import type { ApplyBatch } from "../replica/apply-batch.js";
import type { Conversation } from "./conversation.js";
import { lostHistoryFault } from "./faults.js";
import { type Job, NO_JOB } from "./job.js";
import type { Fork, KnownHistory } from "./known-history.js";
import { createRecovery, type Recovery } from "./recovery.js";
import type { ReportedRecovery } from "./report.js";

/** What running a recovery needs beside the conversation. */
export interface RecoveryRunnerWorld {
  readonly history: KnownHistory;
  /** A recovery begins: nothing that was asked for before will be answered. */
  began(): void;
  /** Something is to be compared and stored. */
  start(job: Job): void;
  /** Both sides were compared, and what was found is stored; in a dry run it is not. */
  recovered(): void;
}

/** The one recovery that an exchange may have: both sides are compared range by range, in place of the change feed. */
export interface RecoveryRunner {
  start(why: ReportedRecovery["why"]): void;
  receive(answers: RangeAnswers): void;
  /** There has been one, or it is under way. */
  readonly begun: boolean;
  /** It works on an answer: the next message has to wait. */
  readonly busy: boolean;
  /** What the server has of later revisions is news; 0 where that is not known. */
  readonly fork: number;
}

/** No recovery so far. */
export function createRecoveryRunner(conversation: Conversation, world: RecoveryRunnerWorld): RecoveryRunner {
  const { report, trips, ask, send, close, config } = conversation;
  const { history } = world;
  let recovery: Recovery | undefined;
  let fork: Fork | undefined;
  /** What is of another history is marked. */
  let isParted = false;
  let reason: ReportedRecovery["why"] = "asked";

  function create(): Recovery {
    const created: Recovery = createRecovery({
      ask,
      send(query) {
        const trip = trips.next();
        send({ $case: "ranges", value: query }, trip);
        return trip;
      },
      found(changes, doubtful, trip, after) {
        report.counts.told += changes.length + doubtful.length;
        if (changes.length + doubtful.length === 0) {
          trips.begin(trip);
          trips.end();
          return after();
        }
        const { witness } = created;
        part(trip, witness, () => world.start({ ...NO_JOB, changes, doubtful, trip, fork, witness, after }));
      },
      lostAfter: () => fork?.lostAfter ?? 0,
      complete,
      fail: close,
      // A replica that has kept no lineage has sent nothing to this collection: a rebinding was cut.
      rebinds: () => history.rebinds || history.wasEmpty,
      windowItems: () => conversation.limits.windowItems,
    });
    return created;
  }

  /** Before anything of the server's history is stored, what is of another one is marked. */
  function part(trip: number, witness: Checkpoint | undefined, after: () => void): void {
    if (isParted || fork === undefined || !history.isParted) return after();
    isParted = true;
    const { shared, lostAfter } = fork;
    const parted = { fork: shared, lostAfter, why: reason === "asked" ? reason : "history" } as const;
    world.start({ ...NO_JOB, parted, more: true, trip, witness, after });
  }

  function complete(to: NonNullable<ApplyBatch["recovered"]>): void {
    report.forked(fork?.lostAfter ?? 0);
    if (conversation.dryRun) {
      conversation.revision = to.revision;
      conversation.recovering = false;
      return world.recovered();
    }
    const whole = {
      ...to,
      // Else it is marked already.
      ...(fork === undefined || isParted ? {} : { fork: fork.shared }),
      lineage: history.withBegun(to.lineage),
    };
    world.start({
      ...NO_JOB,
      recovered: whole,
      trip: 0,
      after() {
        history.recovered(whole.lineage);
        conversation.token = whole.token;
        conversation.revision = whole.revision;
        conversation.seen = whole.revision;
        conversation.recovering = false;
        conversation.compared = true;
        world.recovered();
      },
    });
  }

  return {
    start(why) {
      reason = why;
      conversation.recovering = true;
      conversation.compared = false;
      trips.forget();
      world.began();
      report.recovery(why);
      recovery = create();
      const lineage = history.told.map(({ id, firstRevision }) => ({ id: Buffer.from(id), firstRevision }));
      send({ $case: "recover", value: { lineage } }, trips.next());
      recovery.begin();
    },
    receive(answers) {
      fork ??= history.compare(answers);
      if (fork.isOther && config.onHistoryChange === "stop" && !conversation.dryRun) return close(lostHistoryFault());
      recovery?.receive(answers);
    },
    get begun() {
      return recovery !== undefined;
    },
    get busy() {
      return conversation.recovering && recovery?.busy === true;
    },
    get fork() {
      return fork?.lostAfter ?? 0;
    },
  };
}
