import type { Exchange } from "../../core/exchange.js";
import { ErrorReason } from "../../core/fault.js";
import type { ExchangeRequest, ExchangeResponse } from "../../gen/tercet/v1/sync.js";
import { createConversation, goAway } from "./conversation.js";
import { type Course, createCourse } from "./course.js";
import type { ClientExchangeConfig } from "./exchange-config.js";
import { outOfOrder } from "./faults.js";
import { lastHeard } from "./opening.js";
import type { ClientOperation, ClientResult } from "./operation.js";
import type { ExchangeProgress, ExchangeReport, ReportedRecovery } from "./report.js";
import { createStream } from "./stream.js";

/** The client's side of one exchange. */
export interface ClientExchange extends Exchange<ExchangeResponse, ExchangeRequest, ClientOperation, ClientResult> {
  /** How far it has come. */
  progress(): ExchangeProgress;
  /** What it has done so far; complete once it has closed without a fault, or is live. */
  report(): ExchangeReport;
  /** Both sides were compared range by range, and what was found is stored: what that was. */
  recovered(): ReportedRecovery | undefined;
  /** Live: whether it has caught up, with a proof unless other writers outran it; then for good. */
  standing(): "exchanging" | "live";
  /**
   * Live: there is nothing under way, so what the application writes now is sent as soon as this is notified of it. It may be
   * remembered as sent already when it is written.
   */
  sendsAtOnce(): boolean;
  /** Ends it in peace: sends nothing more, waits for the verdicts on what was sent, and closes without a fault. */
  leave(): void;
  /** Live: the exchange ends by itself and another one is to be begun after so many milliseconds, as the server asked for it. */
  goingAway(): { readonly retryAfterMs: number } | undefined;
}

/** A server that is silent for so many of its heartbeats is not there any more. */
const MISSED_HEARTBEATS = 3;
/** Who waits for this side, which waits for its application, hears of it this often. */
const SIGN_OF_LIFE_US = 1_000_000;
/** Clocks are looked at once a second, on both sides. */
const LEAST_PATIENCE_US = 5_000_000;

/**
 * The client's side of one exchange: receives change info, compares, judges the standard, sends content and fingerprint,
 * receives content.
 *
 * It opens with what is small and was never sent, and asks for the proof at once where that is all there is. What the
 * server tells is taken in order, each message in one transaction with its checkpoint; larger pending changes follow once
 * the feed has been read. It ends when a proof has come after which nothing was left to do.
 *
 * This is the machine that its driver sees; course.ts says what it does when, by its parts:
 *   - opening.ts: the first message of each side; known-history.ts: what the replica keeps of it, and of later epochs.
 *   - intake.ts: takes pages (read-page.ts), verdicts (settle-verdicts.ts) and what recovery found as jobs: compares,
 *     judges, fetches contents, stores.
 *   - push-changes.ts: takes pending changes and sends them.
 *   - proofs.ts: asks for the proof; run-recovery.ts: compares range by range where there can be none.
 *   - stay-live.ts: what a live exchange does after its proof.
 */
export function createClientExchange(config: ClientExchangeConfig): ClientExchange {
  const stream = createStream();
  const conversation = createConversation(config, stream);
  const { report, trips } = conversation;
  /** Undefined until it is known how the replica stands. */
  let course: Course | undefined;
  let waitingSinceUs = 0;
  let lastSentUs = 0;

  /** An application may judge a conflict, or take in what was applied, for longer than the server waits for a step. */
  function showLife(): void {
    if (!stream.atWork || conversation.opened === undefined) return;
    if (conversation.nowUs - lastSentUs < SIGN_OF_LIFE_US) return;
    lastSentUs = conversation.nowUs;
    conversation.send({ $case: "taken", value: { revision: conversation.revision } }, 0);
  }

  function begin(): void {
    stream.ask({ kind: "begin" }, (result) => {
      if (result.kind !== "begin") return;
      const { state, downloads } = result;
      conversation.token = state.token;
      conversation.revision = state.revision;
      conversation.seen = state.revision;
      conversation.total = state.total;
      conversation.limits = lastHeard(state, conversation.wishes);
      course = createCourse(conversation, stream, state, downloads);
      course.open();
    });
  }

  function step(): boolean {
    if (course !== undefined) return course.step();
    // It is to be left before it has begun.
    stream.close();
    return true;
  }

  /** How long the server may be silent: in mid-exchange, and where it has nothing to answer. */
  function patience(): number {
    if (!conversation.live || conversation.recovering || course?.waits === true) return config.stepTimeoutUs;
    const heartbeatUs = conversation.opened?.heartbeatUs ?? 0;
    if (heartbeatUs === 0) return Number.POSITIVE_INFINITY;
    return Math.max(MISSED_HEARTBEATS * heartbeatUs, LEAST_PATIENCE_US);
  }

  function setTime(nowUs: number): void {
    conversation.nowUs = Math.max(conversation.nowUs, nowUs);
  }

  return {
    receive({ message }, nowUs) {
      setTime(nowUs);
      waitingSinceUs = conversation.nowUs;
      if (stream.closing || message === undefined) return;
      if (message.$case === "goingAway") {
        // An exchange that ends by itself does so in the time that the server gives.
        if (config.live) goAway(conversation, message.value.retryAfterMs);
      } else if (message.$case === "epochBegun" && conversation.opened !== undefined) {
        // What is fetched does not wait its turn, so neither may the epoch that it is of.
        course?.beginEpoch(message.value.epoch);
      } else if (message.$case === "upload") {
        const fault = course?.pusher.receiveUpload(message.value);
        if (fault !== undefined) stream.close(fault);
      } else stream.receive(message);
    },
    ended() {
      stream.close(outOfOrder("the server ended the exchange before it was through"));
    },
    stored: stream.stored,
    failed: stream.failed,
    notify() {
      conversation.notified = true;
    },
    leave() {
      conversation.leaving = true;
    },
    sendsAtOnce() {
      const { live, leaving, recovering } = conversation;
      return live && !leaving && !recovering && course?.isQuiet === true;
    },
    standing: () => (conversation.live ? "live" : "exchanging"),
    goingAway: () => conversation.goingAway,
    tick(nowUs) {
      setTime(nowUs);
      if (waitingSinceUs === 0) waitingSinceUs = conversation.nowUs;
      course?.tick();
      showLife();
      const patienceUs = patience();
      if (stream.closed || stream.asking || conversation.nowUs - waitingSinceUs <= patienceUs) return undefined;
      stream.abandon();
      const message = `the server did not answer for ${patienceUs / 1e6} s`;
      return { reason: ErrorReason.ERROR_REASON_STALLED, message };
    },
    next() {
      if (course === undefined && !stream.asking && !conversation.leaving) begin();
      const output = stream.next(step);
      // While this side can send, it is not the server that keeps it waiting.
      if (output?.kind === "send") {
        waitingSinceUs = conversation.nowUs;
        lastSentUs = conversation.nowUs;
      }
      return output;
    },
    progress() {
      const isFirstPull = course?.state.token.length === 0 && course.state.recovering === undefined;
      return {
        received: report.counts.told,
        toReceive: isFirstPull ? conversation.opened?.count : undefined,
        sent: report.counts.judged,
        toSend: course?.state.pending ?? 0,
      };
    },
    recovered: () => (conversation.recovering ? undefined : report.recovered()),
    report() {
      const contended = course?.pusher.outflow.contended ?? [];
      const { standard, verified, revision, total } = conversation;
      return report.build({
        standard,
        contended,
        roundTrips: trips.count,
        verified,
        unverified: verified || conversation.dryRun ? undefined : "outrun",
        revision,
        count: total.count,
        sum: total.sum,
      });
    },
  };
}
