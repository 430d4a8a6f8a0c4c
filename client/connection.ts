import {
  type CallOptions,
  type ChannelOptions,
  Client,
  type ClientDuplexStream,
  Metadata,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { BadRequest, ErrorInfo, RetryInfo } from "../gen/google/rpc/error_details.js";
import { Status } from "../gen/google/rpc/status.js";
import { CollectionServiceService } from "../gen/tercet/v1/collection_service.js";
import { ItemServiceService } from "../gen/tercet/v1/item_service.js";
import { ExchangeRequest, type ExchangeResponse } from "../gen/tercet/v1/sync.js";
import { SyncServiceService } from "../gen/tercet/v1/sync_service.js";
import { channelCredentials } from "./connection-credentials.js";
import { decodeExchangeResponse } from "./decode-exchange.js";
import { codeName, type ErrorField, TercetError } from "./error.js";
import { LONGEST_TIMER_MS } from "./longest-timer.js";
import { encodedRequest } from "./protocol/encode-pushes.js";
import { checkNamed, checkPositive, invalidField } from "./validate.js";
import { whyUnreachable } from "./why-unreachable.js";

/** Port that a server listens on where nothing else is said. */
export const DEFAULT_PORT = 7727;

/** How to connect. */
export interface ConnectOptions {
  /** Use TLS: with the system's authorities, or this one (PEM), and with a certificate of one's own, if the server asks. */
  readonly tls?: true | { readonly ca?: Uint8Array; readonly cert?: Uint8Array; readonly key?: Uint8Array };
}

/** A call of the exchange, counted. */
export interface ExchangeCall {
  readonly stream: ClientDuplexStream<ExchangeRequest, ExchangeResponse>;
  /** Bytes of the messages so far, with gRPC's five bytes before each; without HTTP/2's own framing. */
  readonly bytes: { sent: number; received: number };
}

/** How a call is bounded. */
export interface CallBounds {
  /** Aborts the call: it fails with CANCELLED. */
  readonly signal?: AbortSignal;
  /** Milliseconds after which it fails with DEADLINE_EXCEEDED. */
  readonly timeoutMs?: number;
}

type Unary<Req, Res> = {
  readonly path: string;
  readonly requestSerialize: (request: Req) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Res;
};

/** A connection to a server. It connects when it is used, and again when it was lost. */
export interface Connection {
  /** host:port */
  readonly address: string;
  /** Calls a method of ItemServiceService or CollectionServiceService. Rejects with a TercetError. */
  unary<Req, Res>(method: Unary<Req, Res>, request: Req, bounds?: CallBounds): Promise<Res>;
  /** Begins an exchange. */
  exchange(bounds?: CallBounds): ExchangeCall;
  /**
   * Ends the connection, once the calls under way have ended (they are given a second). Calls from now on fail with
   * FAILED_PRECONDITION.
   */
  close(): Promise<void>;
}

/** The unary methods, for `Connection.unary`. */
export const METHODS = { ...ItemServiceService, ...CollectionServiceService } as const;

/**
 * A window of 8 MiB: with the default of 64 KiB a pull gets 64 KiB a round trip. Keepalive finds dead connections; servers
 * refuse it more often than every five minutes (gRFC A8, A9).
 */
const CHANNEL_OPTIONS: ChannelOptions = {
  "grpc-node.flow_control_window": 8 * 1024 * 1024,
  "grpc.keepalive_time_ms": 5 * 60_000,
  "grpc.keepalive_timeout_ms": 20_000,
  // Whoever waits longer before calling again finds it connected, or trying.
  "grpc.max_reconnect_backoff_ms": 30_000,
  "grpc.max_receive_message_length": 4 * 1024 * 1024,
  "grpc.primary_user_agent": "tercet",
  // Nobody can ask for what it counts of each call.
  "grpc.enable_channelz": 0,
};

/**
 * A connection to `host:port` (port 7727 where none is given).
 *
 * @throws TercetError INVALID_ARGUMENT where that is no address.
 */
export function connect(address: string, options: ConnectOptions = {}): Connection {
  checkNamed(options, ["tls"]);
  return open(address, options, CHANNEL_OPTIONS);
}

/**
 * As `connect`, but it shares nothing with other connections to the same address: neither the TCP connection nor gRPC's own
 * waiting before it connects again. For whoever decides by itself when to try again.
 */
export function connectAnew(address: string, options: ConnectOptions): Connection {
  return open(address, options, { ...CHANNEL_OPTIONS, "grpc.use_local_subchannel_pool": 1 });
}

function open(address: string, options: ConnectOptions, channel: ChannelOptions): Connection {
  if (typeof address !== "string") throw invalidField("address", `must be ${EXAMPLE}`);
  const target = toTarget(address);
  const client = new Client(target, channelCredentials(options), channel);
  const running = new Set<Promise<void>>();
  let closed = false;

  function refuseClosed(): void {
    if (closed) throw new TercetError(`the connection to ${target} is closed`, { code: "FAILED_PRECONDITION" });
  }

  function track(ended: Promise<void>): void {
    running.add(ended);
    void ended.finally(() => running.delete(ended));
  }

  return {
    address: target,
    unary(method, request, bounds = {}) {
      return new Promise((resolve, reject) => {
        refuseClosed();
        if (bounds.signal?.aborted) return reject(cancelled());
        const { path, requestSerialize, responseDeserialize } = method;
        const metadata = new Metadata();
        const call = client.makeUnaryRequest(
          path,
          requestSerialize,
          responseDeserialize,
          request,
          metadata,
          callOptions(bounds),
          (error, response) => {
            bounds.signal?.removeEventListener("abort", abort);
            if (error !== null) reject(toTercetError(error, target));
            else if (response === undefined) reject(new TercetError("empty answer", { code: "INTERNAL" }));
            else resolve(response);
          },
        );
        const abort = (): void => call.cancel();
        bounds.signal?.addEventListener("abort", abort, { once: true });
      });
    },
    exchange(bounds = {}) {
      refuseClosed();
      const bytes = { sent: 0, received: 0 };
      const stream = client.makeBidiStreamRequest(
        SyncServiceService.exchange.path,
        (message: ExchangeRequest) => {
          const pushes = message.message?.$case === "push" ? encodedRequest(message.message.value) : undefined;
          const encoded = pushes ?? ExchangeRequest.encode(message).finish();
          bytes.sent += encoded.length + 5;
          return pushes ?? Buffer.from(encoded.buffer, encoded.byteOffset, encoded.byteLength);
        },
        (encoded: Buffer) => {
          bytes.received += encoded.length + 5;
          return decodeExchangeResponse(encoded);
        },
        new Metadata(),
        callOptions(bounds),
      );
      track(new Promise((resolve) => stream.once("status", () => resolve())));
      return { stream, bytes };
    },
    async close() {
      closed = true;
      let timer: NodeJS.Timeout | undefined;
      const second = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, 1000);
      });
      await Promise.race([Promise.all(running), second]);
      clearTimeout(timer);
      client.close();
    },
  };
}

const EXAMPLE = `host:port, for example 127.0.0.1:${DEFAULT_PORT}`;

/** `host`, `host:port` or `[IPv6]:port`, with the port that is meant. */
function toTarget(address: string): string {
  const [, host, port] = /^(\[[\da-fA-F:.]+\]|[^:/\s]+)(?::(\d{1,5}))?$/.exec(address) ?? [];
  if (host === undefined) throw badAddress(`"${address}" is no address of a server: ${EXAMPLE}`);
  if (port !== undefined && (Number(port) < 1 || Number(port) > 65_535)) {
    throw badAddress(`"${address}" is no address of a server: ports are from 1 to 65535`);
  }
  return `${host}:${port ?? DEFAULT_PORT}`;
}

function badAddress(message: string): TercetError {
  return new TercetError(message, { code: "INVALID_ARGUMENT", reason: "INVALID_FIELD" });
}

function callOptions({ timeoutMs }: CallBounds): CallOptions {
  checkPositive("timeoutMs", timeoutMs);
  const isBounded = timeoutMs !== undefined && timeoutMs <= LONGEST_TIMER_MS;
  return isBounded ? { deadline: Date.now() + timeoutMs } : {};
}

/** What a call that was aborted fails with. */
export function cancelled(): TercetError {
  return new TercetError("the call was aborted", { code: "CANCELLED" });
}

/** What a call failed with, with the details that the server gave. */
export function toTercetError(error: ServiceError, address: string): TercetError {
  const facts = readDetails(error);
  const code = codeName(error.code);
  if (facts.reason !== "") return new TercetError(error.details, { code, ...facts }, { cause: error });
  return new TercetError(withoutDetails(error, address), { code, ...facts }, { cause: error });
}

/** In words, what a status means that no Tercet server has given. */
function withoutDetails(error: ServiceError, address: string): string {
  switch (error.code) {
    case status.UNAVAILABLE:
      return `can't reach a Tercet server at ${address}: ${whyUnreachable(error.details)}`;
    case status.CANCELLED:
      return "the call was aborted";
    case status.DEADLINE_EXCEEDED:
      return `not done before the deadline (where ${address} never answers, is it the right port?)`;
    case status.UNKNOWN:
    case status.INTERNAL:
    case status.UNIMPLEMENTED:
      return `${address} does not answer like a Tercet server (is it the right port?): ${error.details}`;
    default:
      return error.details;
  }
}

interface Details {
  reason: string;
  metadata: Record<string, string>;
  fields: ErrorField[];
  retryAfterMs: number | undefined;
}

/** What the server said besides its status. Details that can't be read, from whoever answered, say nothing. */
function readDetails(error: ServiceError): Details {
  const details: Details = { reason: "", metadata: {}, fields: [], retryAfterMs: undefined };
  const [encoded] = error.metadata?.get("grpc-status-details-bin") ?? [];
  try {
    if (Buffer.isBuffer(encoded)) takeDetails(details, encoded);
  } catch {
    return { reason: "", metadata: {}, fields: [], retryAfterMs: undefined };
  }
  return details;
}

/** @throws Error where they are no valid protobuf. */
function takeDetails(details: Details, encoded: Buffer): void {
  for (const { typeUrl, value } of Status.decode(encoded).details) {
    if (typeUrl.endsWith("/google.rpc.ErrorInfo")) {
      const info = ErrorInfo.decode(value);
      details.reason = info.reason;
      details.metadata = info.metadata;
    } else if (typeUrl.endsWith("/google.rpc.BadRequest")) {
      const { fieldViolations } = BadRequest.decode(value);
      details.fields.push(...fieldViolations.map(({ field, description }) => ({ field, description })));
    } else if (typeUrl.endsWith("/google.rpc.RetryInfo")) {
      const delay = RetryInfo.decode(value).retryDelay;
      details.retryAfterMs = delay === undefined ? undefined : delay.seconds * 1000 + delay.nanos / 1e6;
    }
  }
}
