import type { Content } from "../../core/content.js";
import type { IdInterval, RangeEntry } from "../../core/range-index.js";
import type {
  ApplyBatch,
  ApplyResult,
  HeldItem,
  LocalState,
  LocalWrite,
  OutgoingBatch,
  OutgoingQuery,
  PendingChange,
  ReplicaState,
  ReplicaStore,
} from "../replica/store.js";
import { type AskedRange, refineRanges, type TheirPart } from "./refine-ranges.js";

/** What the client's side of an exchange asks of its replica. One operation is one transaction. */
export type ClientOperation =
  | { readonly kind: "begin" }
  | { readonly kind: "outgoing"; readonly query: OutgoingQuery }
  | { readonly kind: "lookup"; readonly ids: readonly string[] }
  | { readonly kind: "apply"; readonly batch: ApplyBatch }
  /** Contents of the bases of pending changes, where known. */
  | { readonly kind: "base-contents"; readonly ids: readonly string[] }
  /** Items held in conflict, by id after `after`. */
  | { readonly kind: "held"; readonly after: string }
  /** Pending changes, by sequence number after `after`. */
  | { readonly kind: "pending"; readonly after: number }
  /** Creations that were sent and have no verdict, by sequence number after `after`. */
  | { readonly kind: "creations"; readonly after: number }
  /** What to ask of the server next, where it differs in these parts; undefined: of everything. */
  | { readonly kind: "refine"; readonly parts: readonly TheirPart[] | undefined }
  /** The first bases in a range, at most `limit`. */
  | { readonly kind: "bases"; readonly interval: IdInterval; readonly limit: number }
  /** The application's own judgement of a conflict: it may take its time. */
  | { readonly kind: "resolve"; readonly conflict: ConflictToResolve };

/** The answer to the operation of the same kind. */
export type ClientResult =
  | { readonly kind: "begin"; readonly state: ReplicaState }
  | { readonly kind: "outgoing"; readonly batch: OutgoingBatch }
  | { readonly kind: "lookup"; readonly states: readonly LocalState[] }
  | { readonly kind: "apply"; readonly result: ApplyResult }
  | { readonly kind: "base-contents"; readonly contents: readonly (Content | undefined)[] }
  | { readonly kind: "held"; readonly items: readonly HeldItem[] }
  | { readonly kind: "pending"; readonly changes: readonly PendingChange[] }
  | { readonly kind: "creations"; readonly states: readonly LocalState[] }
  | { readonly kind: "refine"; readonly ranges: readonly AskedRange[] }
  | { readonly kind: "bases"; readonly entries: readonly RangeEntry[] }
  | { readonly kind: "resolve"; readonly resolution: Resolution };

/** A conflict that the application is asked to judge. Undefined contents: deleted, or (base) not there, or not known. */
export interface ConflictToResolve {
  readonly id: string;
  readonly theirs: Content | undefined;
  readonly mineTimeUs: number;
  readonly theirsTimeUs: number;
}

/** How the application ends a conflict. */
export type Resolution =
  | { readonly kind: "mine" }
  | { readonly kind: "theirs" }
  /** Held until somebody resolves it. */
  | { readonly kind: "held" }
  /** A version of its own, that prevails over both; undefined deletes the item. */
  | { readonly kind: "merged"; readonly upsert: LocalWrite["upsert"] };

/** Operations on a replica: all but `resolve`, which is the application's. */
export type ReplicaOperation = Exclude<ClientOperation, { kind: "resolve" }>;

const PAGE = 512;

/** Runs one operation on a replica. */
export function runOperation(replica: ReplicaStore, operation: ReplicaOperation): ClientResult {
  switch (operation.kind) {
    case "begin":
      return { kind: "begin", state: replica.state() };
    case "outgoing":
      return { kind: "outgoing", batch: replica.takeOutgoing(operation.query) };
    case "lookup":
      return { kind: "lookup", states: replica.lookup(operation.ids) };
    case "apply":
      return { kind: "apply", result: replica.apply(operation.batch) };
    case "base-contents":
      return { kind: "base-contents", contents: operation.ids.map((id) => replica.getBaseContent(id)) };
    case "held":
      return { kind: "held", items: replica.listHeld(operation.after, PAGE) };
    case "pending":
      return { kind: "pending", changes: replica.listPending(operation.after, PAGE) };
    case "creations":
      return { kind: "creations", states: replica.listUnsettledCreations(operation.after, PAGE) };
    case "refine":
      return { kind: "refine", ranges: refineRanges(replica, operation.parts) };
    case "bases":
      return { kind: "bases", entries: replica.listBases(operation.interval, operation.limit) };
  }
}
