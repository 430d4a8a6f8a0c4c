import { decodeExchangeResponse } from "../../client/decode-exchange.js";
import { type ClientExchange, createClientExchange } from "../../client/protocol/exchange.js";
import { runOperation as runClientOperation } from "../../client/protocol/operation.js";
import type { MemoryReplica } from "../../client/replica/memory.js";
import { asBuffer } from "../../core/content.js";
import { createDriver } from "../../core/drive.js";
import type { Exchange } from "../../core/exchange.js";
import type { Fault } from "../../core/fault.js";
import { DEFAULT_LIMITS } from "../../core/limits.js";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import { ExchangeRequest, ExchangeResponse, type Limits } from "../../gen/tercet/v1/sync.js";
import { createServerExchange } from "../../server/protocol/exchange.js";
import { after, runOperation as runServerOperation } from "../../server/store/run-operation.js";
import type { WriteBatch } from "../../server/store/write-batch.js";
import type { ServerWorld } from "./server-world.js";

/** The clock of both sides: it stands still during an exchange. */
export const CLOCK_US = 1_760_000_000_000_000;
/** How far ahead of it a modify time may be. */
export const SKEW_US = 60_000_000;
const TIMEOUT_US = 60_000_000;
/** What the server calls a collection that it makes during an exchange. */
const NEW_UID = Buffer.alloc(16, 7);

/** How an exchange is to be. */
export interface ExchangeOptions {
  readonly standard?: ChangeStandard;
  readonly create?: boolean;
  readonly recreate?: boolean;
  /** What the client wishes. */
  readonly wishes?: Partial<Limits>;
  /** What the server gives, where it is not the default. */
  readonly limits?: Partial<Limits>;
  readonly onHistoryChange?: "offer" | "follow" | "stop";
}

/** How a side ended: undefined while it goes on. */
export type Ending = { readonly fault: Fault | undefined } | undefined;

/** What the other side says in its turn. */
export interface Turn {
  /** Encoded. */
  readonly messages: readonly Uint8Array[];
  /** And then it half-closes, or ends with OK. */
  readonly ends?: boolean;
}

/**
 * One side under a driver that knows no time: it hears all that the other has to say in its turn before it does anything,
 * and what it says then is there when `hear` returns, as encoded messages.
 */
export interface Side {
  readonly out: Uint8Array[];
  readonly ending: Ending;
  hear(turn: Turn): void;
  stop(): void;
}

function side<In, Out, Operation, Result>(
  exchange: Exchange<In, Out, Operation, Result>,
  codec: { readonly decode: (bytes: Uint8Array) => In; readonly encode: (message: Out) => Uint8Array },
  store: (operation: Operation) => Result | Promise<Result>,
): Side {
  const out: Uint8Array[] = [];
  const tasks: (() => void)[] = [];
  let ending: Ending;
  let hearing = false;
  const driver = createDriver(
    { ...exchange, next: () => (hearing ? undefined : exchange.next()) },
    {
      send(message) {
        out.push(codec.encode(message));
        return true;
      },
      store,
      close(fault) {
        ending = { fault };
      },
      toFault(error) {
        throw error;
      },
      yieldThen: (resume) => void tasks.push(resume),
    },
  );
  return {
    out,
    get ending() {
      return ending;
    },
    hear({ messages, ends = false }) {
      hearing = true;
      for (const message of messages) driver.receive(codec.decode(message), CLOCK_US);
      if (ends) driver.ended();
      hearing = false;
      driver.resume();
      for (let task = tasks.shift(); task !== undefined; task = tasks.shift()) task();
    },
    stop: () => driver.stop(),
  };
}

/** The client's side on a replica. */
export function clientSide(replica: MemoryReplica, options: ExchangeOptions): Side & Pick<ClientExchange, "report"> {
  const exchange = createClientExchange({
    standard: options.standard ?? ChangeStandard.CHANGE_STANDARD_UNSPECIFIED,
    create: options.create ?? false,
    recreate: options.recreate ?? false,
    client: "vectors",
    limits: options.wishes ?? {},
    stepTimeoutUs: TIMEOUT_US,
    mode: "sync",
    live: false,
    onHistoryChange: options.onHistoryChange ?? "offer",
    resolves: false,
  });
  const codec = {
    decode: (bytes: Uint8Array) => decodeExchangeResponse(asBuffer(bytes)),
    encode: (message: ExchangeRequest) => ExchangeRequest.encode(message).finish(),
  };
  const driven = side(exchange, codec, (operation) => {
    if (operation.kind === "resolve") throw new Error("nobody resolves conflicts here");
    return runClientOperation(replica, operation);
  });
  return Object.assign(driven, { report: exchange.report });
}

/** The server's side. */
export function serverSide(world: ServerWorld, options: ExchangeOptions): Side {
  const exchange = createServerExchange({
    limits: { ...DEFAULT_LIMITS, ...options.limits },
    skewUs: SKEW_US,
    stepTimeoutUs: TIMEOUT_US,
    heartbeatUs: TIMEOUT_US / 2,
  });
  const codec = {
    decode: (bytes: Uint8Array) => ExchangeRequest.decode(bytes),
    encode: (message: ExchangeResponse) => ExchangeResponse.encode(message).finish(),
  };
  return side(exchange, codec, (operation) => {
    const { store } = world;
    const write = (batch: WriteBatch) => after(store.write([batch]), (written) => written[0]);
    return runServerOperation({ store, write, newUid: () => NEW_UID, nowUs: () => CLOCK_US }, operation);
  });
}
