import type { Fault } from "../../core/fault.js";
import { WHOLE_BYTES } from "../../core/limits.js";
import { Capability, type UploadState } from "../../gen/tercet/v1/sync.js";
import type { OutgoingQuery } from "../replica/outgoing-batch.js";
import type { ReplicaState } from "../replica/replica-state.js";
import { type Conversation, serverCan } from "./conversation.js";
import type { Job } from "./job.js";
import { createOutflow, type Outflow } from "./outflow.js";
import { createChunkSender, type LargeSending } from "./send-chunks.js";
import { rejectionJob } from "./settle-verdicts.js";

/** What pushing needs beside the conversation. */
export interface PusherWorld {
  /** Items whose pending changes are about to give way: they are not sent. */
  givingWay(): ReadonlySet<string>;
  /** Something was pushed in this round trip. */
  pushed(trip: number): void;
}

/** Takes pending changes from the replica and pushes them; what is large goes in chunks before. */
export interface Pusher {
  readonly outflow: Outflow;
  /** A large content is being sent, or is to be. */
  readonly sendsChunks: boolean;
  /** Everything that is to be sent has been. */
  readonly idle: boolean;
  /** Takes and pushes what a query finds. */
  take(query: OutgoingQuery): void;
  /** How much of an upload the server holds. */
  receiveUpload(state: UploadState): Fault | undefined;
  /** Goes on; answers whether there was anything to do. */
  step(): boolean;
  /** Marks what could not be sent. */
  nextRejection(): Job | undefined;
  /** Something is to be marked so. */
  readonly rejects: boolean;
}

/** The pusher of an exchange that begins in this state. */
export function createPusher(conversation: Conversation, state: ReplicaState, world: PusherWorld): Pusher {
  const { ask, send, report } = conversation;
  const limits = (): Conversation["limits"] => conversation.limits;
  const rejections: Job[] = [];
  const outflow = createOutflow(state, limits, largest);
  const chunks = createChunkSender({
    ask,
    send: (chunk, trip) => send({ $case: "chunk", value: chunk }, trip),
    limits,
    window: outflow.window,
    whole: pushLarge,
  });

  /** Bytes of the largest content that the server takes. */
  function largest(): number {
    const { opened, limits } = conversation;
    const chunked = opened === undefined || serverCan(conversation, Capability.CAPABILITY_CHUNKS);
    return chunked ? limits.itemBytes : Math.min(limits.itemBytes, WHOLE_BYTES);
  }

  function take(query: OutgoingQuery): void {
    ask({ kind: "outgoing", query }, (result) => {
      if (result.kind !== "outgoing") return;
      const { pushes, trip, large, tooLarge } = outflow.taken(
        query,
        result.batch,
        conversation.seen,
        world.givingWay(),
      );
      for (const push of pushes) {
        if (query.eager) report.counts.eager += push.pushes.length;
        send({ $case: "push", value: push }, trip);
      }
      if (pushes.length > 0) world.pushed(trip);
      for (const sending of large) chunks.begin(sending);
      if (tooLarge.length > 0) rejections.push(rejectionJob(tooLarge, largest(), report));
    });
  }

  /** The chunks of a change have been sent: its push follows, on the base that it has now. */
  function pushLarge(sending: LargeSending): void {
    const select = { ids: [sending.change.id] };
    const query = { select, maxBytes: conversation.limits.messageBytes, maxChanges: 1, eager: false };
    ask({ kind: "outgoing", query }, (result) => {
      if (result.kind !== "outgoing") return;
      const taken = outflow.takenLarge(sending, result.batch, conversation.seen, world.givingWay());
      if (taken === undefined) return;
      send({ $case: "push", value: taken.push }, taken.trip);
      world.pushed(taken.trip);
    });
  }

  return {
    outflow,
    get sendsChunks() {
      return chunks.busy;
    },
    get idle() {
      return outflow.idle && !chunks.busy;
    },
    take,
    receiveUpload: chunks.receive,
    step() {
      if (chunks.busy) return chunks.step();
      // Nothing is sent before there is a checkpoint: what may have arrived must not meet a first pull, which leaves out deletions.
      const query = conversation.token.length === 0 ? undefined : outflow.nextQuery(conversation.compared);
      if (query === undefined) return false;
      take(query);
      return true;
    },
    nextRejection: () => rejections.shift(),
    get rejects() {
      return rejections.length > 0;
    },
  };
}
