import type { Checkpoint } from "../../gen/tercet/v1/item.js";
import type { Action } from "../replica/action.js";
import type { ApplyBatch } from "../replica/apply-batch.js";
import type { SettledRun } from "../replica/outgoing-columns.js";
import type { Conversation } from "./conversation.js";
import type { Job } from "./job.js";
import type { KnownHistory } from "./known-history.js";

/** The transactions of a job: what is stored with each beside the actions that it is made for. */
export interface JobBatches {
  /** A job begins. */
  begin(job: Job): void;
  /**
   * A transaction; undefined where there is nothing to store. The last one of a job brings its checkpoint. `more`: the next
   * one follows at once.
   */
  of(actions: readonly Action[], isLast: boolean, more?: boolean): ApplyBatch | undefined;
  /** What a transaction says beside its actions. */
  progress(isLast: boolean): Omit<ApplyBatch, "actions">;
  /** The server has spoken of this revision. */
  witnessed(witness: Checkpoint | undefined): void;
}

/** The transactions of an exchange, before its first job. */
export function createJobBatches(conversation: Conversation, history: KnownHistory): JobBatches {
  let job: Pick<Job, "checkpoint" | "recovered" | "parted" | "more">;
  /** What was settled in a row and is still to be stored. */
  let settled: readonly SettledRun[] = [];
  let witness: Checkpoint | undefined;
  /** The latest that the server has spoken of in this exchange. */
  let latest: Checkpoint | undefined;

  function progress(isLast: boolean): Omit<ApplyBatch, "actions"> {
    const { checkpoint, recovered, parted, more } = job;
    const opened = history.takeUnsaved();
    return {
      nowUs: conversation.nowUs,
      ...(more ? { more } : {}),
      ...(isLast && checkpoint !== undefined ? { checkpoint } : {}),
      ...(isLast && recovered !== undefined ? { recovered } : {}),
      ...(opened === undefined ? {} : { opened }),
      ...(parted === undefined ? {} : { parted }),
      ...(isLast && recovered !== undefined ? witnessOf(latest) : witnessOf(isLast ? undefined : checkpoint)),
    };
  }

  /** What a transaction without its checkpoint speaks of is witnessed: a server may be restored to before it. */
  function witnessOf(checkpoint: Checkpoint | undefined): Pick<ApplyBatch, "witness"> {
    const later = isLater(checkpoint, witness) ? checkpoint : witness;
    return later === undefined ? {} : { witness: later };
  }

  /** Whether a checkpoint says more than what the replica has. */
  function isNew(checkpoint: Checkpoint): boolean {
    return history.isUnsaved || !checkpoint.token.equals(conversation.token);
  }

  return {
    begin(next) {
      job = next;
      settled = next.settled;
      witness = next.witness;
      if (isLater(witness, latest)) latest = witness;
    },
    of(actions, isLast, more = false) {
      const { checkpoint, recovered, parted } = job;
      const moves = isLast && checkpoint !== undefined && isNew(checkpoint);
      const runs = settled;
      settled = [];
      const nothing = actions.length + runs.length === 0;
      const ofRecovery = parted !== undefined || (isLast && recovered !== undefined);
      if (nothing && !moves && !ofRecovery) return undefined;
      return {
        ...progress(isLast),
        ...(more ? { more } : {}),
        ...(runs.length === 0 ? {} : { settled: runs }),
        actions,
      };
    },
    progress,
    witnessed(told) {
      if (isLater(told, witness)) witness = told;
      if (isLater(told, latest)) latest = told;
    },
  };
}

function isLater(a: Checkpoint | undefined, b: Checkpoint | undefined): boolean {
  return (a?.revision ?? 0) > (b?.revision ?? 0);
}
