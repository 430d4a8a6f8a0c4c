import type { Exchange, Output } from "../../core/exchange.js";
import { ErrorReason, type Fault } from "../../core/fault.js";
import { DEFAULT_LIMITS, negotiateLimits } from "../../core/limits.js";
import { fromPageChanges } from "../../core/page.js";
import { type RangeTotal, sameTotal } from "../../core/range-sum.js";
import type { ChangeStandard } from "../../gen/tercet/v1/item.js";
import type {
  ChangePage,
  Contents,
  ExchangeRequest,
  ExchangeResponse,
  Limits,
  Opened,
  Verdicts,
} from "../../gen/tercet/v1/sync.js";
import type { ApplyBatch, OutgoingQuery, ReplicaState } from "../replica/store.js";
import { outOfOrder, unverifiedFault } from "./faults.js";
import { type Carried, createIntake, type Job, NO_JOB } from "./intake.js";
import { lastHeard, NO_WISHES, readOpened, toOpen } from "./opening.js";
import type { ClientOperation, ClientResult } from "./operation.js";
import { createOutflow, type Outflow } from "./outflow.js";
import { createReportBuilder, type ExchangeProgress, type ExchangeReport } from "./report.js";
import { createRoundTrips } from "./round-trips.js";
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
  /** Contents answer what the job under way waits for; everything else waits for the job. */
  const arrived: Contents[] = [];
  /** Jobs of this side's own. */
  const jobs: Job[] = [];
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
  /** All changes up to this revision were compared: what pushes have seen. */
  let seen = 0;

  let compared = false;
  /** A Done is due, in this round trip at the earliest. */
  let doneDue: number | undefined = 1;
  let verified = false;
  const trips = createRoundTrips();
  let passes = 0;
  let nowUs = 0;
  let waitingSinceUs = 0;

  function close(fault?: Fault): void {
    if (closing !== undefined) return;
    closing = fault === undefined ? {} : { fault };
    inbox.length = 0;
    arrived.length = 0;
    following = undefined;
  }

  function ask(operation: ClientOperation, then: (result: ClientResult) => void): void {
    following = operation;
    awaiting = then;
  }

  function send(message: NonNullable<ExchangeRequest["message"]>, trip: number): void {
    if (closing !== undefined) return;
    trips.sent(trip);
    outbox.push({ message });
  }

  const intake = createIntake({
    ask,
    fetch(ids) {
      send({ $case: "fetch", value: { items: ids.map((id) => ({ id, offset: 0, revision: 0 })) } }, trips.fetch());
    },
    fetched: trips.fetched,
    fail: close,
    standard: () => standard,
    window: () => ({ bytes: limits.windowBytes, items: limits.windowItems }),
    isFirst: (sequence) => outflow?.window.isFirst(sequence) === true,
    takeOpened() {
      const taken = unsaved;
      unsaved = undefined;
      return taken;
    },
    nowUs: () => nowUs,
    isNew: (checkpoint) => unsaved !== undefined || !checkpoint.token.equals(token),
    applied(done, result) {
      total = result.total;
      for (const carried of done) note(carried);
    },
    compared(job) {
      seen = Math.max(seen, job.checkpoint?.revision ?? 0);
      if (!job.end || compared) return;
      compared = true;
      outflow?.compared(trips.next());
    },
    finished,
  });

  function start(job: Job): void {
    trips.begin(job.trip);
    intake.start(job);
  }

  // ---- opening

  function begin(): void {
    ask({ kind: "begin" }, (result) => {
      if (result.kind !== "begin") return;
      state = result.state;
      ({ token, revision, total } = state);
      seen = revision;
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
      const taken = outflow?.taken(query, result.batch, seen, intake.givesWay);
      if (taken === undefined) return;
      const { pushes, trip, tooLarge } = taken;
      for (const push of pushes) send({ $case: "push", value: push }, trip);
      if (pushes.length > 0) doneDue = Math.max(doneDue ?? 1, trip);
      if (tooLarge.length > 0) jobs.push(rejectionJob(tooLarge, limits.itemBytes, report));
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
    const { changes, doubtful } = read;
    report.counts.told += changes.length + doubtful.length;
    return {
      ...NO_JOB,
      changes,
      doubtful,
      checkpoint: page.checkpoint,
      proof: page.proof,
      end: page.end,
      fetches: changes.some((change) => change.fingerprint !== undefined && change.content === undefined),
      trip: compared ? trips.proofTrip : 1,
    };
  }

  function verdictsJob({ verdicts, checkpoint, witness }: Verdicts): Job | Fault {
    const settled = settleVerdicts(verdicts, { outflow: outflow as Outflow, report, revision });
    return "reason" in settled ? settled : { ...NO_JOB, ...settled, checkpoint, witness };
  }

  function note({ decision, action }: Carried): void {
    const { change, comparison, prevailed, sequence } = decision;
    const { counts } = report;
    if (action.kind === "take" && action.upsert !== undefined) counts.received += 1;
    if (action.kind === "take" && action.upsert === undefined) counts.deleted += 1;
    if (comparison === "agreed") {
      counts.settled += 1;
      outflow?.window.agree(sequence);
    }
    if (prevailed !== undefined) report.conflict({ id: change.id, standard, prevailed });
    const goesThere = comparison === "arrived" || comparison === "new" || prevailed === "mine";
    if (goesThere) outflow?.again(change.id, sequence, trips.next());
  }

  function finished(job: Job): void {
    if (job.checkpoint !== undefined) ({ token, revision } = job.checkpoint);
    if (job.fetches) send({ $case: "taken", value: { revision } }, 0);
    trips.end();
    if (job.proof === undefined) return;
    trips.proved();
    const more = doneDue !== undefined || trips.proofsDue > 0 || outflow?.idle !== true || outflow.window.items > 0;
    if (more) return;
    // A content that was fetched may be later than the snapshot of the proof: then it takes another one.
    if (intake.fetchedRevision > revision) doneDue = trips.next();
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
    else start(job);
  }

  /** What to do next of its own accord, once no message is under way. */
  function goOn(): boolean {
    if (outflow === undefined || state === undefined) return false;
    const query = outflow.nextQuery(compared);
    if (query !== undefined) {
      takeOutgoing(query);
      return true;
    }
    if (!outflow.idle) return false;
    if (doneDue === undefined) {
      // Whatever came to nothing: where nothing is under way any more, only a proof can end the exchange.
      if (!compared || intake.busy || trips.proofsDue > 0 || outflow.window.items > 0) return false;
      doneDue = trips.next();
    }
    if (passes === MAX_PASSES) {
      close();
      return true;
    }
    passes += 1;
    const trip = trips.done(doneDue);
    doneDue = undefined;
    send({ $case: "done", value: {} }, trip);
    return true;
  }

  function step(): boolean {
    const contents = arrived.shift();
    const job = intake.busy ? undefined : jobs.shift();
    const message = intake.busy || job !== undefined || contents !== undefined ? undefined : inbox.shift();
    if (contents !== undefined) intake.receive(contents);
    else if (job !== undefined) start(job);
    else if (message !== undefined) handle(message);
    else return intake.busy && !intake.waiting ? false : goOn();
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
      if (message.message.$case === "contents") arrived.push(message.message.value);
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
    report() {
      const contended = outflow?.contended ?? [];
      for (const id of contended) report.contended(id);
      return report.build({
        standard,
        contended,
        roundTrips: trips.count,
        verified,
        unverified: verified ? undefined : "outrun",
        revision,
        count: total.count,
        sum: total.sum,
      });
    },
  };
}
