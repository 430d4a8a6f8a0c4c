import type { RangeAnswers } from "../../gen/tercet/v1/sync.js";
import type { ApplyBatch } from "../replica/apply-batch.js";
import type { Conversation } from "./conversation.js";
import { type Job, NO_JOB } from "./job.js";
import type { KnownHistory } from "./known-history.js";
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
  /** The last revision that both histories share; 0 where it is not known. */
  readonly fork: number;
}

/** No recovery so far. */
export function createRecoveryRunner(conversation: Conversation, world: RecoveryRunnerWorld): RecoveryRunner {
  const { report, trips, ask, send, close } = conversation;
  const { history } = world;
  let recovery: Recovery | undefined;

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
        const { fork, witness } = created;
        world.start({ ...NO_JOB, changes, doubtful, trip, fork, witness, after });
      },
      complete,
      fail: close,
      // A replica that has kept no lineage has sent nothing to this collection: a rebinding was cut.
      rebinds: () => history.rebinds || history.wasEmpty,
      windowItems: () => conversation.limits.windowItems,
    });
    return created;
  }

  function complete(to: NonNullable<ApplyBatch["recovered"]>): void {
    report.forked(recovery?.fork ?? 0);
    if (conversation.dryRun) {
      conversation.revision = to.revision;
      conversation.recovering = false;
      return world.recovered();
    }
    const whole = { ...to, lineage: history.withBegun(to.lineage) };
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
      conversation.recovering = true;
      conversation.compared = false;
      trips.forget();
      world.began();
      report.recovery(why);
      recovery = create();
      const lineage = history.lineage.map(({ id, firstRevision }) => ({ id: Buffer.from(id), firstRevision }));
      send({ $case: "recover", value: { lineage } }, trips.next());
      recovery.begin();
    },
    receive(answers) {
      history.compare(answers);
      recovery?.receive(answers);
    },
    get begun() {
      return recovery !== undefined;
    },
    get busy() {
      return conversation.recovering && recovery?.busy === true;
    },
    get fork() {
      return recovery?.fork ?? 0;
    },
  };
}
