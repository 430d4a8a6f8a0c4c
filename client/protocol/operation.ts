import type { Content } from "../../core/content.js";
import { WHOLE_BYTES } from "../../core/limits.js";
import type { IdInterval, RangeEntry } from "../../core/range.js";
import type { ApplyBatch, ApplyResult } from "../replica/apply-batch.js";
import type { ContentOf, Download, Staged, StagedBegin } from "../replica/kept-content.js";
import type { HeldItem } from "../replica/local-conflicts.js";
import type { LocalWrite, PendingChange } from "../replica/local-items.js";
import type { LocalState } from "../replica/local-state.js";
import type { OutgoingBatch, OutgoingQuery } from "../replica/outgoing-batch.js";
import type { ReplicaState } from "../replica/replica-state.js";
import type { ReplicaStore } from "../replica/store.js";
import { type AskedRange, type FinerRange, refineRanges, type TheirPart, withEntries } from "./refine-ranges.js";

/** What the client's side of an exchange asks of its replica. One operation is one transaction. */
export type ClientOperation =
  | { readonly kind: "begin" }
  /** How the replica stands by now. */
  | { readonly kind: "state" }
  | { readonly kind: "outgoing"; readonly query: OutgoingQuery }
  | { readonly kind: "lookup"; readonly ids: readonly string[] }
  | { readonly kind: "apply"; readonly batch: ApplyBatch }
  /** At most `length` bytes of a content, from `offset`. */
  | { readonly kind: "read-content"; readonly of: ContentOf; readonly offset: number; readonly length: number }
  /** Stores a piece of a content that is downloaded. */
  | { readonly kind: "stage"; readonly to: number | StagedBegin; readonly piece: Uint8Array }
  /** What was downloaded of these items and not taken. */
  | { readonly kind: "downloads"; readonly ids: readonly string[] }
  /** Forgets all that was downloaded and not taken. */
  | { readonly kind: "forget-downloads" }
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
  /** What the server is told of these ranges. */
  | { readonly kind: "entries"; readonly ranges: readonly FinerRange[] }
  /** The first bases in a range, at most `limit`. */
  | { readonly kind: "bases"; readonly interval: IdInterval; readonly limit: number }
  /** The application's own judgement of a conflict: it may take its time. */
  | { readonly kind: "resolve"; readonly conflict: ConflictToResolve };

/** The answer to the operation of the same kind. */
export type ClientResult =
  /** `downloads`: a fetch was cut before, and goes on. */
  | { readonly kind: "begin"; readonly state: ReplicaState; readonly downloads: boolean }
  | { readonly kind: "state"; readonly state: ReplicaState }
  | { readonly kind: "outgoing"; readonly batch: OutgoingBatch }
  | { readonly kind: "lookup"; readonly states: readonly LocalState[] }
  | { readonly kind: "apply"; readonly result: ApplyResult }
  | { readonly kind: "read-content"; readonly data: Uint8Array | undefined }
  | { readonly kind: "stage"; readonly staged: Staged }
  | { readonly kind: "downloads"; readonly downloads: readonly Download[] }
  | { readonly kind: "forget-downloads" }
  | { readonly kind: "base-contents"; readonly bases: readonly BaseContent[] }
  | { readonly kind: "held"; readonly items: readonly HeldItem[] }
  | { readonly kind: "pending"; readonly changes: readonly PendingChange[] }
  | { readonly kind: "creations"; readonly states: readonly LocalState[] }
  | { readonly kind: "refine"; readonly ranges: readonly FinerRange[] }
  | { readonly kind: "entries"; readonly ranges: readonly AskedRange[] }
  | { readonly kind: "bases"; readonly entries: readonly RangeEntry[] }
  | { readonly kind: "resolve"; readonly resolution: Resolution };

/** Content of a base: undefined where it is not known, `large` where it is too large to be handed on. */
export type BaseContent = Content | "large" | undefined;

/** A conflict that the application is asked to judge. */
export interface ConflictToResolve {
  readonly id: string;
  /** Undefined where it is a deletion, or larger than WHOLE_BYTES: then it is fetched only if it is to be stored. */
  readonly theirs: Content | undefined;
  /** Its bytes, 0 where they are not known; undefined: a deletion. */
  readonly theirsSize: number | undefined;
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
      replica.begin();
      return { kind: "begin", state: replica.state(), downloads: replica.listDownloads(undefined).length > 0 };
    case "state":
      return { kind: "state", state: replica.state() };
    case "outgoing":
      return { kind: "outgoing", batch: replica.takeOutgoing(operation.query) };
    case "lookup":
      return { kind: "lookup", states: replica.lookup(operation.ids) };
    case "apply":
      return { kind: "apply", result: replica.apply(operation.batch) };
    case "base-contents":
      return { kind: "base-contents", bases: operation.ids.map((id) => baseContent(replica, id)) };
    case "read-content":
      return { kind: "read-content", data: replica.readContent(operation.of, operation.offset, operation.length) };
    case "stage":
      return { kind: "stage", staged: replica.stage(operation.to, operation.piece) };
    case "downloads":
      return { kind: "downloads", downloads: replica.listDownloads(operation.ids) };
    case "forget-downloads":
      replica.unstage("downloads");
      return { kind: "forget-downloads" };
    case "held":
      return { kind: "held", items: replica.listHeld(operation.after, PAGE) };
    case "pending":
      return { kind: "pending", changes: replica.listPending(operation.after, PAGE) };
    case "creations":
      return { kind: "creations", states: replica.listUnsettledCreations(operation.after, PAGE) };
    case "refine":
      return { kind: "refine", ranges: refineRanges(replica, operation.parts) };
    case "entries":
      return { kind: "entries", ranges: withEntries(replica, operation.ranges) };
    case "bases":
      return { kind: "bases", entries: replica.listBases(operation.interval, operation.limit) };
  }
}

function baseContent(replica: ReplicaStore, id: string): BaseContent {
  const base = replica.getBase(id);
  if (base === undefined) return undefined;
  return base.size > WHOLE_BYTES ? "large" : base.content;
}
