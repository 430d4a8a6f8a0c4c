import type { Exchange, Output } from "../../core/exchange.js";
import { ErrorReason, type Fault } from "../../core/fault.js";
import { DEFAULT_LIMITS, negotiateLimits } from "../../core/limits.js";
import { fromPageChanges } from "../../core/page.js";
import { type RangeTotal, sameTotal } from "../../core/range-sum.js";
import type { ChangeStandard } from "../../gen/tercet/v1/item.js";
import type {
  ChangePage,
  ExchangeRequest,
  ExchangeResponse,
  Limits,
  Opened,
  Verdicts,
} from "../../gen/tercet/v1/sync.js";
import type { ApplyBatch, OutgoingQuery, ReplicaState } from "../replica/store.js";
import { outOfOrder, unverifiedFault } from "./faults.js";
import { type Carried, createIntake, type Job } from "./intake.js";
import { lastHeard, NO_WISHES, readOpened, toOpen } from "./opening.js";
import type { ClientOperation, ClientResult } from "./operation.js";
import { createOutflow, type Outflow } from "./outflow.js";
import { createReportBuilder, type ExchangeProgress, type ExchangeReport } from "./report.js";
import { rejectionJob, settleVerdicts } from "./settle-verdicts.js";

/** What the client's side of an exchange is given. */
export interface ClientExchangeConfig {
  /** The standard that the caller would like; UNSPECIFIED leaves it to the collection. */
  readonly standard: ChangeStandard;
  /** Create the collection if the server does not have it. */
  readonly create: boolean;
  /** Who is calling, for the server's log. */
  readonly client: string;
  /** What the client would like; what is left out is no wish. */
  readonly limits: Partial<Limits>;
  /** How long the server may leave the client waiting, in microseconds. */
  readonly stepTimeoutUs: number;
}

/** The client's side of one exchange. */
export interface ClientExchange extends Exchange<ExchangeResponse, ExchangeRequest, ClientOperation, ClientResult> {
  /** How far it has come. */
  progress(): ExchangeProgress;
  /** What it has done so far; complete once it has closed without a fault. */
  report(): ExchangeReport;
}

/** Proofs that are asked for before the exchange gives up on one: other writers outrun it. */
const MAX_PASSES = 8;

/**
 * The client's side of one exchange: receives change info, compares, judges the standard, sends content and fingerprint,
 * receives content.
 *
 * It opens with what is small and was never sent, and asks for the proof at once where that is all there is. What the
 * server tells is taken in order, each message in one transaction with its checkpoint; larger pending changes follow once
 * the feed has been read. It ends when a proof has come after which nothing was left to do.
 */
export function createClientExchange(config: ClientExchangeConfig): ClientExchange {
  const outbox: ExchangeRequest[] = [];
  const inbox: NonNullable<ExchangeResponse["message"]>[] = [];
  const report = createReportBuilder();
  const wishes: Limits = { ...NO_WISHES, ...config.limits };

  let awaiting: ((result: ClientResult) => void) | undefined;
  let following: ClientOperation | undefined;
  let closing: { readonly fault?: Fault } | undefined;
  let closed = false;

  let state: ReplicaState | undefined;
  let outflow: Outflow | undefined;
  let limits = negotiateLimits(DEFAULT_LIMITS, wishes);
  let standard: ChangeStandard = config.standard;
  let opened: Opened | undefined;
  let unsaved: ApplyBatch["opened"];
  let token: Uint8Array = Buffer.alloc(0);
  let revision = 0;
  let total: RangeTotal = { count: 0, sum: Buffer.alloc(32) };

  let compared = false;
  /** A Done is due, in this round trip at the earliest. */
  let doneDue: number | undefined = 1;
  let verified = false;
  let trips = 0;
  /** The round trips of the proofs that are under way. */
  const proofTrips: number[] = [];
  let passes = 0;
  let nowUs = 0;
  let waitingSinceUs = 0;

  function close(fault?: Fault): void {
    if (closing !== undefined) return;
    closing = fault === undefined ? {} : { fault };
    inbox.length = 0;
    following = undefined;
  }

  function ask(operation: ClientOperation, then: (result: ClientResult) => void): void {
    following = operation;
    awaiting = then;
  }

  function send(message: NonNullable<ExchangeRequest["message"]>, trip: number): void {
    if (closing !== undefined) return;
    trips = Math.max(trips, trip);
    outbox.push({ message });
  }

  const intake = createIntake({
    ask,
    fetch(ids, trip) {
      send({ $case: "fetch", value: { items: ids.map((id) => ({ id, offset: 0, revision: 0 })) } }, trip);
    },
    fail: close,
    standard: () => standard,
    windowBytes: () => limits.windowBytes,
    takeOpened() {
      const taken = unsaved;
      unsaved = undefined;
      return taken;
    },
    nowUs: () => nowUs,
    isNew: (checkpoint) => unsaved !== undefined || !checkpoint.token.equals(token),
    applied(done, result, job) {
      total = result.total;
      for (const carried of done) note(carried, job);
    },
    finished,
  });

  // ---- opening

  function begin(): void {
    ask({ kind: "begin" }, (result) => {
      if (result.kind !== "begin") return;
      state = result.state;
      ({ token, revision, total } = state);
      limits = lastHeard(state, wishes);
      outflow = createOutflow(state, () => limits);
      const query = outflow.eagerQuery();
      if (query === undefined) sendOpen(state);
      else takeOutgoing(query, () => sendOpen(result.state));
    });
  }

  function sendOpen(from: ReplicaState): void {
    send({ $case: "open", value: toOpen(from, config, wishes) }, 1);
  }

  function takeOutgoing(query: OutgoingQuery, before?: () => void): void {
    ask({ kind: "outgoing", query }, (result) => {
      if (result.kind !== "outgoing") return;
      before?.();
      const taken = outflow?.taken(query, result.batch, revision);
      if (taken === undefined) return;
      const { pushes, trip, tooLarge } = taken;
      for (const push of pushes) send({ $case: "push", value: push }, trip);
      if (pushes.length > 0) doneDue = Math.max(doneDue ?? 1, trip);
      if (tooLarge.length > 0) intake.start(rejectionJob(tooLarge, limits.itemBytes, report));
    });
  }

  function receiveOpened(message: Opened): void {
    opened = message;
    const opening = readOpened(message, state as ReplicaState, wishes);
    if ("reason" in opening) return close(opening);
    ({ standard, limits, unsaved } = opening);
  }

  // ---- change info and verdicts

  function pageJob(page: ChangePage): Job | Fault {
    const read = fromPageChanges(page);
    const [unknown] = read.unknown;
    if (unknown !== undefined) {
      const message = `the server told of "${unknown.id}" what this client does not know: ${unknown.problem}`;
      return { reason: ErrorReason.ERROR_REASON_UNSUPPORTED, message, metadata: { id: unknown.id } };
    }
    report.counts.told += read.changes.length;
    const doubted = (index: number): boolean => !read.verified && page.changes[index]?.fingerprint === undefined;
    return {
      actions: [],
      changes: read.changes.filter((change, index) => change.fingerprint === undefined || !doubted(index)),
      doubtful: read.changes.filter((change, index) => change.fingerprint !== undefined && doubted(index)),
      checkpoint: page.checkpoint,
      proof: page.proof,
      end: page.end,
      trip: compared ? (proofTrips[0] ?? 1) : 1,
    };
  }

  function verdictsJob(message: Verdicts): Job | Fault {
    const settled = settleVerdicts(message.verdicts, {
      outflow: outflow as Outflow,
      report,
      inlineBytes: limits.inlineBytes,
    });
    if ("reason" in settled) return settled;
    const { checkpoint } = message;
    return { ...settled, doubtful: [], checkpoint, proof: undefined, end: false };
  }

  function note({ decision, action }: Carried, job: Job): void {
    const { change, comparison, prevailed, sequence } = decision;
    const { counts } = report;
    if (action.kind === "take" && action.upsert !== undefined) counts.received += 1;
    if (action.kind === "take" && action.upsert === undefined) counts.deleted += 1;
    if (comparison === "agreed") {
      counts.settled += 1;
      outflow?.window.agree(sequence);
    }
    if (prevailed !== undefined) report.conflict({ id: change.id, standard, prevailed });
    if (comparison === "arrived" || prevailed === "mine") outflow?.again(change.id, sequence, job.trip + 1);
  }

  function finished(job: Job): void {
    if (job.checkpoint !== undefined) ({ token, revision } = job.checkpoint);
    if (job.end && !compared) {
      compared = true;
      outflow?.compared(job.trip);
    }
    if (job.proof === undefined) return;
    proofTrips.shift();
    const more = doneDue !== undefined || proofTrips.length > 0 || outflow?.idle !== true || outflow.window.items > 0;
    if (more) return;
    // A content that was fetched may be later than the snapshot of the proof: then it takes another one.
    if (intake.fetchedRevision > revision) doneDue = job.trip + 1;
    else if (sameTotal(job.proof, total)) {
      verified = true;
      close();
    } else close(unverifiedFault(state as ReplicaState, job.proof.count, total));
  }

  // ---- the machine

  function handle(message: NonNullable<ExchangeResponse["message"]>): void {
    if (message.$case === "opened") {
      return opened === undefined ? receiveOpened(message.value) : close(outOfOrder('"opened" came twice'));
    }
    if (message.$case === "goingAway") return;
    if (opened === undefined) return close(outOfOrder(`the first message was "${message.$case}", not "opened"`));
    if (message.$case !== "page" && message.$case !== "verdicts")
      return close(outOfOrder(`"${message.$case}" was not asked for`));
    const job = message.$case === "page" ? pageJob(message.value) : verdictsJob(message.value);
    if ("reason" in job) close(job);
    else intake.start(job);
  }

  /** What to do next of its own accord, once no message is under way. */
  function goOn(): boolean {
    if (outflow === undefined || state === undefined) return false;
    const query = outflow.nextQuery(compared);
    if (query !== undefined) {
      takeOutgoing(query);
      return true;
    }
    if (doneDue === undefined || !outflow.idle) return false;
    if (passes === MAX_PASSES) {
      close();
      return true;
    }
    passes += 1;
    const trip = Math.max(trips, doneDue);
    proofTrips.push(trip);
    doneDue = undefined;
    send({ $case: "done", value: {} }, trip);
    return true;
  }

  function step(): boolean {
    if (intake.busy) return false;
    const message = inbox.shift();
    if (message === undefined) return goOn();
    handle(message);
    return true;
  }

  function next(): Output<ExchangeRequest, ClientOperation> | undefined {
    if (closed) return undefined;
    if (state === undefined && awaiting === undefined) begin();
    for (;;) {
      const message = outbox.shift();
      if (message !== undefined) return { kind: "send", message };
      if (closing !== undefined) {
        closed = true;
        return { kind: "close", ...closing };
      }
      if (following !== undefined) {
        const operation = following;
        following = undefined;
        return { kind: "store", operation };
      }
      if (awaiting !== undefined || !step()) return undefined;
    }
  }

  return {
    receive(message, time) {
      nowUs = Math.max(nowUs, time);
      waitingSinceUs = nowUs;
      if (closing !== undefined || message.message === undefined) return;
      // Contents answer what the job under way is waiting for; everything else waits for it.
      if (message.message.$case === "contents") intake.receive(message.message.value);
      else inbox.push(message.message);
    },
    ended() {
      close(outOfOrder("the server ended the exchange before it was through"));
    },
    stored(result) {
      const then = awaiting;
      awaiting = undefined;
      if (closing === undefined) then?.(result);
    },
    failed(fault) {
      awaiting = undefined;
      close(fault);
    },
    tick(time) {
      nowUs = Math.max(nowUs, time);
      if (waitingSinceUs === 0) waitingSinceUs = nowUs;
      if (closed || awaiting !== undefined || nowUs - waitingSinceUs <= config.stepTimeoutUs) return undefined;
      closed = true;
      const message = `the server did not answer for ${Math.round(config.stepTimeoutUs / 1e6)} s`;
      return { reason: ErrorReason.ERROR_REASON_STALLED, message };
    },
    next,
    progress() {
      const firstPull = state !== undefined && state.token.length === 0;
      return {
        received: report.counts.told,
        toReceive: firstPull ? opened?.count : undefined,
        sent: report.counts.judged,
        toSend: state?.pending ?? 0,
      };
    },
    report: () =>
      report.build({
        standard,
        contended: outflow?.contended ?? [],
        roundTrips: trips,
        verified,
        unverified: verified ? undefined : "outrun",
        revision,
        count: total.count,
        sum: total.sum,
      }),
  };
}
