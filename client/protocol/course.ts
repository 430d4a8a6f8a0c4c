import { ErrorReason } from "../../core/fault.js";
import { sameTotal } from "../../core/range-sum.js";
import type { Epoch, RangeFingerprint } from "../../gen/tercet/v1/item.js";
import { Capability, type Opened } from "../../gen/tercet/v1/sync.js";
import type { ReplicaState } from "../replica/replica-state.js";
import { type Conversation, goAway, serverCan } from "./conversation.js";
import { endDryRun } from "./end-dry-run.js";
import { outOfOrder, unverifiedFault } from "./faults.js";
import { createIntake, type Intake } from "./intake.js";
import type { Job } from "./job.js";
import { createHeldJudge } from "./judge-held.js";
import { createKnownHistory } from "./known-history.js";
import { noteCarried } from "./note-carried.js";
import { hasLostCheckpoint, type OpeningWay, readOpened, toOpen, wholeOpened } from "./opening.js";
import { createProofs } from "./proofs.js";
import { createPusher, type Pusher } from "./push-changes.js";
import { pageJob } from "./read-page.js";
import { createRecoveryRunner } from "./run-recovery.js";
import { verdictsJob } from "./settle-verdicts.js";
import { createLiveStay } from "./stay-live.js";
import type { ServerMessage, Stream } from "./stream.js";

/** The course of an exchange, from its opening message to its proof, and of a live one beyond. */
export interface Course {
  /** How the replica stood when the exchange began. */
  readonly state: ReplicaState;
  readonly pusher: Pick<Pusher, "outflow" | "receiveUpload">;
  /** Sends the opening message, with what can go with it. */
  open(): void;
  /** The server has begun an epoch. */
  beginEpoch(epoch: Epoch | undefined): void;
  /** Does the next thing that is due; answers whether there was any. */
  step(): boolean;
  /** Nothing is under way, and nothing is to be sent. */
  readonly isQuiet: boolean;
  /** The server owes an answer. */
  readonly waits: boolean;
  /** Time has passed. */
  tick(): void;
}

/** The course of an exchange of a replica in this state. `downloads`: a fetch was cut before, and goes on. */
export function createCourse(
  conversation: Conversation,
  stream: Stream,
  state: ReplicaState,
  downloads: boolean,
): Course {
  const { config, dryRun, wishes, report, trips, ask, send, close } = conversation;
  const history = createKnownHistory(conversation, state);
  const proofs = createProofs(conversation);
  const pusher = createPusher(conversation, state, { givingWay: () => intake.givingWay, pushed: proofs.pushed });
  const { outflow } = pusher;
  const live = createLiveStay(conversation, pusher, state.replicaId);
  const held = createHeldJudge(conversation, state, start);
  const recovery = createRecoveryRunner(conversation, {
    history,
    began: proofs.forget,
    start,
    recovered() {
      if (dryRun) return endDryRun(conversation);
      outflow.compared(trips.next());
      proofs.ask(trips.next());
    },
  });
  const intake: Intake = createIntake(conversation, {
    history,
    downloads,
    isFirstPull: state.token.length === 0 && state.recovering === undefined,
    isFirst: outflow.window.isFirst,
    applied(done) {
      for (const carried of done) noteCarried(conversation, outflow, recovery.fork, carried);
    },
    compared,
    finished,
  });

  function start(job: Job): void {
    trips.begin(job.trip);
    intake.start(job);
  }

  // ---- opening

  function open(): void {
    if (config.mode === "verify" || hasLostCheckpoint(state)) {
      sendOpen({ recover: true, done: false });
      return recovery.start(config.mode === "verify" ? "asked" : (state.recovering?.why ?? "asked"));
    }
    const query = dryRun ? undefined : outflow.eagerQuery();
    if (query === undefined) sendOpen({ recover: false, done: proofs.takeFirst(pusher.idle) });
    else {
      sendOpen({ recover: false, done: false });
      pusher.take(query);
    }
  }

  function sendOpen(way: OpeningWay): void {
    send({ $case: "open", value: toOpen(state, config, wishes, way) }, 1);
  }

  function opened(told: Opened): void {
    const message = wholeOpened(told, state);
    if ("reason" in message) return close(message);
    conversation.opened = message;
    conversation.openedUs = conversation.nowUs;
    if (told.unchanged) conversation.openToken = Buffer.from(conversation.token);
    const { recovering } = conversation;
    const opening = readOpened(message, state, { ...config, recovers: recovering }, wishes);
    if ("reason" in opening) return close(opening);
    conversation.standard = opening.standard;
    conversation.limits = opening.limits;
    history.opened(opening.unsaved);
    held.opened();
    if (!opening.refused || recovering) return;
    trips.begin(1);
    trips.end();
    const compacted = message.tokenRefused === ErrorReason.ERROR_REASON_TOKEN_COMPACTED;
    recovery.start(history.rebinds ? "recreated" : compacted ? "compacted" : "history");
  }

  // ---- jobs

  /** The changes of a job have been compared. */
  function compared(job: Job): void {
    conversation.seen = Math.max(conversation.seen, job.checkpoint?.revision ?? 0);
    if (!job.end || conversation.compared) return;
    conversation.compared = true;
    outflow.compared(trips.next());
  }

  function finished(job: Job): void {
    const { checkpoint, proof } = job;
    const isFirst = conversation.token.length === 0 && checkpoint !== undefined;
    if (checkpoint !== undefined) {
      conversation.token = checkpoint.token;
      conversation.revision = checkpoint.revision;
    }
    // What had to wait for it belongs to the round trip after all that was fetched for it.
    if (isFirst && conversation.compared) outflow.compared(trips.next());
    if (job.fetches) send({ $case: "taken", value: { revision: conversation.revision } }, 0);
    trips.end();
    if (job.after !== undefined) return job.after();
    if (dryRun && job.end) return endDryRun(conversation);
    const changed = job.changes.length + job.actions.length + job.settled.length > 0 || job.items !== undefined;
    if (changed) proofs.changed();
    if (proof === undefined) return;
    trips.proved();
    const more = proofs.due || trips.proofsDue > 0 || !pusher.idle || outflow.window.items > 0;
    if (!more) compareProof(proof);
  }

  // ---- proof and end

  function compareProof(proof: RangeFingerprint): void {
    // A content that was fetched may be later than the snapshot of the proof: then it takes another one.
    if (intake.fetchedRevision > conversation.revision) return proofs.ask(trips.next());
    if (sameTotal(proof, conversation.total)) {
      proofs.proved();
      return config.live ? stay() : forgetDownloads(close);
    }
    const canRecover = serverCan(conversation, Capability.CAPABILITY_RECONCILE);
    if (!recovery.begun && canRecover) recovery.start("unverified");
    // A stream has one recovery; the next exchange has another.
    else if (conversation.live && conversation.verified) goAway(conversation, 0);
    else close(unverifiedFault(state, proof.count, conversation.total));
  }

  /** Caught up: the exchange is live. */
  function stay(): void {
    proofs.rest();
    if (conversation.live) return;
    live.begin();
    forgetDownloads(() => undefined);
  }

  /** Both sides are the same: what was fetched and not taken is of no use any more. */
  function forgetDownloads(then: () => void): void {
    if (intake.hasLeftovers) ask({ kind: "forget-downloads" }, () => then());
    else then();
  }

  /** Nothing that was sent is without its answer, and nothing that came is half taken. */
  function canLeave(): boolean {
    return !intake.busy && !stream.asking && outflow.window.items === 0;
  }

  // ---- turns

  function handle(message: ServerMessage): void {
    if (message.$case === "opened") {
      return conversation.opened === undefined ? opened(message.value) : close(outOfOrder('"opened" came twice'));
    }
    if (message.$case === "epochBegun") return history.begin(message.value.epoch);
    if (conversation.opened === undefined) {
      return close(outOfOrder(`the first message was "${message.$case}", not "opened"`));
    }
    if (message.$case === "ranges" && conversation.recovering) return recovery.receive(message.value);
    if (message.$case !== "page" && message.$case !== "verdicts") {
      return close(outOfOrder(`"${message.$case}" was not asked for`));
    }
    const job =
      message.$case === "page"
        ? pageJob(message.value, conversation, intake.takesNew)
        : verdictsJob(message.value, { outflow, report, revision: conversation.revision });
    if ("reason" in job) close(job);
    else start(job);
  }

  function step(): boolean {
    if (conversation.leaving && canLeave()) {
      close();
      return true;
    }
    const contents = stream.nextContents();
    if (contents !== undefined) {
      intake.receive(contents);
      return true;
    }
    const rejection = intake.busy ? undefined : pusher.nextRejection();
    if (rejection !== undefined) {
      start(rejection);
      return true;
    }
    if (!intake.busy && !recovery.busy) {
      if (held.due && !conversation.recovering) {
        held.next();
        return true;
      }
      const message = stream.nextMessage();
      if (message !== undefined) {
        handle(message);
        return true;
      }
    }
    return intake.busy && !intake.waiting ? false : goOn();
  }

  /** What to do next of its own accord, once no message is under way. */
  function goOn(): boolean {
    if (conversation.recovering || dryRun || conversation.leaving) return false;
    const pushes = outflow.window.items > 0;
    if (!pushes && !pusher.sendsChunks && live.goOn()) return true;
    if (pusher.step()) return true;
    if (!pusher.idle) return false;
    const next = proofs.next({ taking: intake.busy, pushes });
    if (next === "outrun" && config.live) stay();
    else if (next === "outrun") close();
    return next !== "nothing";
  }

  return {
    state,
    pusher,
    open,
    beginEpoch: history.begin,
    step,
    get isQuiet() {
      return canLeave() && pusher.idle && !pusher.rejects && stream.unread === 0;
    },
    get waits() {
      return trips.proofsDue > 0 || outflow.window.items > 0 || intake.busy || pusher.sendsChunks;
    },
    tick: live.tick,
  };
}
