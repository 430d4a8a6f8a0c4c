import type { ReplicaFile, ReplicaHost } from "./hosts.js";
import type { ReplicaModel } from "./model-replica.js";
import type { Session } from "./session.js";

/** A replica, its model, and the exchange that it is in. */
export interface Slot {
  readonly name: string;
  host: ReplicaHost;
  model: ReplicaModel;
  /** How far its clock is off. */
  readonly skewUs: number;
  session: Session | undefined;
  /** States that a loss of power may go back to: before each transaction that need not be on the disk yet. */
  undurable: { readonly file: ReplicaFile; readonly model: ReplicaModel }[];
}
