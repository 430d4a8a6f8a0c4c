import type { Logger } from "pino";
import type { Limits } from "../../gen/tercet/v1/sync.js";
import type { OperationWorld } from "../store/run-operation.js";
import type { Feeds } from "./feeds.js";
import type { Gate } from "./gate.js";

/** What every call of a server works with. */
export interface RpcWorld extends OperationWorld {
  readonly limits: Limits;
  /** How far ahead of this server's clock a modify time may be, in microseconds. */
  readonly skewUs: number;
  /** How long a client may leave an exchange waiting, in microseconds. */
  readonly stepTimeoutUs: number;
  /** Live: how long the server leaves a client without a word, in microseconds. */
  readonly heartbeatUs: number;
  readonly gate: Gate;
  /** Who waits for changes. */
  readonly feeds: Feeds;
  readonly log: Logger;
}
