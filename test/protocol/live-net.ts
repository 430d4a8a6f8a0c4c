import { decodeExchangeResponse } from "../../client/decode-exchange.js";
import { type ClientExchange, createClientExchange } from "../../client/protocol/exchange.js";
import type { ClientExchangeConfig } from "../../client/protocol/exchange-config.js";
import { runOperation as runClientOperation } from "../../client/protocol/operation.js";
import type { ReplicaStore } from "../../client/replica/store.js";
import { asBuffer } from "../../core/content.js";
import { createDriver } from "../../core/drive.js";
import type { Fault } from "../../core/fault.js";
import { DEFAULT_LIMITS } from "../../core/limits.js";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import { ExchangeRequest, ExchangeResponse, type Limits } from "../../gen/tercet/v1/sync.js";
import { createServerExchange } from "../../server/protocol/exchange.js";
import { createLiveStore } from "../../server/store/live-store.js";
import type { Store } from "../../server/store/store.js";
import { operationsOn } from "./world.js";

/** A live exchange on the net. */
export interface LiveStream {
  readonly client: ClientExchange;
  /** How the client closed. */
  readonly closed: { readonly fault: Fault | undefined } | undefined;
  /** What has been delivered. */
  readonly requests: readonly ExchangeRequest[];
  readonly responses: readonly ExchangeResponse[];
  /** Messages to the client that are under way. */
  readonly waiting: number;
  /** The application has changed the replica. */
  notify(): void;
  leave(): void;
  /** The server drains. */
  goAway(retryAfterMs: number): void;
  /** Neither side hears of the other any more. */
  cut(): void;
  /** Nothing is delivered to the client while it is blocked. */
  block(blocked: boolean): void;
  /** Nothing is delivered to the server while it is deaf. */
  deafen(deaf: boolean): void;
}

/** Several live exchanges with one server, and a clock. */
export interface LiveNet {
  /** The server's store, which tells of its changes. */
  readonly store: Store;
  join(replica: ReplicaStore, options?: JoinOptions): LiveStream;
  /** Delivers until nothing is under way. */
  settle(random?: () => number): void;
  /** Delivers one message; false: nothing is under way. */
  step(random?: () => number): boolean;
  /** So many seconds pass, with a tick a second, and nothing is delivered. */
  pass(seconds: number): void;
  readonly nowUs: number;
}

export interface JoinOptions {
  readonly standard?: ChangeStandard;
  readonly limits?: Partial<Limits>;
  /** What arrives at the client in place of a message. */
  readonly tamper?: (response: ExchangeResponse) => ExchangeResponse;
}

/** Messages that the transport takes before it is full. */
const ROOM = 4;
const TIMEOUT_US = 60_000_000;
export const HEARTBEAT_S = 30;

/** The limits, in force at the server. `early`: exchanges hear of a commit before it is answered, and not some time after. */
export function createLiveNet(held: Store, serverLimits: Partial<Limits> = {}, early = false): LiveNet {
  const streams = new Set<Internal>();
  const store = createLiveStore(held, (_, revision) => {
    for (const stream of [...streams]) stream.advanced(revision);
  });
  let nowUs = 1_760_000_000_000_000;
  const tasks: (() => void)[] = [];

  interface Internal extends LiveStream {
    advanced(revision: number): void;
    tick(): void;
    deliverable(): ("up" | "down")[];
    deliver(way: "up" | "down"): void;
  }

  function join(replica: ReplicaStore, options: JoinOptions = {}): LiveStream {
    const config: ClientExchangeConfig = {
      standard: options.standard ?? ChangeStandard.CHANGE_STANDARD_UNSPECIFIED,
      create: true,
      recreate: false,
      client: "test",
      limits: options.limits ?? {},
      stepTimeoutUs: TIMEOUT_US,
      mode: "sync",
      live: true,
      onHistoryChange: "offer",
      resolves: false,
    };
    const client = createClientExchange(config);
    const server = createServerExchange({
      limits: { ...DEFAULT_LIMITS, ...serverLimits },
      skewUs: 60_000_000,
      stepTimeoutUs: TIMEOUT_US,
      heartbeatUs: HEARTBEAT_S * 1_000_000,
    });
    const up: (Uint8Array | "end")[] = [];
    const down: (Uint8Array | "end")[] = [];
    const requests: ExchangeRequest[] = [];
    const responses: ExchangeResponse[] = [];
    let closed: LiveStream["closed"];
    let serverFault: Fault | undefined;
    let blocked = false;
    let deaf = false;
    const toFault = (error: unknown): Fault => {
      throw error;
    };
    const yieldThen = (resume: () => void): void => void tasks.push(resume);
    const clientDriver = createDriver(client, {
      send(message) {
        up.push(ExchangeRequest.encode(message).finish());
        return up.length < ROOM;
      },
      store(operation) {
        if (operation.kind === "resolve") throw new Error("nobody resolves conflicts here");
        return runClientOperation(replica, operation);
      },
      close(fault) {
        closed = { fault };
        up.push("end");
        streams.delete(stream);
      },
      toFault,
      yieldThen,
    });
    const serverDriver = createDriver(server, {
      send(message) {
        down.push(ExchangeResponse.encode(message).finish());
        return down.length < ROOM;
      },
      store: operationsOn(store, () => nowUs),
      close(fault) {
        serverFault = fault;
        down.push("end");
      },
      toFault,
      yieldThen,
    });
    function cut(): void {
      clientDriver.stop();
      serverDriver.stop();
      streams.delete(stream);
      up.length = 0;
      down.length = 0;
    }
    const stream: Internal = {
      client,
      get closed() {
        return closed;
      },
      requests,
      responses,
      get waiting() {
        return down.length;
      },
      notify: () => clientDriver.notify(),
      leave() {
        client.leave();
        clientDriver.tick(nowUs);
      },
      goAway(retryAfterMs) {
        server.goAway(retryAfterMs);
        serverDriver.tick(nowUs);
      },
      cut,
      block(value) {
        blocked = value;
      },
      deafen(value) {
        deaf = value;
      },
      advanced: (revision) =>
        early ? serverDriver.notify(revision) : void tasks.push(() => serverDriver.notify(revision)),
      tick() {
        clientDriver.tick(nowUs);
        serverDriver.tick(nowUs);
      },
      deliverable: () => [
        ...(up.length > 0 && !deaf ? (["up"] as const) : []),
        ...(down.length > 0 && !blocked ? (["down"] as const) : []),
      ],
      deliver(way) {
        if (way === "up") {
          const bytes = up.shift() as Uint8Array | "end";
          clientDriver.resume();
          if (bytes === "end") return serverDriver.ended();
          const request = ExchangeRequest.decode(bytes);
          requests.push(request);
          return serverDriver.receive(request, nowUs);
        }
        const bytes = down.shift() as Uint8Array | "end";
        serverDriver.resume();
        if (bytes === "end") {
          closed ??= { fault: serverFault };
          return cut();
        }
        const response = (options.tamper ?? ((same) => same))(decodeExchangeResponse(asBuffer(bytes)));
        responses.push(response);
        clientDriver.receive(response, nowUs);
      },
    };
    streams.add(stream);
    clientDriver.resume();
    return stream;
  }

  function step(random: () => number = () => 0): boolean {
    const task = tasks.shift();
    if (task !== undefined) {
      task();
      return true;
    }
    const ways = [...streams].flatMap((stream) => stream.deliverable().map((way) => ({ stream, way })));
    const chosen = ways[Math.floor(random() * ways.length)];
    if (chosen === undefined) return false;
    nowUs += 10;
    chosen.stream.deliver(chosen.way);
    return true;
  }

  return {
    store,
    join,
    step,
    settle(random) {
      while (step(random));
    },
    pass(seconds) {
      for (let second = 0; second < seconds; second++) {
        nowUs += 1_000_000;
        for (const stream of [...streams]) stream.tick();
      }
    },
    get nowUs() {
      return nowUs;
    },
  };
}
