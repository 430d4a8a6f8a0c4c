import type { ReplicaStore } from "../../client/replica/store.js";
import type { ExchangeRequest, ExchangeResponse } from "../../gen/tercet/v1/sync.js";
import type { Store } from "../../server/store/store.js";
import type { Random } from "./random.js";

/** A protection that is taken out of the product, by something put before its stores or its messages. */
export interface Sabotage {
  readonly name: string;
  /** What is taken out, and what of its backup with it. */
  readonly removes: string;
  store?(store: Store): Store;
  /** `crash` ends the process at this very point. */
  replica?(store: ReplicaStore, random: Random, crash: () => never): ReplicaStore;
  request?(message: ExchangeRequest): ExchangeRequest;
  response?(message: ExchangeResponse): ExchangeResponse;
  /** Nobody who is live hears that something has changed: at the server, or at the client. */
  readonly deaf?: "server" | "client";
  /** Every start of the server has the same epoch. */
  readonly sameEpoch?: boolean;
}
