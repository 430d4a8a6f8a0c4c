import { decodeExchangeResponse } from "../../client/decode-exchange.js";
import { createClientExchange } from "../../client/protocol/exchange.js";
import type { ClientExchangeConfig } from "../../client/protocol/exchange-config.js";
import {
  type ConflictToResolve,
  type Resolution,
  runOperation as runClientOperation,
} from "../../client/protocol/operation.js";
import type { ExchangeReport } from "../../client/protocol/report.js";
import type { ReplicaStore } from "../../client/replica/store.js";
import { asBuffer } from "../../core/content.js";
import { createDriver } from "../../core/drive.js";
import type { ErrorReason, Fault } from "../../core/fault.js";
import { DEFAULT_LIMITS } from "../../core/limits.js";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import { ExchangeRequest, ExchangeResponse, type Limits } from "../../gen/tercet/v1/sync.js";
import { createServerExchange } from "../../server/protocol/exchange.js";
import type { Store } from "../../server/store/store.js";
import { operationsOn } from "./world.js";

/** How two exchanges are driven against each other. */
export interface PairOptions {
  readonly store: Store;
  readonly replica: ReplicaStore;
  readonly standard?: ChangeStandard;
  readonly serverLimits?: Partial<Limits>;
  readonly clientLimits?: Partial<Limits>;
  readonly create?: boolean;
  readonly recreate?: boolean;
  /** Cut the stream once this many messages have been delivered in all. */
  readonly cutAfter?: number;
  /** Deliver all that is under way in one direction, then all in the other, as if the way between them were long. */
  readonly lockstep?: boolean;
  /** The server works on what is under way to it once all of it has arrived, as where it comes in one turn. */
  readonly gathers?: boolean;
  /** Which queue delivers next, where both have something: a number in [0, 1). Default: in turn. */
  readonly random?: () => number;
  /** Called before each delivery: the place for somebody else's changes. */
  readonly meanwhile?: (delivered: number) => void;
  /** What arrives in place of a message: the place for faults on the way. Undefined loses nothing. */
  readonly tamperRequest?: (message: ExchangeRequest) => ExchangeRequest;
  readonly tamperResponse?: (message: ExchangeResponse) => ExchangeResponse;
  readonly mode?: ClientExchangeConfig["mode"];
  readonly onHistoryChange?: ClientExchangeConfig["onHistoryChange"];
  /** Judges conflicts in place of the standard. */
  readonly resolver?: (conflict: ConflictToResolve) => Resolution;
  /** Runs the application's own writes right before a storage operation of the client. */
  readonly beforeClientOperation?: (kind: string) => void;
}

/** What came of it. */
export interface PairOutcome {
  readonly report: ExchangeReport;
  /** Undefined where the client closed without one, or the stream was cut. */
  readonly fault: Fault | undefined;
  readonly cut: boolean;
  readonly delivered: number;
  readonly requests: readonly ExchangeRequest[];
  readonly responses: readonly ExchangeResponse[];
  /** In lockstep: how often something went to the server, but for the end and for notes that nothing waits for. */
  readonly trips: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
}

const NOW_US = 1_760_000_000_000_000;
/** Messages that the transport takes before it is full. */
const ROOM = 4;

/**
 * Drives both pure machines over an in-memory queue, with every message through its protobuf encoding. The stores must
 * be synchronous ones.
 */
export function exchange(options: PairOptions): PairOutcome {
  const { store, replica } = options;
  const toServer: (Uint8Array | "end")[] = [];
  const toClient: (Uint8Array | "end")[] = [];
  const tasks: (() => void)[] = [];
  const requests: ExchangeRequest[] = [];
  const responses: ExchangeResponse[] = [];
  let requestBytes = 0;
  let responseBytes = 0;
  let clientClosed: { fault: Fault | undefined } | undefined;
  let serverFault: Fault | undefined;
  let nowUs = NOW_US;
  const room = options.lockstep === true ? Number.POSITIVE_INFINITY : ROOM;

  const config: ClientExchangeConfig = {
    standard: options.standard ?? ChangeStandard.CHANGE_STANDARD_UNSPECIFIED,
    create: options.create ?? true,
    recreate: options.recreate ?? false,
    client: "test",
    limits: options.clientLimits ?? {},
    stepTimeoutUs: 60_000_000,
    mode: options.mode ?? "sync",
    live: false,
    onHistoryChange: options.onHistoryChange ?? "offer",
    resolves: options.resolver !== undefined,
  };
  const client = createClientExchange(config);
  const server = createServerExchange({
    limits: { ...DEFAULT_LIMITS, ...options.serverLimits },
    skewUs: 60_000_000,
    stepTimeoutUs: 60_000_000,
    heartbeatUs: 30_000_000,
  });
  const toFault = (error: unknown): Fault => {
    throw error;
  };
  const yieldThen = (resume: () => void): void => {
    tasks.push(resume);
  };

  const clientDriver = createDriver(client, {
    send(message) {
      requests.push(message);
      const bytes = ExchangeRequest.encode(message).finish();
      requestBytes += bytes.length;
      toServer.push(bytes);
      return toServer.length < room;
    },
    store(operation) {
      options.beforeClientOperation?.(operation.kind);
      if (operation.kind !== "resolve") return runClientOperation(replica, operation);
      const resolution = options.resolver?.(operation.conflict) ?? { kind: "held" };
      return { kind: "resolve", resolution };
    },
    close(fault) {
      clientClosed = { fault };
      toServer.push("end");
    },
    toFault,
    yieldThen,
  });
  const serverDriver = createDriver(server, {
    send(message) {
      responses.push(message);
      const bytes = ExchangeResponse.encode(message).finish();
      responseBytes += bytes.length;
      toClient.push(bytes);
      return toClient.length < room;
    },
    store: operationsOn(store, () => nowUs),
    close(fault) {
      serverFault = fault;
      toClient.push("end");
    },
    toFault,
    yieldThen,
    holds: () => options.gathers === true && toServer.length > 0,
  });

  let delivered = 0;
  let turn = false;
  let trips = 0;
  let left = 0;
  clientDriver.resume();
  for (;;) {
    for (let task = tasks.shift(); task !== undefined; task = tasks.shift()) task();
    if (toServer.length === 0 && toClient.length === 0) break;
    if (delivered === options.cutAfter) break;
    options.meanwhile?.(delivered);
    delivered += 1;
    nowUs += 10;
    if (options.lockstep !== true) turn = options.random === undefined ? !turn : options.random() < 0.5;
    else if (left === 0) {
      turn = toServer.length > 0;
      left = turn ? toServer.length : toClient.length;
      if (turn && toServer.some(isTrip)) trips += 1;
    }
    left -= 1;
    if (toServer.length > 0 && (turn || toClient.length === 0)) {
      const bytes = toServer.shift() as Uint8Array | "end";
      clientDriver.resume();
      if (bytes === "end") serverDriver.ended();
      else serverDriver.receive((options.tamperRequest ?? same)(ExchangeRequest.decode(bytes)), nowUs);
    } else {
      const bytes = toClient.shift() as Uint8Array | "end";
      serverDriver.resume();
      if (bytes === "end" && serverFault === undefined) clientDriver.ended();
      else if (bytes === "end") clientClosed ??= { fault: serverFault };
      else clientDriver.receive((options.tamperResponse ?? same)(decodeExchangeResponse(asBuffer(bytes))), nowUs);
    }
  }
  clientDriver.stop();
  serverDriver.stop();
  const cut = clientClosed === undefined;
  return {
    report: client.report(),
    fault: clientClosed?.fault ?? (cut ? undefined : serverFault),
    cut,
    delivered,
    trips,
    requests,
    responses,
    requestBytes,
    responseBytes,
  };
}

function isTrip(bytes: Uint8Array | "end"): boolean {
  return bytes !== "end" && ExchangeRequest.decode(bytes).message?.$case !== "taken";
}

function same<T>(value: T): T {
  return value;
}

/** The fault of a reason, for expectations. */
export function reasonOf(outcome: PairOutcome): ErrorReason | undefined {
  return outcome.fault?.reason;
}
