import type { handleBidiStreamingCall, ServerDuplexStream } from "@grpc/grpc-js";
import { createDriver, type DriverWorld } from "../../core/drive.js";
import { type Fault, reasonName } from "../../core/fault.js";
import type { ExchangeRequest, ExchangeResponse, Open } from "../../gen/tercet/v1/sync.js";
import { createServerExchange } from "../protocol/exchange.js";
import type { ServerOperation, ServerResult } from "../protocol/operation.js";
import { runOperation } from "../store/run-operation.js";
import { encodeResponse } from "./encode-response.js";
import { faultOf } from "./error-fault.js";
import { resetStream } from "./reset-stream.js";
import { toStatus } from "./status.js";
import { decodeExchangeRequest } from "./strict-decode.js";
import type { Ticker } from "./ticker.js";
import { createTurnBudget, type TurnBudget } from "./turn-budget.js";
import type { RpcWorld } from "./world.js";
import { createBoundedWriter } from "./write-bounded.js";

/** Messages of fewer bytes are decoded as they come, whatever the time: it would cost as much to take it. */
const COUNTED_BYTES = 16 * 1024;

/** Characters of a name that go into the log. */
const MAX_LOGGED = 128;

/** What became of an exchange, for the log. */
export interface ExchangeSummary {
  readonly collection: string;
  /** Who called, as it said itself. */
  readonly client: string;
  readonly received: { readonly messages: number; readonly bytes: number };
  readonly sent: { readonly messages: number; readonly bytes: number };
  readonly durationMs: number;
  /** Whether ranges were compared, as the checkpoint was lost or could not be served, or the proof failed. */
  readonly recovery: boolean;
  readonly live: boolean;
  /** "OK", the reason of the fault that ended it, or "CANCELLED" where the client or the network did. */
  readonly outcome: string;
}

type Call = ServerDuplexStream<Buffer, Buffer>;

/** What all exchanges have in common. */
interface Shared
  extends Required<
    Pick<DriverWorld<ExchangeResponse, ServerOperation, ServerResult>, "store" | "toFault" | "yieldThen" | "clock">
  > {
  readonly ticker: Ticker;
  readonly budget: TurnBudget;
}

/**
 * The handler of SyncService.Exchange: runs the server's side of an exchange on a stream.
 *
 * It reads whatever comes, some milliseconds of it in a turn (the machine bounds what it keeps), and writes only while the
 * stream has room.
 * A status goes out by 'error' (`destroy` would swallow it, grpc-node#1839), behind what was written before.
 */
export function createExchangeHandler(
  world: RpcWorld,
  ticker: Ticker,
  budget: TurnBudget = createTurnBudget(),
): handleBidiStreamingCall<Buffer, Buffer> {
  const shared: Shared = {
    ticker,
    budget,
    store: (operation) => runOperation(world, operation),
    toFault: (error) => faultOf(error, world.log),
    yieldThen: (resume) => void setImmediate(resume),
    clock: () => performance.now(),
  };
  return (call) => {
    const refusal = world.gate.refusal();
    if (refusal === undefined) runExchange(world, shared, call);
    else call.emit("error", toStatus(refusal));
  };
}

function runExchange(world: RpcWorld, shared: Shared, call: Call): void {
  const endCall = world.gate.begin({ ask, end: close });
  let deafToFeed: (() => void) | undefined;
  const record = createRecord(world.nowUs());
  let closedUs = 0;

  /** Nothing more is done; the status follows what was written. */
  function close(fault: Fault | undefined): void {
    if (record.outcome !== undefined) return;
    record.outcome = fault === undefined ? "OK" : reasonName(fault.reason);
    closedUs = world.nowUs();
    driver.stop();
    if (fault === undefined) call.end();
    else call.emit("error", toStatus(fault));
  }

  /** The server drains: a live client, which would stay, is asked to leave. */
  function ask(retryAfterMs: number): void {
    machine.goAway(retryAfterMs);
    tick();
  }

  const machine = createServerExchange(world);
  /** What came in one turn is worked on together, so that what follows "open" at once is mostly answered with it. */
  let gathering: NodeJS.Immediate | undefined;
  const driver = createDriver<ExchangeRequest, ExchangeResponse, ServerOperation, ServerResult>(machine, {
    send,
    close,
    holds: () => gathering !== undefined,
    store: shared.store,
    toFault: shared.toFault,
    yieldThen: shared.yieldThen,
    clock: shared.clock,
  });

  function send(message: ExchangeResponse): boolean {
    const bytes = encodeResponse(message);
    record.sent.messages += 1;
    record.sent.bytes += bytes.length;
    if (message.message?.$case === "ranges") record.recovery = true;
    if (message.message?.$case === "opened" && record.open?.live === true) follow(machine.uid());
    return writer.write(bytes);
  }

  const writer = createBoundedWriter(call, () => driver.resume());

  /** From now on the exchange hears of what others write. */
  function follow(uid: Uint8Array): void {
    deafToFeed ??= world.feeds.listen(uid, (revision) => driver.notify(revision));
    const { collection, client } = record.open ?? {};
    world.log.info({ collection, client: client?.slice(0, MAX_LOGGED) }, "live exchange begun");
  }

  function receive(bytes: Buffer): void {
    if (record.outcome !== undefined) return;
    record.received.messages += 1;
    record.received.bytes += bytes.length;
    try {
      const request = decodeExchangeRequest(bytes);
      if (request.message?.$case === "open") record.open = factsOf(request.message.value);
      // What comes live comes alone, or waits for the commit of what came before it.
      if (deafToFeed === undefined) gathering ??= setImmediate(gathered);
      driver.receive(request, world.nowUs());
    } catch (error) {
      close(faultOf(error, world.log));
    }
  }

  function gathered(): void {
    gathering = undefined;
    // Not `resume`, which says that there is room to send.
    tick();
  }

  function tick(): void {
    const nowUs = world.nowUs();
    if (record.outcome === undefined) driver.tick(nowUs);
    else if (nowUs - closedUs > world.stepTimeoutUs) resetStream(call);
  }

  function rest(): () => void {
    call.pause();
    return () => void call.resume();
  }

  const deaf = shared.ticker.listen(tick);
  const received = (bytes: Buffer): void => {
    if (bytes.length < COUNTED_BYTES) receive(bytes);
    else shared.budget.spend(() => receive(bytes), rest);
  };
  const ended = (): void => driver.ended();
  call.on("data", received);
  call.on("end", ended);
  call.once("close", () => {
    // Node's HTTP/2 keeps a stream that has ended, until the next full garbage collection, and what its listeners hold.
    call.off("data", received);
    call.off("end", ended);
    driver.stop();
    deaf();
    deafToFeed?.();
    endCall();
    if (world.log.isLevelEnabled("info")) world.log.info(summaryOf(record, world.nowUs()), "exchange");
  });
}

/** Without what else came with it, which would stay in memory as long as the stream. */
function factsOf({ collection, client, live }: Open): NonNullable<ExchangeRecord["open"]> {
  return { collection, client, live };
}

/** What is counted while an exchange runs. */
interface ExchangeRecord {
  readonly beginUs: number;
  open: { readonly collection: string; readonly client: string; readonly live: boolean } | undefined;
  readonly received: { messages: number; bytes: number };
  readonly sent: { messages: number; bytes: number };
  recovery: boolean;
  outcome: string | undefined;
}

function createRecord(beginUs: number): ExchangeRecord {
  const none = { messages: 0, bytes: 0 };
  const counts = { received: { ...none }, sent: { ...none } };
  return { beginUs, open: undefined, ...counts, recovery: false, outcome: undefined };
}

function summaryOf(record: ExchangeRecord, nowUs: number): ExchangeSummary {
  return {
    collection: record.open?.collection.slice(0, MAX_LOGGED) ?? "",
    client: record.open?.client.slice(0, MAX_LOGGED) ?? "",
    received: record.received,
    sent: record.sent,
    durationMs: Math.round((nowUs - record.beginUs) / 1000),
    recovery: record.recovery,
    live: record.open?.live ?? false,
    outcome: record.outcome ?? "CANCELLED",
  };
}
