import { asBuffer } from "../../core/content.js";
import type { Exchange } from "../../core/exchange.js";
import { createExchangeOutput } from "../../core/exchange-output.js";
import { ErrorReason } from "../../core/fault.js";
import { negotiateLimits } from "../../core/limits.js";
import {
  Capability,
  type ExchangeRequest,
  type ExchangeResponse,
  type Limits,
  type Open,
  type Recover,
} from "../../gen/tercet/v1/sync.js";
import type { CollectionState } from "../store/collection-state.js";
import { createUploadChecker, type UploadChecker } from "./check-uploads.js";
import { type Conversation, outOfOrder, unsupported } from "./conversation.js";
import { createInbox, type Queued } from "./inbox.js";
import { createKnownUploads, type KnownUploads } from "./known-uploads.js";
import { capabilitiesInForce, checkOpen, toOpened, withUidOfToken } from "./opening.js";
import type { ServerOperation, ServerResult } from "./operation.js";
import { createChunkReceiver, type QueuedChunk } from "./receive-chunks.js";
import { type ContentReceiver, createContentReceiver, type QueuedBatch } from "./receive-content.js";
import { createReconciler, type Reconciler } from "./reconcile.js";
import { createChangeFeed } from "./send-change-info.js";
import { sendContents } from "./send-content.js";
import { checkToken, checkWitness, type TokenCheck } from "./token.js";
import { notNegative } from "./validate-push.js";

/**
 * Before pushes of more than this part of a message, which take a while, so many pages of what others have made go out: the
 * client takes them meanwhile. (As much as a client may send before it has heard anything, in messages of the default size.)
 */
const LONG_PUSH_PART = 1 / 4;
const PAGES_FIRST = 4;

/** What the server's side of an exchange is given. */
export interface ServerExchangeConfig {
  /** What this server gives at most. */
  readonly limits: Limits;
  /** How far ahead of this server's clock a modify time may be, in microseconds. */
  readonly skewUs: number;
  /** How long the client may leave the server waiting in mid-exchange, in microseconds. */
  readonly stepTimeoutUs: number;
  /** Live: how long the server leaves the client without a word, in microseconds. */
  readonly heartbeatUs: number;
}

/** The server's side of one exchange. */
export interface ServerExchange extends Exchange<ExchangeRequest, ExchangeResponse, ServerOperation, ServerResult> {
  /** Uid of the collection; empty before Opened. */
  uid(): Uint8Array;
  /** The server is going to stop: a live client is asked to end the exchange, and to come back after so many milliseconds. */
  goAway(retryAfterMs: number): void;
}

function isOther({ collectionUid }: Open, { uid }: CollectionState): boolean {
  return collectionUid.length > 0 && !asBuffer(collectionUid).equals(uid);
}

/** What becomes of the token and the witness of an Open. A replica that goes on with another collection has none for it. */
function checkOf(open: Open, state: CollectionState): TokenCheck {
  if (open.recover) return { kind: "served", revision: 0, pullHead: state.revision };
  const served = checkToken(open.token, state, open.recreate && isOther(open, state));
  // What it has heard of another collection says nothing of this one.
  if (served.kind !== "served" || (open.recreate && isOther(open, state))) return served;
  return checkWitness(open.witness, state) ?? served;
}

/**
 * The server's side of one exchange: sends change info, receives content, sends content.
 *
 * It works on the client's messages in the order they came, one storage operation at a time, and between them reads the
 * change feed, a page whenever there is room to send one. So what it sends is in the order of its transactions: a verdict
 * comes before any page that was read after the push was made.
 */
export function createServerExchange(config: ServerExchangeConfig): ServerExchange {
  const output = createExchangeOutput<ExchangeResponse, ServerOperation, ServerResult>();
  /** `waiting`: for Recover, as the token was refused or the client asked for it. `recovering`: until Done. */
  let phase: "new" | "opening" | "open" | "waiting" | "recovering" = "new";
  let recovered = false;
  let epochsTold = 0;
  let halfClosed = false;
  let lastProgressUs = 0;
  let pagesFirst = 0;
  let seenAtOpen: number | undefined;
  /** Live: when the last message went out, and since when one without a change is due. */
  let lastSentUs = 0;
  let heartbeatDueUs: number | undefined;
  let goingAwayMs: number | undefined;

  const conversation: Conversation = {
    skewUs: config.skewUs,
    name: "",
    uid: Buffer.alloc(0),
    rebinds: false,
    live: false,
    lineage: [],
    limits: config.limits,
    token: Buffer.alloc(0),
    capabilities: [],
    nowUs: 0,
    unanswered: { bytes: 0, items: 0 },
    ask: output.ask,
    send(message) {
      tellEpochs(message);
      output.send({ message });
    },
    close(fault) {
      output.close(fault);
      inbox.clear();
    },
  };
  const { close } = conversation;
  const inbox = createInbox(conversation);
  const feed = createChangeFeed(conversation);
  // Made when they are needed: thousands of live exchanges only read, and each keeps what it has.
  let reconciler: Reconciler | undefined;
  let uploads: KnownUploads | undefined;
  let receiveChunks: ((chunks: readonly QueuedChunk[]) => void) | undefined;
  let checkUploads: UploadChecker | undefined;
  let receiver: ContentReceiver | undefined;

  function contentReceiver(): ContentReceiver {
    receiver ??= createContentReceiver(conversation, feed, uploadChecker, () => seenAtOpen);
    return receiver;
  }

  function uploadChecker(): UploadChecker {
    uploads ??= createKnownUploads();
    checkUploads ??= createUploadChecker(conversation, uploads);
    return checkUploads;
  }

  /** The client keeps the lineage of all that it is told of. */
  function tellEpochs(message: NonNullable<ExchangeResponse["message"]>): void {
    const { lineage } = conversation;
    for (const { id, firstRevision } of message.$case === "opened" ? [] : lineage.slice(epochsTold)) {
      const epoch = { id: Buffer.from(id), firstRevision };
      output.send({ message: { $case: "epochBegun", value: { epoch } } });
    }
    epochsTold = lineage.length;
  }

  function open(received: Open): void {
    const fault = checkOpen(received);
    if (fault !== undefined) return close(fault);
    const message = withUidOfToken(received);
    phase = "opening";
    conversation.name = message.collection;
    conversation.ask({ kind: "open", open: message }, (result) => {
      if (result.kind !== "open") return;
      if ("reason" in result.found) return close(result.found);
      opened(message, result.found);
    });
  }

  function opened(message: Open, state: CollectionState): void {
    const check = checkOf(message, state);
    if (check.kind === "invalid") return close(check.fault);
    conversation.uid = state.uid;
    conversation.rebinds = isOther(message, state);
    conversation.lineage = state.lineage;
    conversation.limits = negotiateLimits(config.limits, message.limits);
    conversation.capabilities = capabilitiesInForce(message);
    conversation.live = message.live;
    if (message.recover || check.kind === "refused") phase = "waiting";
    else {
      phase = "open";
      feed.begin(check.revision, check.pullHead);
      if (check.revision < state.revision) pagesFirst = PAGES_FIRST;
      // Without a token there is nothing to hold a push against that does not say what it has seen.
      if (message.token.length > 0) seenAtOpen = Math.max(check.revision, check.pullHead);
    }
    const answer = toOpened(conversation, message, state, check, config.heartbeatUs);
    if (answer.unchanged) conversation.token = message.token;
    conversation.send({ $case: "opened", value: answer });
    if (message.done) done();
  }

  /** Live, and neither side has anything to say: the client may be silent for as long as it likes. */
  function isQuiet(): boolean {
    const { live, unanswered } = conversation;
    return live && phase === "open" && feed.quiet && unanswered.items === 0 && unanswered.bytes === 0;
  }

  function handle({ message, bytes }: Queued): void {
    if (phase === "new") {
      if (message.$case === "open") return open(message.value);
      return close(outOfOrder(`the first message must be "open", not "${message.$case}"`));
    }
    switch (message.$case) {
      case "open":
        return close(outOfOrder('"open" came twice; open another stream for another exchange'));
      case "push":
        return pushed({ batch: message.value, bytes });
      case "chunk":
        if (!conversation.capabilities.includes(Capability.CAPABILITY_CHUNKS)) return close(unsupported("chunk"));
        uploads ??= createKnownUploads();
        receiveChunks ??= createChunkReceiver(conversation, uploads);
        return receiveChunks(inbox.withNextChunks({ chunk: message.value, bytes }));
      case "fetch":
        return sendContents(conversation, message.value.items, feed);
      case "done":
        return done();
      case "recover":
        return recover(message.value);
      case "ranges":
        if (phase !== "recovering" || reconciler === undefined)
          return close(outOfOrder('"ranges" has a meaning after "recover" and before "done"'));
        return reconciler.answer(message.value);
      case "taken":
        return feed.taken(message.value.revision);
    }
  }

  function done(): void {
    // A client that did not know yet that its token is refused gets no proof for it.
    if (phase === "waiting") return;
    phase = "open";
    feed.proofDue();
  }

  function recover(message: Recover): void {
    if (recovered) return close(outOfOrder('"recover" came twice'));
    recovered = true;
    phase = "recovering";
    reconciler = createReconciler(conversation);
    reconciler.recover(message, (head) => feed.begin(head, 0));
  }

  function pushed(first: QueuedBatch): void {
    // The client has compared all it wanted to: what it sends is held against the head that the recovery earned.
    if (phase === "recovering") phase = "open";
    const batches = phase === "open" ? inbox.withNextPushes(first) : [first];
    for (const { batch } of batches) {
      const fault = notNegative(batch.revisionSeen, "push.revision_seen");
      if (fault !== undefined) return close(fault);
    }
    if (phase === "open") contentReceiver().push(batches);
    else contentReceiver().refuse(first);
  }

  function step(): boolean {
    const isLeaving = goingAwayMs !== undefined && conversation.live;
    const queued = isLeaving || readsFirst() ? undefined : inbox.next();
    if (isLeaving) sayGoodbye(goingAwayMs ?? 0);
    else if (queued !== undefined) handle(queued);
    else if (phase === "open" && feed.wanted) feed.readPage();
    else if (heartbeatDueUs !== undefined) beat();
    else if (halfClosed) close(phase === "new" ? outOfOrder('the stream ended before "open"') : undefined);
    else return false;
    return true;
  }

  /** Whether a page is to be read though a message lies unread. */
  function readsFirst(): boolean {
    const { unanswered, limits } = conversation;
    const isLong = unanswered.bytes > limits.messageBytes * LONG_PUSH_PART;
    const reads = pagesFirst > 0 && isLong && phase === "open" && feed.wanted;
    pagesFirst = reads ? pagesFirst - 1 : 0;
    return reads;
  }

  function sayGoodbye(retryAfterMs: number): void {
    goingAwayMs = undefined;
    conversation.send({ $case: "goingAway", value: { retryAfterMs } });
  }

  function beat(): void {
    heartbeatDueUs = undefined;
    if (isQuiet()) feed.heartbeat();
  }

  return {
    receive(message, time) {
      conversation.nowUs = Math.max(conversation.nowUs, time);
      if (output.closing || message.message === undefined) return;
      lastProgressUs = conversation.nowUs;
      if (inbox.add(message.message)) return;
      close({ reason: ErrorReason.ERROR_REASON_WINDOW_EXCEEDED, message: "too much was sent without an answer" });
    },
    ended() {
      halfClosed = true;
    },
    stored: output.stored,
    failed(fault) {
      output.failed(fault);
      inbox.clear();
    },
    notify(revision) {
      if (conversation.live) feed.advanced(revision);
    },
    uid: () => conversation.uid,
    goAway(retryAfterMs) {
      goingAwayMs = retryAfterMs;
    },
    tick(time) {
      conversation.nowUs = Math.max(conversation.nowUs, time);
      if (lastProgressUs === 0) lastProgressUs = conversation.nowUs;
      if (isQuiet() && conversation.nowUs - lastSentUs >= config.heartbeatUs) heartbeatDueUs ??= conversation.nowUs;
      // Somebody who is silent is heard of once a heartbeat can't be sent any more.
      if (isQuiet() && !output.closing) lastProgressUs = heartbeatDueUs ?? conversation.nowUs;
      // An operation that is wanted and not asked for yet waits for room to send, that is for the client.
      const idle = !output.atWork && conversation.nowUs - lastProgressUs > config.stepTimeoutUs;
      if (!idle || output.closed) return undefined;
      output.abandon();
      const seconds = config.stepTimeoutUs / 1e6;
      const message = `the client did not go on with the exchange for ${seconds} s`;
      return { reason: ErrorReason.ERROR_REASON_STALLED, message };
    },
    next() {
      const next = output.next(step);
      if (next?.kind === "send") {
        lastProgressUs = conversation.nowUs;
        lastSentUs = conversation.nowUs;
        heartbeatDueUs = undefined;
      }
      return next;
    },
  };
}
