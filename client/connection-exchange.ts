import type { ServiceError } from "@grpc/grpc-js";
import { createDriver } from "../core/drive.js";
import { ErrorReason, type Fault } from "../core/fault.js";
import { type CallBounds, type Connection, cancelled, type ExchangeCall, toTercetError } from "./connection.js";
import { toError } from "./error.js";
import type { ClientExchange } from "./protocol/exchange.js";
import { type ClientResult, type ConflictToResolve, type Resolution, runOperation } from "./protocol/operation.js";
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
}

/**
 * Runs an exchange between a replica and a server: the pump between the pure machine and a gRPC stream. Resolves with the
 * bytes that moved once the machine is through; rejects with a TercetError, or with what the replica threw. Either way
 * the replica is whole, and the next exchange goes on where this one was.
 */
export function runExchange(
  connection: Connection,
  replica: ReplicaStore,
  exchange: ClientExchange,
  run: ExchangeRun,
): Promise<ExchangeCall["bytes"]> {
  if (run.signal?.aborted) return Promise.reject(cancelled());
  return new Promise((resolve, reject) => {
    const { stream, bytes } = connection.exchange(run);
    let thrown: unknown;
    let settled = false;

    function settle(error?: unknown): void {
      if (settled) return;
      settled = true;
      driver.stop();
      clearInterval(timer);
      run.signal?.removeEventListener("abort", abort);
      if (error === undefined) return resolve({ ...bytes });
      // What came so far is kept, so that the next exchange goes on from there.
      flushed();
      reject(error);
    }

    const driver = createDriver(exchange, {
      send: (message) => stream.write(message),
      store: (operation) =>
        operation.kind === "resolve" ? judge(operation.conflict) : runOperation(replica, operation),
      close(fault) {
        if (fault === undefined) {
          // Through. The server's status is of no consequence any more.
          stream.end();
          return settle(flushed());
        }
        stream.cancel();
        settle(thrown ?? toError(inWords(fault)));
      },
      toFault(error): Fault {
        thrown = error;
        return { reason: ErrorReason.ERROR_REASON_STORAGE_FAILED, message: String(error) };
      },
      yieldThen: (resume) => void setImmediate(resume),
    });
    async function judge(conflict: ConflictToResolve): Promise<ClientResult> {
      if (run.resolve === undefined) throw new Error("there is no resolver");
      // It may take its time, and what the server sends meanwhile must not pile up here.
      stream.pause();
      try {
        return { kind: "resolve", resolution: await run.resolve(conflict) };
      } finally {
        stream.resume();
      }
    }
    /** What is reported as verified is on the disk. */
    function flushed(): unknown {
      try {
        replica.flush();
        return undefined;
      } catch (error) {
        return error;
      }
    }

    function fail(error: unknown): void {
      if (settled) return;
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
    function inWords(fault: Fault): Fault {
      if (fault.reason !== ErrorReason.ERROR_REASON_STALLED) return fault;
      return { ...fault, message: `no answer from ${connection.address} for ${run.stepTimeoutMs / 1000} s` };
    }

    const nowUs = (): number => Date.now() * 1000;
    const timer = setInterval(() => driver.tick(nowUs()), Math.min(TICK_MS, run.stepTimeoutMs));
    const abort = (): void => {
      stream.cancel();
      settle(cancelled());
    };
    run.signal?.addEventListener("abort", abort, { once: true });

    stream.on("data", (message) => {
      driver.receive(message, nowUs());
      progress();
    });
    stream.on("drain", () => driver.resume());
    // A status that is an error comes as one before the end does.
    stream.on("error", (error) => settle(toTercetError(error as ServiceError, connection.address)));
    stream.on("end", () => driver.ended());
    driver.resume();
  });
}
