import { deferred } from "./deferred.js";
import { TercetError } from "./error.js";
import { type Backoff, backoffMs, ceilingMs, DEFAULT_BACKOFF, isTransient } from "./live-backoff.js";
import { callBack } from "./live-changes.js";
import { createTally, type LiveReport } from "./live-tally.js";
import type { ReportedRecovery } from "./protocol/report.js";
import type { SyncReport } from "./sync.js";
import type { LiveOptions } from "./sync-options.js";
import { checkNamed, checkPositive } from "./validate.js";

/**
 * What a live sync does: `connecting`, no answer yet; `catching-up` with what changed while it was apart; `live`, both sides
 * tell each other changes as they happen; `waiting` before it connects again; `stopped`, for good.
 */
export type LiveState = "connecting" | "catching-up" | "live" | "waiting" | "stopped";

/** How a live sync is doing: what it did so far, and what it is at. */
export interface LiveStatus extends LiveReport {
  readonly state: LiveState;
  /** While it waits: when it connects again. */
  readonly retryAt: Date | undefined;
}

/** How to stop a live sync. */
export interface StopOptions {
  /** Milliseconds for what is under way; then it is cut off, which loses nothing. Default: 10,000. */
  readonly timeoutMs?: number;
}

/**
 * A sync that goes on: what either side changes is on the other one as soon as it gets there. Where the connection is lost,
 * it connects again and goes on where it was, with exponential backoff and full jitter, for as long as it takes; changes
 * made meanwhile wait in the replica. It ends by `stop`, by its signal, by closing the replica, or by an error that trying
 * again would not help: a refusal of the server's (UNIMPLEMENTED where it knows no live exchanges), a failure of the
 * replica's file, or what a resolver or `onProgress` throws.
 *
 * It holds the replica as `sync` does: no other exchange of it can run meanwhile. It keeps the process alive.
 */
export interface LiveSync {
  readonly state: LiveState;
  /**
   * Resolves when everything was exchanged for the first time, and proved equal (or other writers were faster than the proof:
   * `verified` says), with the report of that exchange; rejects where the sync ends before.
   */
  caughtUp(): Promise<SyncReport>;
  /**
   * Ends it in peace: what is under way gets its verdicts. Local changes that were just made still go out where it is live
   * and nothing else is under way; others stay pending for the next exchange (wait for `Change.verdict` where that matters).
   * Resolves once another exchange of the replica can begin, also where the sync ends by an error (with which `ended`
   * rejects). Rejects only where its options make no sense (INVALID_FIELD); the sync goes on, then.
   */
  stop(options?: StopOptions): Promise<LiveReport>;
  /** Resolves when it was stopped or the replica was closed, and rejects with the error that ended it. Need not be looked at. */
  readonly ended: Promise<LiveReport>;
  /** What it is at now; `onState` tells of each change of its state, `onRecovery` of each recovery. */
  status(): LiveStatus;
}

/** What an exchange tells about itself. */
export interface LiveHooks {
  /** The server has answered. */
  heard(): void;
  /** Both sides were compared range by range; an exchange does so once at most. */
  recovered(recovery: ReportedRecovery): void;
  /** It has caught up, and is live from now on. */
  caughtUp(report: SyncReport): void;
}

/** One exchange of a live sync, under way. */
export interface LiveAttempt {
  /** Resolves where it closed in peace; rejects with what ended it. */
  readonly ended: Promise<void>;
  /** The application has changed the replica. */
  notify(): void;
  /** As ClientExchange.sendsAtOnce. */
  sendsAtOnce(): boolean;
  /** Ends it in peace. */
  leave(): void;
  /** Cuts it off, at once: nothing touches the replica any more. */
  cancel(): void;
  /** Whether it was the replica or the application that failed, and not the server or the way there. */
  failedHere(): boolean;
  /** What it did so far. */
  report(): SyncReport;
  /** The server is going to stop, so the exchange ends by itself; it asked to be left alone for so long. */
  goingAway(): { readonly retryAfterMs: number } | undefined;
}

/** What a live sync needs of the world. */
export interface LiveWorld {
  /** Begins an exchange. */
  begin(hooks: LiveHooks): Promise<LiveAttempt>;
  /** The replica can be used for another exchange. */
  release(): void;
  /** Aborted where the replica is closed. */
  readonly closing: AbortSignal;
  /** Milliseconds since 1970. */
  now(): number;
  /** From 0 up to, but not including, 1. */
  random(): number;
  /** Calls back after so many milliseconds, unless what it answers is called before. */
  after(ms: number, call: () => void): () => void;
}

/** A live sync, for the one who began it. */
export interface LiveControl {
  readonly sync: LiveSync;
  /** The application has changed the replica. What waits to connect goes on waiting. */
  notify(): void;
  /** Whether what is written now is sent as soon as it is notified. */
  sendsAtOnce(): boolean;
}

const STOP_MS = 10_000;

/** Begins a live sync. Options are checked before. */
export function createLive(
  world: LiveWorld,
  options: Pick<LiveOptions, "backoff" | "onState" | "onRecovery" | "signal">,
): LiveControl {
  const backoff: Backoff = { ...DEFAULT_BACKOFF, ...options.backoff };
  const tally = createTally(world.now);
  const caughtUp = deferred<SyncReport>();
  const ended = deferred<LiveReport>();
  let state: LiveState = "connecting";
  let attempt: LiveAttempt | undefined;
  let stopping = false;
  let retryAtMs: number | undefined;
  let wake: (() => void) | undefined;
  let patience: (() => void) | undefined;
  let recoveryTold = false;
  /** Ending in peace has taken too long. */
  let cutOff = false;

  function enter(next: LiveState, error?: Error): void {
    state = next;
    const { onState } = options;
    if (onState !== undefined) callBack(() => onState(next, error));
  }

  const hooks: LiveHooks = {
    heard() {
      tally.heard();
      if (state === "connecting") enter("catching-up");
    },
    recovered(recovery) {
      recoveryTold = true;
      tally.recovered(recovery);
      const { onRecovery } = options;
      if (onRecovery !== undefined) callBack(() => onRecovery(recovery));
    },
    caughtUp(report) {
      tally.caughtUp(report);
      enter("live");
      caughtUp.resolve(report);
    },
  };

  /** One exchange: answers why it is over, if that may be tried again. */
  async function exchangeOnce(): Promise<TercetError> {
    tally.begun();
    recoveryTold = false;
    try {
      attempt = await world.begin(hooks);
      if (world.closing.aborted || cutOff) attempt.cancel();
      else if (stopping) attempt.leave();
      await attempt.ended;
      return goingAway(attempt.goingAway()?.retryAfterMs);
    } catch (error) {
      if (attempt?.failedHere() === true || !isTransient(error)) throw error;
      return error;
    } finally {
      const report = attempt?.report();
      attempt = undefined;
      if (report !== undefined) over(report);
    }
  }

  /** An exchange is over. What a recovery had found before it was cut is stored: the next one does not find it again. */
  function over(report: SyncReport): void {
    tally.ended(report);
    if (!recoveryTold && report.recovery !== undefined && report.recovery.differences > 0) {
      hooks.recovered(report.recovery);
    }
  }

  function sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = world.after(ms, resolve);
      wake = () => {
        cancel();
        resolve();
      };
    });
  }

  async function run(): Promise<void> {
    for (let failures = 0; !stopping; ) {
      const beganMs = world.now();
      const error = await exchangeOnce();
      if (stopping) return;
      // It got somewhere, and stood for as long as the wait before it was at most: that trouble is over.
      if (tally.progressed() && world.now() - beganMs >= ceilingMs(backoff, failures)) failures = 0;
      const ms = backoffMs(backoff, failures, error.retryAfterMs ?? 0, world.random());
      failures += 1;
      tally.failed(error);
      retryAtMs = world.now() + ms;
      enter("waiting", error);
      if (!stopping) await sleep(ms);
      retryAtMs = undefined;
      if (!stopping) enter("connecting");
    }
  }

  function end(thrown?: { readonly error: unknown }): void {
    const error = thrown === undefined || world.closing.aborted ? undefined : toError(thrown.error);
    if (error !== undefined) tally.failed(error);
    patience?.();
    world.closing.removeEventListener("abort", close);
    options.signal?.removeEventListener("abort", stopBySignal);
    world.release();
    enter("stopped", error);
    const why = error ?? new TercetError("the live sync was stopped before it had caught up", { code: "CANCELLED" });
    caughtUp.reject(why);
    if (error === undefined) ended.resolve(tally.report());
    else ended.reject(error);
  }

  /** Ends it in peace, or after so many milliseconds without. Told once more, only the time counts. */
  function stop(timeoutMs: number): void {
    if (state === "stopped") return;
    patience?.();
    patience = world.after(timeoutMs, () => {
      cutOff = true;
      attempt?.cancel();
    });
    if (stopping) return;
    stopping = true;
    wake?.();
    // It is not told of changes before the turn in which they were made is over.
    attempt?.notify();
    attempt?.leave();
  }

  function close(): void {
    stopping = true;
    wake?.();
    attempt?.cancel();
  }

  function stopBySignal(): void {
    stop(STOP_MS);
  }

  world.closing.addEventListener("abort", close);
  options.signal?.addEventListener("abort", stopBySignal);
  if (options.signal?.aborted === true) stopBySignal();
  run().then(
    () => end(),
    (error: unknown) => end({ error }),
  );

  return {
    notify: () => attempt?.notify(),
    sendsAtOnce: () => attempt?.sendsAtOnce() === true,
    sync: {
      get state() {
        return state;
      },
      caughtUp: () => caughtUp.promise,
      ended: ended.promise,
      async stop(options = {}) {
        checkNamed(options, ["timeoutMs"]);
        const { timeoutMs = STOP_MS } = options;
        checkPositive("timeoutMs", timeoutMs);
        stop(timeoutMs);
        return await ended.promise.catch(() => tally.report());
      },
      status() {
        const report = tally.report(attempt?.report());
        return { ...report, state, retryAt: retryAtMs === undefined ? undefined : new Date(retryAtMs) };
      },
    },
  };
}

/** An exchange that was live and closed in peace, though nobody here had it stopped. */
function goingAway(retryAfterMs = 0): TercetError {
  const message = "the server is going to stop, or closed the exchange in peace";
  return new TercetError(message, { code: "UNAVAILABLE", reason: "GOING_AWAY", retryAfterMs });
}

function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown), { cause: thrown });
}
