import type { ServiceError } from "@grpc/grpc-js";
import { createDriver } from "../core/drive.js";
import { ErrorReason, type Fault } from "../core/fault.js";
import { type CallBounds, type Connection, cancelled, type ExchangeCall, toTercetError } from "./connection.js";
import { toError } from "./error.js";
import type { ClientExchange } from "./protocol/exchange.js";
import { runOperation } from "./protocol/operation.js";
import type { ExchangeProgress } from "./protocol/report.js";
import type { ReplicaStore } from "./replica/store.js";

const TICK_MS = 1000;

/** How an exchange is run. */
export interface ExchangeRun extends CallBounds {
  /** Called after every message of the server. What it throws is not caught: it must not throw. */
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
      if (error === undefined) resolve({ ...bytes });
      else reject(error);
    }

    const driver = createDriver(exchange, {
      send: (message) => stream.write(message),
      store: (operation) => runOperation(replica, operation),
      close(fault) {
        if (fault === undefined) {
          // Through. The server's status is of no consequence any more.
          stream.end();
          return settle(flushed());
        }
        stream.cancel();
        settle(thrown ?? toError(fault));
      },
      toFault(error): Fault {
        thrown = error;
        return { reason: ErrorReason.ERROR_REASON_STORAGE_FAILED, message: String(error) };
      },
      yieldThen: (resume) => void setImmediate(resume),
    });
    /** What is reported as verified is on the disk. */
    function flushed(): unknown {
      try {
        replica.flush();
        return undefined;
      } catch (error) {
        return error;
      }
    }

    const nowUs = (): number => Date.now() * 1000;
    const timer = setInterval(() => driver.tick(nowUs()), TICK_MS);
    const abort = (): void => {
      stream.cancel();
      settle(cancelled());
    };
    run.signal?.addEventListener("abort", abort, { once: true });

    stream.on("data", (message) => {
      driver.receive(message, nowUs());
      if (!settled) run.onProgress?.(exchange.progress());
    });
    stream.on("drain", () => driver.resume());
    // A status that is an error comes as one before the end does.
    stream.on("error", (error) => settle(toTercetError(error as ServiceError, connection.address)));
    stream.on("end", () => driver.ended());
    driver.resume();
  });
}
