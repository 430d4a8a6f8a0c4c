import type { ServiceError } from "@grpc/grpc-js";
import { createDriver } from "../core/drive.js";
import { ErrorReason, type Fault } from "../core/fault.js";
import { type CallBounds, type Connection, cancelled, type ExchangeCall, toTercetError } from "./connection.js";
import { deferred } from "./deferred.js";
import { TercetError, toError } from "./error.js";
import type { ClientExchange } from "./protocol/exchange.js";
import {
  type ClientOperation,
  type ClientResult,
  type ConflictToResolve,
  type ReplicaOperation,
  type Resolution,
  runOperation,
} from "./protocol/operation.js";
import type { ExchangeProgress } from "./protocol/report.js";
import type { ReplicaStore } from "./replica/store.js";

const TICK_MS = 1000;

/** How an exchange is run. */
export interface ExchangeRun extends CallBounds {
  /** As in createClientExchange, in milliseconds: for the message. */
  readonly stepTimeoutMs: number;
  /** Judges conflicts in place of the standard. */
  readonly resolve?: (conflict: ConflictToResolve) => Promise<Resolution>;
  /** Called after every message of the server. What it throws or rejects with ends the exchange. */
  readonly onProgress?: (progress: ExchangeProgress) => void;
  /** A promise where nothing more is to be applied until it resolves. */
  readonly room?: () => Promise<void> | undefined;
  /**
   * Set for an exchange that stays open: called where the machine has nothing to do until something happens. What it throws
   * ends the exchange. What was applied is brought to the disk every now and then.
   */
  readonly onIdle?: () => void;
}

/** An exchange under way. */
export interface RunningExchange {
  /**
   * Resolves once the machine is through; rejects with a TercetError, or with what the replica threw. Either way the
   * replica is whole, and the next exchange goes on where this one was.
   */
  readonly ended: Promise<void>;
  /** Bytes that moved so far. */
  readonly bytes: ExchangeCall["bytes"];
  /** The application has changed the replica. */
  notify(): void;
  /** As ClientExchange.sendsAtOnce; not where nobody reads what was sent before. */
  sendsAtOnce(): boolean;
  /** Ends it in peace. */
  leave(): void;
  /** Whether it was the replica or the application that failed, and not the server or the way there. */
  failedHere(): boolean;
}

/** Begins an exchange between a replica and a server: the pump between the pure machine and a gRPC stream. */
export function startExchange(
  connection: Connection,
  replica: ReplicaStore,
  exchange: ClientExchange,
  run: ExchangeRun,
): RunningExchange {
  const { stream, bytes } = connection.exchange(run);
  const ended = deferred<void>();
  let thrown: unknown;
  let local = false;
  /** The server's side has ended. */
  let cut = false;
  let settled = false;
  /** The server has said something. Before, turns are short, so that what was sent first is on its way while more is read. */
  let heard = false;
  const isLive = run.onIdle !== undefined;

  function settle(error?: unknown): void {
    if (settled) return;
    settled = true;
    driver.stop();
    clearInterval(timer);
    run.signal?.removeEventListener("abort", abort);
    if (error === undefined) return ended.resolve();
    // What came so far is kept, so that the next exchange goes on from there. What ended it is the error to tell.
    try {
      replica.flush();
    } catch {
      local = true;
    }
    ended.reject(error);
  }

  const driver = createDriver(isLive ? { ...exchange, next } : exchange, {
    send: (message) => stream.write(message),
    store: operationsOf(replica, run, stream, () => settled),
    close(fault) {
      if (fault === undefined) {
        // Through. The server's status is of no consequence any more, and whoever waits for this need not wait for its end.
        setImmediate(() => stream.end());
        // What is reported as verified is on the disk.
        guarded(() => replica.flush());
        return settle();
      }
      stream.cancel();
      settle(thrown ?? inWords(fault, connection.address, run, cut));
    },
    toFault(error): Fault {
      thrown = error;
      local = true;
      return { reason: ErrorReason.ERROR_REASON_STORAGE_FAILED, message: String(error) };
    },
    yieldThen: (resume) => void setImmediate(resume),
    // What comes must be worked off as it comes, as nothing else holds it up.
    clock: () => (heard ? 0 : performance.now()),
  });
  function next(): ReturnType<ClientExchange["next"]> {
    const output = exchange.next();
    if (output !== undefined || settled) return output;
    guarded(() => run.onIdle?.());
    // Whoever was told may have asked for something.
    return settled ? undefined : exchange.next();
  }
  function guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      fail(error);
    }
  }
  function fail(error: unknown): void {
    if (settled) return;
    local = true;
    stream.cancel();
    settle(error ?? new Error("onProgress failed, without saying why"));
  }
  /** The application's own function: whatever it does ends this exchange at most, never the process. */
  function progress(): void {
    if (settled) return;
    try {
      const answer: unknown = run.onProgress?.(exchange.progress());
      if (answer instanceof Promise) answer.catch(fail);
    } catch (error) {
      fail(error);
    }
  }
  // A clock that is set meanwhile moves no time of this exchange, which may be open for months.
  const began = Date.now() - performance.now();
  const nowUs = (): number => Math.round((began + performance.now()) * 1000);
  const tick = (): void => {
    driver.tick(nowUs());
    if (isLive && !settled) guarded(() => replica.flush());
  };
  const timer = setInterval(tick, Math.min(TICK_MS, run.stepTimeoutMs));
  const abort = (): void => {
    stream.cancel();
    settle(cancelled());
  };
  run.signal?.addEventListener("abort", abort, { once: true });

  stream.on("data", (message) => {
    heard = true;
    driver.receive(message, nowUs());
    progress();
  });
  stream.on("drain", () => driver.resume());
  // A status that is an error comes as one before the end does.
  stream.on("error", (error) => settle(toTercetError(error as ServiceError, connection.address)));
  stream.on("end", () => {
    cut = true;
    driver.ended();
  });
  if (run.signal?.aborted === true) abort();
  else driver.resume();
  return {
    ended: ended.promise,
    bytes,
    notify: () => driver.notify(),
    sendsAtOnce: () => !settled && !stream.writableNeedDrain && exchange.sendsAtOnce(),
    leave() {
      exchange.leave();
      driver.notify();
    },
    failedHere: () => local,
  };
}

/** Does what the machine asks for: on the replica, or by the application. `isOver`: whatever comes of it, nobody waits for it. */
function operationsOf(
  replica: ReplicaStore,
  run: ExchangeRun,
  stream: ExchangeCall["stream"],
  isOver: () => boolean,
): (operation: ClientOperation) => ClientResult | Promise<ClientResult> {
  /** Waits for something. It may take its time, and what the server sends meanwhile must not pile up here. */
  async function paused<T>(promise: Promise<T>): Promise<T> {
    stream.pause();
    try {
      return await promise;
    } finally {
      stream.resume();
    }
  }
  async function judge(conflict: ConflictToResolve): Promise<ClientResult> {
    if (run.resolve === undefined) throw new Error("there is no resolver");
    try {
      return { kind: "resolve", resolution: await paused(run.resolve(conflict)) };
    } catch (error) {
      throw error ?? new Error("the resolver failed, without saying why");
    }
  }
  async function wait(room: Promise<void>, operation: ReplicaOperation): Promise<ClientResult> {
    await paused(room);
    // The replica may be closed, or in another exchange.
    if (isOver()) throw cancelled();
    return runOperation(replica, operation);
  }

  return (operation) => {
    if (operation.kind === "resolve") return judge(operation.conflict);
    const room = operation.kind === "apply" ? run.room?.() : undefined;
    return room === undefined ? runOperation(replica, operation) : wait(room, operation);
  };
}

/** The error of a fault that this side found. `cut`: after the server had ended the stream. */
function inWords(fault: Fault, address: string, { onIdle, stepTimeoutMs }: ExchangeRun, cut: boolean): TercetError {
  const isLive = onIdle !== undefined;
  // Whatever ended it without a word, a proxy for example, is no reason not to come back.
  if (cut && isLive)
    return new TercetError(`${address} closed the exchange: ${fault.message}`, { code: "UNAVAILABLE" });
  if (fault.reason !== ErrorReason.ERROR_REASON_STALLED) return toError(fault);
  const message = isLive ? `${address}: ${fault.message}` : `no answer from ${address} for ${stepTimeoutMs / 1000} s`;
  return toError({ ...fault, message });
}
