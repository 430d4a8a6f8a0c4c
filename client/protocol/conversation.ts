import type { Fault } from "../../core/fault.js";
import { DEFAULT_LIMITS, negotiateLimits } from "../../core/limits.js";
import type { RangeTotal } from "../../core/range-sum.js";
import type { ChangeStandard } from "../../gen/tercet/v1/item.js";
import type { Capability, Limits, Opened } from "../../gen/tercet/v1/sync.js";
import type { ClientExchangeConfig } from "./exchange-config.js";
import { NO_WISHES } from "./opening.js";
import type { ClientOperation, ClientResult } from "./operation.js";
import { createReportBuilder, type ReportBuilder } from "./report.js";
import { createRoundTrips, type RoundTrips } from "./round-trips.js";
import type { ClientMessage, Stream } from "./stream.js";

/** What the units of the client's side share: the stream, the replica, and how far the exchange has come. */
export interface Conversation {
  readonly config: ClientExchangeConfig;
  /** A dry run or a verification: nothing is stored or sent. */
  readonly dryRun: boolean;
  /** What the client would like of the limits; 0 is no wish. */
  readonly wishes: Limits;
  readonly report: ReportBuilder;
  readonly trips: RoundTrips;
  nowUs: number;
  /** The server's first message, with what it left out, and when it came. */
  opened: Opened | undefined;
  openedUs: number;
  /** What a page stands for whose token is empty. */
  openToken: Buffer;
  limits: Limits;
  /** The standard in force. */
  standard: ChangeStandard;
  /** The last checkpoint that was taken. */
  token: Uint8Array;
  revision: number;
  /** Count and sum over bases. */
  total: RangeTotal;
  /** All changes up to this revision were compared: what pushes have seen. */
  seen: number;
  /** The feed has been read to its end mark, or both sides were compared range by range. */
  compared: boolean;
  /** Both sides are being compared range by range. */
  recovering: boolean;
  /** The last proof was equal. */
  verified: boolean;
  /** It was caught up with, and stays open. */
  live: boolean;
  /** It ends in peace, as soon as what was sent has its verdicts. */
  leaving: boolean;
  /** Another exchange is to be begun after so many milliseconds. */
  goingAway: { readonly retryAfterMs: number } | undefined;
  /** Live: the application has changed something since it was last looked at. */
  notified: boolean;
  /** Asks for an operation on the replica; there is none under way. */
  ask(operation: ClientOperation, then: (result: ClientResult) => void): void;
  /** Sends a message, which belongs to this round trip; 0: to none. */
  send(message: ClientMessage, trip: number): void;
  /** Ends the exchange; the first one counts. */
  close(fault?: Fault): void;
}

/** A conversation that has not begun. */
export function createConversation(config: ClientExchangeConfig, stream: Stream): Conversation {
  const trips = createRoundTrips();
  const wishes: Limits = { ...NO_WISHES, ...config.limits };
  return {
    config,
    dryRun: config.mode !== "sync",
    wishes,
    report: createReportBuilder(),
    trips,
    nowUs: 0,
    opened: undefined,
    openedUs: 0,
    openToken: Buffer.alloc(0),
    limits: negotiateLimits(DEFAULT_LIMITS, wishes),
    standard: config.standard,
    token: Buffer.alloc(0),
    revision: 0,
    total: { count: 0, sum: Buffer.alloc(32) },
    seen: 0,
    compared: false,
    recovering: false,
    verified: false,
    live: false,
    leaving: false,
    goingAway: undefined,
    notified: false,
    ask: stream.ask,
    send(message, trip) {
      if (stream.send(message)) trips.sent(trip);
    },
    close: stream.close,
  };
}

/** The latest modify time that counts: the server's clock, and the skew that it allows. */
export function ceilingUs({ opened, openedUs, nowUs }: Conversation): number {
  if (opened === undefined) return Number.MAX_SAFE_INTEGER;
  return opened.serverTimeUs + (nowUs - openedUs) + opened.skewUs;
}

/** Whether the server has said that it can do this. */
export function serverCan({ opened }: Conversation, capability: Capability): boolean {
  return opened?.capabilities.includes(capability) === true;
}

/** The exchange ends in peace, and another one is to be begun after so many milliseconds. */
export function goAway(conversation: Conversation, retryAfterMs: number): void {
  conversation.goingAway ??= { retryAfterMs };
  conversation.leaving = true;
}
