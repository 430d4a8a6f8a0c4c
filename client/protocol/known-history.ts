import type { Epoch } from "../../gen/tercet/v1/item.js";
import type { RangeAnswers } from "../../gen/tercet/v1/sync.js";
import type { ApplyBatch } from "../replica/apply-batch.js";
import type { LineageEpoch, ReplicaState } from "../replica/replica-state.js";
import type { Conversation } from "./conversation.js";
import { encodeSettings } from "./settings.js";

type Lineage = readonly LineageEpoch[];

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
  /** The server's first answer to a recovery: whether it lost anything of what the replica knows. */
  compare(answers: RangeAnswers): void;
  /** A lineage that the server told in a recovery, with the epochs that it has begun since it opened. */
  withBegun(told: Lineage): Lineage;
  /** A recovery is complete: the replica stands in this lineage. */
  recovered(lineage: Lineage): void;
}

/** The history that a replica knows when an exchange begins. */
export function createKnownHistory(conversation: Conversation, state: ReplicaState): KnownHistory {
  let { lineage } = state;
  let rebinds = false;
  let unsaved: ApplyBatch["opened"];
  /** Epochs that the server has begun since Opened. */
  let begun: readonly Epoch[] = [];
  /** A recovery has shown that the server lost nothing of what the replica knows. */
  let sameHistory = false;

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
      // In recovery the lineage is that of what the replica stands in still; the server's comes with its end.
      if (conversation.recovering && !sameHistory) return;
      keep([...lineage, epoch]);
    },
    compare({ head, forkRevision, lineage: told }) {
      // Without a token nothing says how far the replica's knowledge goes.
      if (head === undefined || state.token.length === 0 || conversation.dryRun) return;
      // Then its epochs cover what recovery finds; should it be cut, the next one must not take that for lost.
      const heard = Math.max(conversation.revision, state.revision, state.witnessRevision);
      sameHistory = !rebinds && forkRevision >= heard;
      if (sameHistory) keep(withBegun(told));
    },
    withBegun,
    recovered(whole) {
      lineage = whole;
    },
  };
}
