import type { Exchange, Output } from "../../core/exchange.js";
import { ErrorReason, type Fault } from "../../core/fault.js";
import { proveColumns } from "../../core/item-columns.js";
import { DEFAULT_LIMITS, negotiateLimits, WHOLE_BYTES } from "../../core/limits.js";
import { fromPageChanges } from "../../core/page.js";
import { columnsOf } from "../../core/page-columns.js";
import { type RangeTotal, sameTotal } from "../../core/range-sum.js";
import { ChangeStandard, type Checkpoint, type Epoch } from "../../gen/tercet/v1/item.js";
import {
  Capability,
  type ChangePage,
  type ContentChunk,
  type Contents,
  type ExchangeRequest,
  type ExchangeResponse,
  type Limits,
  type Opened,
  type RangeAnswers,
  type Verdicts,
} from "../../gen/tercet/v1/sync.js";
import type { ApplyBatch, OutgoingQuery, ReplicaState } from "../replica/store.js";
import { outOfOrder, unverifiedFault } from "./faults.js";
import { type Carried, createIntake, type Job, NO_JOB } from "./intake.js";
import {
  hasLostCheckpoint,
  lastHeard,
  NO_WISHES,
  type OpeningWay,
  readOpened,
  toOpen,
  wholeOpened,
} from "./opening.js";
import type { ClientOperation, ClientResult } from "./operation.js";
import { createOutflow, type Outflow } from "./outflow.js";
import { createRecovery, type Recovery } from "./recovery.js";
import { createReportBuilder, type ExchangeProgress, type ExchangeReport, type ReportedRecovery } from "./report.js";
import { createRoundTrips } from "./round-trips.js";
import { type ChunkSender, createChunkSender, type LargeSending } from "./send-chunks.js";
import { encodeSettings } from "./settings.js";
import { rejectionJob, settleVerdicts } from "./settle-verdicts.js";

/** What the client's side of an exchange is given. */
export interface ClientExchangeConfig {
  /** The standard that the caller would like; UNSPECIFIED leaves it to the collection. */
  readonly standard: ChangeStandard;
  /** Create the collection if the server does not have it. */
  readonly create: boolean;
  /** Where the replica's collection was deleted: fill the one of its name, made anew if need be, with what the replica has. */
  readonly recreate: boolean;
  /** Who is calling, for the server's log. */
  readonly client: string;
  /** What the client would like; what is left out is no wish. */
  readonly limits: Partial<Limits>;
  /** How long the server may leave the client waiting, in microseconds. */
  readonly stepTimeoutUs: number;
  /**
   * `dry-run`: finds out what would move, and how conflicts would end, and changes nothing on either side. `verify`: compares
   * what the replica last agreed on with what the server has, range by range, and changes nothing either.
   */
  readonly mode: "sync" | "dry-run" | "verify";
  /**
   * The exchange stays open after its proof, with the mode `sync`: it takes changes as they come, and sends what the
   * application changes (`notify`), until `leave`.
   */
  readonly live: boolean;
  /**
   * What a change of the server's history does, which was restored to an earlier time: what it lost is offered to it again,
   * or goes into conflict records here (`follow`), or the exchange ends with TOKEN_OTHER_HISTORY (`stop`).
   */
  readonly onHistoryChange: "offer" | "follow" | "stop";
  /** The application judges conflicts by itself (the operation `resolve`), whatever the standard in force. */
  readonly resolves: boolean;
}

/** The client's side of one exchange. */
export interface ClientExchange extends Exchange<ExchangeResponse, ExchangeRequest, ClientOperation, ClientResult> {
  /** How far it has come. */
  progress(): ExchangeProgress;
  /** What it has done so far; complete once it has closed without a fault, or is live. */
  report(): ExchangeReport;
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

/** Proofs that are asked for before the exchange gives up on one: other writers outrun it. */
const MAX_PASSES = 8;
/** Live: what changed is proved about as often as this. */
const PROOF_INTERVAL_US = 60_000_000;
/** A server that is silent for so many of its heartbeats is not there any more. */
const MISSED_HEARTBEATS = 3;
/** Clocks are looked at once a second, on both sides. */
const LEAST_PATIENCE_US = 5_000_000;

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
  const arrived: (Contents | ContentChunk)[] = [];
  /** Jobs of this side's own. */
  const jobs: Job[] = [];
  const report = createReportBuilder();
  const wishes: Limits = { ...NO_WISHES, ...config.limits };
  const dryRun = config.mode !== "sync";

  let awaiting: ((result: ClientResult) => void) | undefined;
  let following: ClientOperation | undefined;
  let closing: { readonly fault?: Fault } | undefined;
  let closed = false;

  let state: ReplicaState | undefined;
  let outflow: Outflow | undefined;
  let chunks: ChunkSender | undefined;
  let downloads = false;
  let limits = negotiateLimits(DEFAULT_LIMITS, wishes);
  let standard: ChangeStandard = config.standard;
  let opened: Opened | undefined;
  /** What a page stands for whose token is empty. */
  let openToken: Buffer = Buffer.alloc(0);
  let openedUs = 0;
  let unsaved: ApplyBatch["opened"];
  let lineage: ReplicaState["lineage"] = [];
  let token: Uint8Array = Buffer.alloc(0);
  let revision = 0;
  let total: RangeTotal = { count: 0, sum: Buffer.alloc(32) };
  /** All changes up to this revision were compared: what pushes have seen. */
  let seen = 0;

  let compared = false;
  /** A Done is due, in this round trip at the earliest. */
  let doneDue: number | undefined = dryRun ? undefined : 1;
  let verified = false;
  let recovery: Recovery | undefined;
  let recovering = false;
  /** The replica's collection is gone, and it goes on with another one. */
  let rebinds = false;
  /** A recovery has shown that the server lost nothing of what the replica knows. */
  let sameHistory = false;
  /** Epochs that the server has begun since Opened. */
  let begun: readonly Epoch[] = [];
  /** Held items after this id are still to be judged anew. */
  let heldAfter: string | undefined;
  const trips = createRoundTrips();
  let passes = 0;
  let nowUs = 0;
  let waitingSinceUs = 0;

  /** It was caught up with, and stays open. */
  let live = false;
  let leaving = false;
  let goingAway: { readonly retryAfterMs: number } | undefined;
  /** Live: the application has changed something since it was last looked at. */
  let notified = false;
  /** Live: something has changed since the last proof, the next one of which is due then. */
  let unproved = false;
  let proofDueUs = 0;
  let retryDueUs = 0;

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
    fetch(items) {
      send({ $case: "fetch", value: { items: [...items] } }, trips.fetch());
    },
    hasDownloads: () => downloads,
    fetched: trips.fetched,
    fail: close,
    standard: () => ({ standard, ceilingUs: ceiling() }),
    follows: config.onHistoryChange === "follow",
    stops: config.onHistoryChange === "stop",
    resolves: config.resolves,
    dryRun,
    window: () => ({ bytes: limits.windowBytes, items: limits.windowItems }),
    isFirst: (sequence) => outflow?.window.isFirst(sequence) === true,
    takeOpened() {
      const taken = unsaved;
      unsaved = undefined;
      return taken;
    },
    nowUs: () => nowUs,
    isNew: (checkpoint) => unsaved !== undefined || !checkpoint.token.equals(token),
    received(items) {
      report.counts.received += items;
    },
    isFirstPull: () => state?.token.length === 0,
    applied(done, result) {
      if (result !== undefined) total = result.total;
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

  /** The latest modify time that counts: the server's clock, and the skew that it allows. */
  function ceiling(): number {
    if (opened === undefined) return Number.MAX_SAFE_INTEGER;
    return opened.serverTimeUs + (nowUs - openedUs) + opened.skewUs;
  }

  // ---- opening

  function begin(): void {
    ask({ kind: "begin" }, (result) => {
      if (result.kind !== "begin") return;
      state = result.state;
      downloads = result.downloads;
      ({ token, revision, total, lineage } = state);
      seen = revision;
      limits = lastHeard(state, wishes);
      outflow = createOutflow(state, () => limits, largest);
      chunks = createChunkSender({
        ask,
        send: (chunk, trip) => send({ $case: "chunk", value: chunk }, trip),
        limits: () => limits,
        window: outflow.window,
        whole: pushLarge,
      });
      if (config.mode === "verify" || hasLostCheckpoint(state)) {
        sendOpen(state, { recover: true, done: false });
        return startRecovery("asked");
      }
      const query = dryRun ? undefined : outflow.eagerQuery();
      if (query === undefined) sendOpen(state, { recover: false, done: takeFirstDone() });
      else takeOutgoing(query, () => sendOpen(result.state, { recover: false, done: false }));
    });
  }

  function sendOpen(from: ReplicaState, way: OpeningWay): void {
    send({ $case: "open", value: toOpen(from, config, wishes, way) }, 1);
  }

  /** Whether the first Done can go with the opening message: as it would follow it at once. */
  function takeFirstDone(): boolean {
    if (doneDue === undefined || token.length === 0 || !isIdle()) return false;
    passes += 1;
    trips.done(doneDue);
    doneDue = undefined;
    return true;
  }

  function takeOutgoing(query: OutgoingQuery, before?: () => void): void {
    ask({ kind: "outgoing", query }, (result) => {
      if (result.kind !== "outgoing") return;
      before?.();
      const taken = outflow?.taken(query, result.batch, seen, intake.givingWay);
      if (taken === undefined) return;
      const { pushes, trip, large, tooLarge } = taken;
      for (const push of pushes) {
        if (query.eager) report.counts.eager += push.pushes.length;
        send({ $case: "push", value: push }, trip);
      }
      if (pushes.length > 0) pushed(trip);
      for (const sending of large) chunks?.begin(sending);
      if (tooLarge.length > 0) jobs.push(rejectionJob(tooLarge, largest(), report));
    });
  }

  /** A push is followed by a Done; live, the next proof does for many. */
  function pushed(trip: number): void {
    if (live) unproved = true;
    else doneDue = Math.max(doneDue ?? 1, trip);
  }

  /** Bytes of the largest content that the server takes. */
  function largest(): number {
    const chunked = opened === undefined || opened.capabilities.includes(Capability.CAPABILITY_CHUNKS);
    return chunked ? limits.itemBytes : Math.min(limits.itemBytes, WHOLE_BYTES);
  }

  /** The chunks of a change have been sent: its push follows, on the base that it has now. */
  function pushLarge(sending: LargeSending): void {
    const select = { ids: [sending.change.id] };
    const query = { select, maxBytes: limits.messageBytes, maxChanges: 1, eager: false };
    ask({ kind: "outgoing", query }, (result) => {
      if (result.kind !== "outgoing") return;
      const taken = outflow?.takenLarge(sending, result.batch, seen, intake.givingWay);
      if (taken === undefined) return;
      send({ $case: "push", value: taken.push }, taken.trip);
      pushed(taken.trip);
    });
  }

  function receiveOpened(told: Opened): void {
    const message = wholeOpened(told, state as ReplicaState);
    if ("reason" in message) return close(message);
    opened = message;
    openedUs = nowUs;
    if (told.unchanged) openToken = Buffer.from(token);
    const opening = readOpened(message, state as ReplicaState, { ...config, recovers: recovering }, wishes);
    if ("reason" in opening) return close(opening);
    ({ standard, limits, unsaved } = opening);
    lineage = unsaved?.lineage ?? lineage;
    rebinds = unsaved?.rebind === true;
    if (state !== undefined && state.held > 0 && judgesHeld() && config.mode !== "verify") heldAfter = "";
    if (!opening.refused || recovering) return;
    trips.begin(1);
    trips.end();
    const compacted = message.tokenRefused === ErrorReason.ERROR_REASON_TOKEN_COMPACTED;
    startRecovery(rebinds ? "recreated" : compacted ? "compacted" : "history");
  }

  /** The server has begun an epoch; what the replica keeps from now on may lie in it. */
  function beginEpoch(epoch: Epoch | undefined): void {
    if (epoch === undefined || opened === undefined || state === undefined) return;
    begun = [...begun, epoch];
    // In recovery the lineage is that of what the replica stands in still; the server's comes with its end.
    if (recovering && !sameHistory) return;
    keepLineage([...lineage, epoch]);
  }

  function keepLineage(whole: ReplicaState["lineage"]): void {
    if (opened === undefined) return;
    lineage = whole;
    unsaved = { collectionUid: opened.collectionUid, settings: encodeSettings(opened), ...unsaved, lineage };
  }

  /**
   * What is held waits for somebody's word: the application's, or another standard that was named, or that the collection
   * binds. That nobody named one, and SERVER is in force for want of it, is none.
   */
  function judgesHeld(): boolean {
    if (config.resolves) return true;
    const unnamed = config.standard === ChangeStandard.CHANGE_STANDARD_UNSPECIFIED;
    const byDefault = unnamed && standard === ChangeStandard.CHANGE_STANDARD_SERVER;
    return standard !== ChangeStandard.CHANGE_STANDARD_MANUAL && !byDefault;
  }

  // ---- recovery

  function startRecovery(why: ReportedRecovery["why"]): void {
    recovering = true;
    compared = false;
    doneDue = undefined;
    trips.forget();
    report.recovery(why);
    recovery = createRecovery({
      ask,
      send(query) {
        const trip = trips.next();
        send({ $case: "ranges", value: query }, trip);
        return trip;
      },
      found(changes, doubtful, trip, after) {
        report.counts.told += changes.length + doubtful.length;
        if (changes.length + doubtful.length === 0) {
          trips.begin(trip);
          trips.end();
          return after();
        }
        const { fork, witness } = recovery as Recovery;
        start({ ...NO_JOB, changes, doubtful, trip, fork, witness, after });
      },
      complete: recovered,
      fail: close,
      // A replica that has kept no lineage has sent nothing to this collection: a rebinding was cut.
      rebinds: () => rebinds || state?.lineage.length === 0,
      windowItems: () => limits.windowItems,
    });
    const known = lineage.map(({ id, firstRevision }) => ({ id: Buffer.from(id), firstRevision }));
    send({ $case: "recover", value: { lineage: known } }, trips.next());
    recovery.begin();
  }

  function receiveRanges(answers: RangeAnswers): void {
    // Without a token nothing says how far the replica's knowledge goes.
    if (answers.head !== undefined && state !== undefined && state.token.length > 0 && !dryRun) {
      // Then its epochs cover what recovery finds; should it be cut, the next one must not take that for lost.
      sameHistory = !rebinds && answers.forkRevision >= Math.max(revision, state.revision, state.witnessRevision);
      if (sameHistory) keepLineage([...answers.lineage, ...begunAfter(answers.lineage)]);
    }
    recovery?.receive(answers);
  }

  function begunAfter(told: ReplicaState["lineage"]): readonly Epoch[] {
    const known = told.at(-1)?.firstRevision ?? 0;
    return begun.filter(({ firstRevision }) => firstRevision > known);
  }

  function recovered(to: NonNullable<ApplyBatch["recovered"]>): void {
    report.forked(recovery?.fork ?? 0);
    if (dryRun) {
      ({ revision } = to);
      recovering = false;
      return endDryRun();
    }
    const whole = { ...to, lineage: [...to.lineage, ...begunAfter(to.lineage)] };
    start({
      ...NO_JOB,
      recovered: whole,
      trip: 0,
      after() {
        ({ token, revision, lineage } = whole);
        seen = to.revision;
        recovering = false;
        compared = true;
        outflow?.compared(trips.next());
        doneDue = trips.next();
      },
    });
  }

  /** What would be sent: pending changes that are not held, and that did not come to nothing by the comparison. */
  function endDryRun(after = 0): void {
    if (config.mode === "verify") {
      verified = report.differs === 0;
      return close();
    }
    ask({ kind: "pending", after }, (result) => {
      if (result.kind !== "pending") return;
      const last = result.changes.at(-1);
      if (last === undefined) return close();
      for (const change of result.changes) report.wouldSend(change);
      endDryRun(last.sequence);
    });
  }

  // ---- change info and verdicts

  function pageJob(page: ChangePage): Job | Fault {
    const { proof, end } = page;
    const trip = compared ? trips.proofTrip : 1;
    const common: Job = { ...NO_JOB, checkpoint: checkpointOf(page), proof, end, more: !end, trip };
    const columns = intake.takesNew ? columnsOf(page) : undefined;
    const items = columns === undefined ? undefined : proveColumns(columns, page.fingerprint);
    if (items !== undefined) {
      report.counts.told += items.count;
      report.counts.inline += items.count;
      return { ...common, items };
    }
    const read = fromPageChanges(page);
    const [unknown] = read.unknown;
    if (unknown !== undefined) {
      const message = `the server told of "${unknown.id}" what this client does not know: ${unknown.problem}`;
      return { reason: ErrorReason.ERROR_REASON_UNSUPPORTED, message, metadata: { id: unknown.id } };
    }
    const { changes, doubtful } = read;
    report.counts.told += changes.length + doubtful.length;
    for (const { content } of changes) if (content !== undefined) report.counts.inline += 1;
    const fetches = changes.some((change) => change.fingerprint !== undefined && change.content === undefined);
    return { ...common, changes, doubtful, fetches };
  }

  /** A token that was left out is the one that the exchange was opened with. */
  function checkpointOf({ checkpoint }: ChangePage): Checkpoint | undefined {
    return checkpoint?.token.length === 0 ? { ...checkpoint, token: openToken } : checkpoint;
  }

  function verdictsJob({ verdicts, checkpoint, witness }: Verdicts): Job | Fault {
    const settled = settleVerdicts(verdicts, { outflow: outflow as Outflow, report, revision });
    if ("reason" in settled) return settled;
    // There are verdicts to come.
    const more = (outflow?.window.items ?? 0) > 0;
    return { ...NO_JOB, ...settled, checkpoint, witness, more };
  }

  function note({ decision, action }: Carried): void {
    const { change, comparison, outcome, local, companion } = decision;
    const { counts } = report;
    if (recovering) report.difference(decision, recovery?.fork ?? 0);
    const takes = comparison === "theirs" || outcome === "theirs";
    if (takes && change.fingerprint !== undefined) counts.received += 1;
    if (takes && change.fingerprint === undefined) counts.deleted += 1;
    if (comparison === "agreed") {
      counts.settled += 1;
      outflow?.window.agree(local.sequence);
    }
    if (companion && takes) outflow?.window.displace(change.id);
    if (outcome !== undefined && !companion) report.conflict({ id: change.id, standard, prevailed: outcome });
    if (action === undefined) return report.wouldDo(decision);
    if (comparison === "theirs" || comparison === "same" || takes || outcome === "held") return;
    // What is pending again, or on a new base, is to be sent; and with it all of its group.
    const members = local.pending?.group?.ids ?? [];
    for (const id of comparison === "agreed" ? [] : [change.id]) outflow?.again(id, local.sequence, trips.next());
    for (const id of members) if (id !== change.id) outflow?.again(id, local.sequence, trips.next());
  }

  function finished(job: Job): void {
    const isFirst = token.length === 0 && job.checkpoint !== undefined;
    if (job.checkpoint !== undefined) ({ token, revision } = job.checkpoint);
    // What had to wait for it belongs to the round trip after all that was fetched for it.
    if (isFirst && compared) outflow?.compared(trips.next());
    if (job.fetches) send({ $case: "taken", value: { revision } }, 0);
    trips.end();
    if (job.after !== undefined) return job.after();
    if (dryRun && job.end) return endDryRun();
    const changed = job.changes.length + job.actions.length + job.settled.length > 0 || job.items !== undefined;
    if (changed) unproved = true;
    if (job.proof === undefined) return;
    trips.proved();
    const more = doneDue !== undefined || trips.proofsDue > 0 || !isIdle() || (outflow?.window.items ?? 0) > 0;
    if (more) return;
    // A content that was fetched may be later than the snapshot of the proof: then it takes another one.
    if (intake.fetchedRevision > revision) doneDue = trips.next();
    else if (sameTotal(job.proof, total)) proved();
    else if (recovery === undefined && canRecover()) startRecovery("unverified");
    // A stream has one recovery; the next exchange has another.
    else if (live && verified) goAway(0);
    else close(unverifiedFault(state as ReplicaState, job.proof.count, total));
  }

  function proved(): void {
    verified = true;
    unproved = false;
    if (config.live) stay();
    else end();
  }

  /** Caught up: the exchange is live. */
  function stay(): void {
    passes = 0;
    proofDueUs = nowUs + PROOF_INTERVAL_US;
    if (live) return;
    live = true;
    retryDueUs = proofDueUs;
    // What was written meanwhile.
    notified = true;
    if (intake.hasLeftovers) ask({ kind: "forget-downloads" }, () => undefined);
  }

  /** Changes that lost their races time and again are tried again when the others may have come to rest. */
  function retryContended(): void {
    if (nowUs < retryDueUs) return;
    retryDueUs = nowUs + PROOF_INTERVAL_US;
    outflow?.retry(trips.next());
  }

  function goAway(retryAfterMs: number): void {
    goingAway ??= { retryAfterMs };
    leaving = true;
  }

  /** Live: takes note of what the application has changed. */
  function lookForChanges(): void {
    notified = false;
    ask({ kind: "state" }, (result) => {
      if (result.kind === "state") outflow?.extend(result.state.lastSequence);
    });
  }

  /** Nothing that was sent is without its answer, and nothing that came is half taken. */
  function canLeave(): boolean {
    return !intake.busy && awaiting === undefined && (outflow?.window.items ?? 0) === 0;
  }

  /** Both sides are the same: what was fetched and not taken is of no use any more. */
  function end(): void {
    if (intake.hasLeftovers) ask({ kind: "forget-downloads" }, () => close());
    else close();
  }

  /** Everything that is to be sent has been. */
  function isIdle(): boolean {
    return outflow?.idle === true && chunks?.busy !== true;
  }

  function canRecover(): boolean {
    return opened?.capabilities.includes(Capability.CAPABILITY_RECONCILE) === true;
  }

  // ---- the machine

  function handle(message: NonNullable<ExchangeResponse["message"]>): void {
    if (message.$case === "opened") {
      return opened === undefined ? receiveOpened(message.value) : close(outOfOrder('"opened" came twice'));
    }
    if (message.$case === "epochBegun") return beginEpoch(message.value.epoch);
    if (opened === undefined) return close(outOfOrder(`the first message was "${message.$case}", not "opened"`));
    if (message.$case === "ranges" && recovery !== undefined && recovering) return receiveRanges(message.value);
    if (message.$case !== "page" && message.$case !== "verdicts")
      return close(outOfOrder(`"${message.$case}" was not asked for`));
    const job = message.$case === "page" ? pageJob(message.value) : verdictsJob(message.value);
    if ("reason" in job) close(job);
    else start(job);
  }

  /** What to do next of its own accord, once no message is under way. */
  function goOn(): boolean {
    if (outflow === undefined || state === undefined || recovering || dryRun || leaving) return false;
    if (live && notified && outflow.window.items === 0 && chunks?.busy !== true) {
      lookForChanges();
      return true;
    }
    if (chunks?.busy === true) return chunks.step();
    // Nothing is sent before there is a checkpoint: what may have arrived must not meet a first pull, which leaves out deletions.
    const query = token.length === 0 ? undefined : outflow.nextQuery(compared);
    if (query !== undefined) {
      takeOutgoing(query);
      return true;
    }
    if (!isIdle()) return false;
    if (live && doneDue === undefined && (!unproved || nowUs < proofDueUs || trips.proofsDue > 0)) return false;
    if (doneDue === undefined) {
      // Whatever came to nothing: where nothing is under way any more, only a proof can end the exchange.
      if (!compared || intake.busy || trips.proofsDue > 0 || outflow.window.items > 0) return false;
      doneDue = trips.next();
    }
    // What is being fetched is not half taken.
    if (passes === MAX_PASSES && config.live && intake.busy) return false;
    if (passes === MAX_PASSES) {
      doneDue = undefined;
      if (config.live) stay();
      else close();
      return true;
    }
    passes += 1;
    const trip = trips.done(doneDue);
    doneDue = undefined;
    send({ $case: "done", value: {} }, trip);
    return true;
  }

  /** Another standard than MANUAL is in force, or the application judges: what is held is judged anew. */
  function judgeHeld(after: string): void {
    heldAfter = undefined;
    ask({ kind: "held", after }, (result) => {
      if (result.kind !== "held" || result.items.length === 0) return;
      heldAfter = result.items.at(-1)?.id;
      const changes = result.items.map(({ id, theirs, theirsRevision, theirsTimeUs }) => {
        const told = { id, revision: theirsRevision, fingerprint: theirs, modifyTimeUs: theirsTimeUs };
        return { ...told, size: 0, group: 0, content: undefined };
      });
      start({ ...NO_JOB, changes, rejudges: true, trip: 0 });
    });
  }

  function step(): boolean {
    if (leaving && canLeave()) {
      close();
      return true;
    }
    const contents = arrived.shift();
    const job = intake.busy ? undefined : jobs.shift();
    const busy = intake.busy || (recovering && recovery?.busy === true);
    const rejudges = !busy && job === undefined && heldAfter !== undefined && !recovering;
    const taken = busy || rejudges || job !== undefined || contents !== undefined;
    const message = taken ? undefined : inbox.shift();
    if (contents !== undefined && "items" in contents) intake.receive(contents);
    else if (contents !== undefined) intake.receiveChunk(contents);
    else if (job !== undefined) start(job);
    else if (rejudges) judgeHeld(heldAfter ?? "");
    else if (message !== undefined) handle(message);
    else return intake.busy && !intake.waiting ? false : goOn();
    return true;
  }

  /** How long the server may be silent: in mid-exchange, and where it has nothing to answer. */
  function patience(): number {
    const waits = trips.proofsDue > 0 || (outflow?.window.items ?? 0) > 0 || intake.busy || chunks?.busy === true;
    if (!live || waits || recovering) return config.stepTimeoutUs;
    const heartbeatUs = opened?.heartbeatUs ?? 0;
    if (heartbeatUs === 0) return Number.POSITIVE_INFINITY;
    return Math.max(MISSED_HEARTBEATS * heartbeatUs, LEAST_PATIENCE_US);
  }

  function next(): Output<ExchangeRequest, ClientOperation> | undefined {
    if (closed) return undefined;
    if (state === undefined && awaiting === undefined && !leaving) begin();
    for (;;) {
      const message = outbox.shift();
      if (message !== undefined) {
        // While this side can send, it is not the server that keeps it waiting.
        waitingSinceUs = nowUs;
        return { kind: "send", message };
      }
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
      const { message: received } = message;
      if (received.$case === "goingAway") {
        // An exchange that ends by itself does so in the time that the server gives.
        if (config.live) goAway(received.value.retryAfterMs);
      } else if (received.$case === "contents" || received.$case === "chunk") arrived.push(received.value);
      // What is fetched does not wait its turn, so neither may the epoch that it is of.
      else if (received.$case === "epochBegun" && opened !== undefined) beginEpoch(received.value.epoch);
      else if (received.$case === "upload") {
        const fault = chunks?.receive(received.value);
        if (fault !== undefined) close(fault);
      } else inbox.push(received);
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
    notify() {
      notified = true;
    },
    leave() {
      leaving = true;
    },
    sendsAtOnce: () => live && !leaving && !recovering && canLeave() && isIdle() && inbox.length + jobs.length === 0,
    standing: () => (live ? "live" : "exchanging"),
    goingAway: () => goingAway,
    tick(time) {
      nowUs = Math.max(nowUs, time);
      if (waitingSinceUs === 0) waitingSinceUs = nowUs;
      if (live) retryContended();
      const patienceUs = patience();
      if (closed || awaiting !== undefined || nowUs - waitingSinceUs <= patienceUs) return undefined;
      closed = true;
      const message = `the server did not answer for ${Math.round(patienceUs / 1e6)} s`;
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
        unverified: verified || dryRun ? undefined : "outrun",
        revision,
        count: total.count,
        sum: total.sum,
      });
    },
  };
}
