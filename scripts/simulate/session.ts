import { decodeExchangeResponse } from "../../client/decode-exchange.js";
import { createClientExchange } from "../../client/protocol/exchange.js";
import type { ClientExchangeConfig } from "../../client/protocol/exchange-config.js";
import {
  type ClientOperation,
  type ClientResult,
  type ReplicaOperation,
  runOperation,
} from "../../client/protocol/operation.js";
import type { ExchangeReport } from "../../client/protocol/report.js";
import { asBuffer } from "../../core/content.js";
import { createDriver } from "../../core/drive.js";
import { ErrorReason, type Fault } from "../../core/fault.js";
import { ExchangeRequest, ExchangeResponse, type Limits } from "../../gen/tercet/v1/sync.js";
import { createServerExchange } from "../../server/protocol/exchange.js";
import type { ServerOperation, ServerResult } from "../../server/protocol/operation.js";
import { decodeExchangeRequest } from "../../server/rpc/strict-decode.js";
import type { Random } from "./random.js";

/** What a stream that is under way needs of the world around it. */
export interface SessionWorld {
  /** Runs an operation of the client on its replica; undefined: the client has crashed. */
  client(run: ClientRun): ClientResult | undefined;
  /** Runs an operation of the server; undefined: the server has crashed. */
  server(operation: ServerOperation): ServerResult | undefined;
  nowClientUs(): number;
  nowServerUs(): number;
  /** What arrives in place of a message. */
  request(message: ExchangeRequest): ExchangeRequest;
  response(message: ExchangeResponse): ExchangeResponse;
  /** A message has arrived; false: the stream is cut before it does. */
  arrives(message: ExchangeRequest | ExchangeResponse, to: "client" | "server"): boolean;
  /** The client has closed by itself. */
  closed(fault: Fault | undefined, report: ExchangeReport): void;
}

/** An operation of a client and how it is run. */
export interface ClientRun {
  readonly operation: ClientOperation;
  on(replica: Parameters<typeof runOperation>[0]): ClientResult;
}

function runOf(operation: ClientOperation): ClientRun {
  // A conflict that the application judges never comes to the replica.
  return { operation, on: (replica) => runOperation(replica, operation as ReplicaOperation) };
}

/** How a stream is opened. */
export interface SessionConfig {
  readonly client: ClientExchangeConfig;
  readonly serverLimits: Limits;
  readonly gathers: boolean;
  readonly skewUs: number;
  readonly stepTimeoutUs: number;
  readonly heartbeatUs: number;
}

/** A stream between both real machines, on a network that keeps order and nothing else. */
export interface Session {
  readonly live: boolean;
  /** The client is gone or through: only what it has sent is still under way. */
  readonly gone: boolean;
  /** It stays open, has caught up, and nothing is under way. */
  readonly dormant: boolean;
  /** What it has done so far. */
  report(): ExchangeReport;
  /** Live: the server's store has advanced. */
  advanced(revision: number): void;
  /** Live: the application has changed the replica. */
  notify(): void;
  /** Live: whether the client sends at once what is written now. */
  sendsAtOnce(): boolean;
  /** Live: the client ends it in peace. */
  leave(): void;
  /** The server drains. */
  goAway(): void;
  /** Delivers one message, if there is one. False: nothing is under way. */
  deliver(random: Random): boolean;
  /** Lets both sides look at the clock. */
  tick(): void;
  /** The client has lost the stream, and is gone; what it has sent still arrives. */
  abandon(): void;
  /** Both sides have lost the stream. */
  kill(): void;
  /** What the client has sent so far, encoded. */
  readonly sent: readonly Uint8Array[];
}

/** Messages that the transport takes before it is full. */
const ROOM = 4;
const CRASHED: Fault = { reason: ErrorReason.ERROR_REASON_INTERNAL, message: "crashed" };

/** Opens a stream: the client begins at once. */
export function openSession(config: SessionConfig, world: SessionWorld): Session {
  const toServer: (Uint8Array | "end")[] = [];
  const toClient: (Uint8Array | "end")[] = [];
  const tasks: (() => void)[] = [];
  const sent: Uint8Array[] = [];
  let live = true;
  /** The client is through; what it sent last still arrives. */
  let closed = false;
  let serverFault: Fault | undefined;

  const client = createClientExchange(config.client);
  const server = createServerExchange({
    limits: config.serverLimits,
    skewUs: config.skewUs,
    stepTimeoutUs: config.stepTimeoutUs,
    heartbeatUs: config.heartbeatUs,
  });
  const toFault = (error: unknown): Fault => {
    if (error === CRASHED) return CRASHED;
    return { reason: ErrorReason.ERROR_REASON_INTERNAL, message: `storage failed: ${String(error)}` };
  };
  const yieldThen = (resume: () => void): void => void tasks.push(resume);

  const clientDriver = createDriver(client, {
    send(message) {
      const bytes = ExchangeRequest.encode(message).finish();
      sent.push(bytes);
      toServer.push(bytes);
      return toServer.length < ROOM;
    },
    store(operation) {
      const result = live ? world.client(runOf(operation)) : undefined;
      if (result !== undefined && live) return result;
      abandon();
      throw CRASHED;
    },
    close(fault) {
      if (!live || closed) return;
      toServer.push("end");
      finish(fault);
    },
    toFault,
    yieldThen,
  });
  const serverDriver = createDriver(server, {
    send(message) {
      toClient.push(ExchangeResponse.encode(message).finish());
      return toClient.length < ROOM;
    },
    store(operation) {
      const result = live ? world.server(operation) : undefined;
      if (result !== undefined && live) return result;
      kill();
      throw CRASHED;
    },
    close(fault) {
      serverFault = fault;
      toClient.push("end");
    },
    toFault,
    yieldThen,
    holds: () => config.gathers && toServer.length > 0,
  });

  function finish(fault: Fault | undefined): void {
    if (closed) return;
    closed = true;
    world.closed(fault, client.report());
  }

  function kill(): void {
    live = false;
    clientDriver.stop();
    serverDriver.stop();
  }

  /** The client is gone; what it has sent still arrives. */
  function abandon(): void {
    closed = true;
    clientDriver.stop();
  }

  /** Nothing is under way on it. */
  function isQuiet(): boolean {
    return tasks.length === 0 && toServer.length === 0 && (toClient.length === 0 || closed);
  }

  function runTasks(): void {
    for (let task = tasks.shift(); task !== undefined && live; task = tasks.shift()) task();
  }

  function toServerNext(): void {
    const bytes = toServer.shift() as Uint8Array | "end";
    clientDriver.resume();
    if (bytes === "end") return serverDriver.ended();
    const message = decodeExchangeRequest(asBuffer(bytes));
    if (live && world.arrives(message, "server")) serverDriver.receive(world.request(message), world.nowServerUs());
    else kill();
  }

  function toClientNext(): void {
    const bytes = toClient.shift() as Uint8Array | "end";
    serverDriver.resume();
    if (bytes === "end" && serverFault === undefined) return clientDriver.ended();
    if (bytes === "end") return finish(serverFault);
    const message = decodeExchangeResponse(asBuffer(bytes));
    if (live && world.arrives(message, "client")) clientDriver.receive(world.response(message), world.nowClientUs());
    else abandon();
  }

  clientDriver.resume();
  return {
    get live() {
      return live;
    },
    get gone() {
      return closed;
    },
    get dormant() {
      return config.client.live && live && !closed && isQuiet();
    },
    report: client.report,
    advanced: (revision) => void tasks.push(() => serverDriver.notify(revision)),
    notify: () => void tasks.push(() => clientDriver.notify()),
    sendsAtOnce: () => live && !closed && client.sendsAtOnce(),
    leave() {
      client.leave();
      tasks.push(() => clientDriver.tick(world.nowClientUs()));
    },
    goAway() {
      server.goAway(0);
      tasks.push(() => serverDriver.tick(world.nowServerUs()));
    },
    sent,
    deliver(random) {
      runTasks();
      if (!live) return false;
      if (isQuiet()) {
        if (!closed && config.client.live) return true;
        live = false;
        return false;
      }
      if (toServer.length > 0 && (toClient.length === 0 || random.chance(0.5))) toServerNext();
      else toClientNext();
      runTasks();
      return true;
    },
    tick() {
      if (live) clientDriver.tick(world.nowClientUs());
      if (live) serverDriver.tick(world.nowServerUs());
    },
    abandon,
    kill,
  };
}
