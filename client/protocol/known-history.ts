import { forkOf } from "../../core/lineage.js";
import type { Epoch } from "../../gen/tercet/v1/item.js";
import type { RangeAnswers } from "../../gen/tercet/v1/sync.js";
import type { ApplyBatch } from "../replica/apply-batch.js";
import type { LineageEpoch, ReplicaState } from "../replica/replica-state.js";
import type { Conversation } from "./conversation.js";
import { encodeSettings } from "./settings.js";

type Lineage = readonly LineageEpoch[];

/** Where the histories of both sides part. */
export interface Fork {
  /** Bases of later revisions are lost, others are as real as the server's states. */
  readonly shared: number;
  /** The server's states of later revisions are news beside what it lost; others are older than that. */
  readonly lostAfter: number;
  /** The server's head when the recovery began: it has had all states then that it tells of. */
  readonly head: number;
  /** The server does not know all revisions that the replica has heard of. */
  readonly isOther: boolean;
}

/** What a replica keeps of the server's history, as the server tells it. */
export interface KnownHistory {
  readonly lineage: Lineage;
  /** The replica's collection is gone, and it goes on with another one. */
  readonly rebinds: boolean;
  /** The replica had kept none when the exchange began. */
  readonly wasEmpty: boolean;
  /** What the server said when it opened, or since, is still to be stored. */
  readonly isUnsaved: boolean;
  /** What goes with the next transaction that has something to store. */
  takeUnsaved(): ApplyBatch["opened"];
  /** The server has opened, and said this that the replica does not know yet. */
  opened(unsaved: ApplyBatch["opened"]): void;
  /** The server has begun an epoch; what the replica keeps from now on may lie in it. */
  begin(epoch: Epoch | undefined): void;
  /** What the server is told of it, in a recovery: so much that it tells of all deletions which may be news. */
  readonly told: Lineage;
  /** The server's first answer to a recovery: where its history parts from what the replica knows. */
  compare(answers: RangeAnswers): Fork;
  /** The server's lineage is the replica's from now on, which has bases of another one: that is to be stored before others. */
  readonly isParted: boolean;
  /** A lineage that the server told in a recovery, with the epochs that it has begun since it opened. */
  withBegun(told: Lineage): Lineage;
  /** A recovery is complete: the replica stands in this lineage. */
  recovered(lineage: Lineage): void;
}

const UNKNOWN_EPOCH = Buffer.alloc(8, 0xff);

/** The history that a replica knows when an exchange begins. */
export function createKnownHistory(conversation: Conversation, state: ReplicaState): KnownHistory {
  let { lineage } = state;
  let rebinds = false;
  let unsaved: ApplyBatch["opened"];
  /** Epochs that the server has begun since Opened. */
  let begun: readonly Epoch[] = [];
  let isTold = false;
  let isParted = false;

  function keep(whole: Lineage): void {
    const { opened } = conversation;
    if (opened === undefined) return;
    lineage = whole;
    unsaved = { collectionUid: opened.collectionUid, settings: encodeSettings(opened), ...unsaved, lineage };
  }

  function withBegun(told: Lineage): Lineage {
    const known = told.at(-1)?.firstRevision ?? 0;
    return [...told, ...begun.filter(({ firstRevision }) => firstRevision > known)];
  }

  return {
    wasEmpty: state.lineage.length === 0,
    get lineage() {
      return lineage;
    },
    get rebinds() {
      return rebinds;
    },
    get isUnsaved() {
      return unsaved !== undefined;
    },
    get isParted() {
      return isParted;
    },
    takeUnsaved() {
      const taken = unsaved;
      unsaved = undefined;
      return taken;
    },
    opened(told) {
      unsaved = told;
      lineage = told?.lineage ?? lineage;
      rebinds = told?.rebind === true;
    },
    begin(epoch) {
      if (epoch === undefined || conversation.opened === undefined) return;
      begun = [...begun, epoch];
      // Until a recovery has told the server's lineage, it is that of what the replica stands in still.
      if (conversation.recovering && !isTold) return;
      keep([...lineage, epoch]);
    },
    get told() {
      if (state.recovering === undefined) return lineage;
      const { lostAfter } = state.recovering;
      const shared = lineage.filter(({ firstRevision }) => firstRevision <= lostAfter);
      // The server may have more of the last one than what the fork was at: an epoch that nobody knows ends it here.
      return [...shared, { id: UNKNOWN_EPOCH, firstRevision: lostAfter + 1 }];
    },
    compare({ head, forkRevision, lineage: told }) {
      // All of another collection is lost, as long as there is no lineage.
      const at = head?.revision ?? 0;
      if (rebinds || lineage.length === 0) {
        return { shared: forkRevision, lostAfter: forkRevision, head: at, isOther: false };
      }
      const before = state.recovering?.lostAfter;
      const shared = before === undefined ? forkRevision : forkOf(lineage, told, at);
      const lostAfter = Math.min(shared, forkRevision, before ?? shared);
      const heard = Math.max(conversation.revision, state.revision, state.witnessRevision);
      const isSame = state.token.length > 0 && shared >= heard;
      const stops = conversation.config.onHistoryChange === "stop";
      if (!conversation.dryRun && (isSame || !stops)) {
        // Its epochs cover what recovery finds from now on: should that be cut, the next one must not take it for lost, nor
        // what is lost for the server's.
        isTold = true;
        isParted = !isSame;
        keep(withBegun(told));
      }
      return { shared, lostAfter, head: at, isOther: shared < heard };
    },
    withBegun,
    recovered(whole) {
      lineage = whole;
    },
  };
}
