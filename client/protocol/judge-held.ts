import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import type { ReplicaState } from "../replica/replica-state.js";
import type { Conversation } from "./conversation.js";
import { type Job, NO_JOB } from "./job.js";

/** Judges anew what the replica holds in conflict. */
export interface HeldJudge {
  /** The standard in force is known. */
  opened(): void;
  /** Something held is still to be judged. */
  readonly due: boolean;
  /** Judges what comes next of it. */
  next(): void;
}

/** The judge of what is held when an exchange begins. */
export function createHeldJudge(
  conversation: Conversation,
  { held }: ReplicaState,
  start: (job: Job) => void,
): HeldJudge {
  /** Held items after this id are still to be judged anew. */
  let after: string | undefined;
  return {
    opened() {
      if (held > 0 && judgesHeld(conversation) && conversation.config.mode !== "verify") after = "";
    },
    get due() {
      return after !== undefined;
    },
    next() {
      const from = after ?? "";
      after = undefined;
      conversation.ask({ kind: "held", after: from }, (result) => {
        if (result.kind !== "held" || result.items.length === 0) return;
        after = result.items.at(-1)?.id;
        const changes = result.items.map(({ id, theirs, theirsRevision, theirsTimeUs }) => {
          const told = { id, revision: theirsRevision, fingerprint: theirs, modifyTimeUs: theirsTimeUs };
          return { ...told, size: 0, group: 0, content: undefined };
        });
        start({ ...NO_JOB, changes, rejudges: true, trip: 0 });
      });
    },
  };
}

/**
 * What is held waits for somebody's word: the application's, or another standard that was named, or that the collection
 * binds. That nobody named one, and SERVER is in force for want of it, is none.
 */
function judgesHeld({ config, standard }: Conversation): boolean {
  if (config.resolves) return true;
  const unnamed = config.standard === ChangeStandard.CHANGE_STANDARD_UNSPECIFIED;
  const byDefault = unnamed && standard === ChangeStandard.CHANGE_STANDARD_SERVER;
  return standard !== ChangeStandard.CHANGE_STANDARD_MANUAL && !byDefault;
}
