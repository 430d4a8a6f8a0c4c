import type {
  ApplyBatch,
  ApplyResult,
  LocalState,
  OutgoingBatch,
  OutgoingQuery,
  ReplicaState,
  ReplicaStore,
} from "../replica/store.js";

/** What the client's side of an exchange asks of its replica. One operation is one transaction. */
export type ClientOperation =
  | { readonly kind: "begin" }
  | { readonly kind: "outgoing"; readonly query: OutgoingQuery }
  | { readonly kind: "lookup"; readonly ids: readonly string[] }
  | { readonly kind: "apply"; readonly batch: ApplyBatch };

/** The answer to the operation of the same kind. */
export type ClientResult =
  | { readonly kind: "begin"; readonly state: ReplicaState }
  | { readonly kind: "outgoing"; readonly batch: OutgoingBatch }
  | { readonly kind: "lookup"; readonly states: readonly LocalState[] }
  | { readonly kind: "apply"; readonly result: ApplyResult };

/** Runs one operation on a replica. */
export function runOperation(replica: ReplicaStore, operation: ClientOperation): ClientResult {
  switch (operation.kind) {
    case "begin":
      return { kind: "begin", state: replica.state() };
    case "outgoing":
      return { kind: "outgoing", batch: replica.takeOutgoing(operation.query) };
    case "lookup":
      return { kind: "lookup", states: replica.lookup(operation.ids) };
    case "apply":
      return { kind: "apply", result: replica.apply(operation.batch) };
  }
}
