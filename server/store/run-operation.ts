import { asBuffer } from "../../core/content.js";
import { ErrorReason, type Fault } from "../../core/fault.js";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import type { Open } from "../../gen/tercet/v1/sync.js";
import type { ServerOperation, ServerResult } from "../protocol/operation.js";
import type { CollectionState } from "./collection-state.js";
import type { Awaitable, Store } from "./store.js";
import type { BatchWritten, WriteBatch } from "./write-batch.js";

/** What operations are run with. */
export interface OperationWorld {
  readonly store: Store;
  /** Commits a batch, possibly together with those of others; undefined: its collection is not there any more. */
  write(batch: WriteBatch): Awaitable<BatchWritten | undefined>;
  /** 16 random bytes. */
  newUid(): Uint8Array;
  /** Microseconds since 1970. */
  nowUs(): number;
}

/** Runs one operation of an exchange. Without a promise where the store is synchronous. */
export function runOperation(world: OperationWorld, operation: ServerOperation): Awaitable<ServerResult> {
  switch (operation.kind) {
    case "open":
      return after(openCollection(world, operation.open), (found) => ({ kind: "open", found }));
    case "state":
      return after(world.store.getCollection(operation.name), (state) => {
        return {
          kind: "state",
          state: state !== undefined && asBuffer(state.uid).equals(operation.uid) ? state : undefined,
        };
      });
    case "read-ranges":
      return after(world.store.readRanges(operation.query), (read) => ({ kind: "read-ranges", read }));
    case "read-changes":
      return after(world.store.readChanges(operation.query), (read) => ({ kind: "read-changes", read }));
    case "read-items":
      return after(world.store.readItems(operation.query), (read) => ({ kind: "read-items", read }));
    case "read-part":
      return after(world.store.readPart(operation.query), (read) => ({ kind: "read-part", read }));
    case "upload":
      return after(world.store.upload(operation.piece), (read) => ({ kind: "upload", read }));
    case "read-upload": {
      const { uid, uploadId, offset, length } = operation;
      const data = world.store.readUpload(uid, uploadId, offset, length);
      return after(data, (part) => ({ kind: "read-upload", data: part }));
    }
    case "drop-upload":
      return after(world.store.dropUpload(operation.uid, operation.uploadId), () => ({ kind: "drop-upload" }));
    case "write":
      return after(all(operation.batches.map(world.write)), (written) => ({ kind: "write", written }));
  }
}

/** Applies a function to a value now, or to what a promise will give. */
export function after<T, R>(value: Awaitable<T>, then: (value: T) => Awaitable<R>): Awaitable<R> {
  return value instanceof Promise ? value.then(then) : then(value);
}

/** Values now where none is a promise, else a promise of them. */
function all<T>(values: readonly Awaitable<T>[]): Awaitable<readonly T[]> {
  const isNow = (value: Awaitable<T>): value is T => !(value instanceof Promise);
  return values.every(isNow) ? values : Promise.all(values);
}

/** The collection that an exchange is about, or why it can't be had. */
function openCollection(world: OperationWorld, open: Open): Awaitable<CollectionState | Fault> {
  const { collection: name, collectionUid: uid } = open;
  return after(world.store.getCollection(name), (state): Awaitable<CollectionState | Fault> => {
    const other = uid.length > 0 && (state === undefined || !asBuffer(state.uid).equals(uid));
    // Told to, a replica whose collection is gone goes on with the one that has its name.
    if (other && !open.recreate) {
      return after(world.store.wasDeleted(uid), (deleted) => otherCollection(name, deleted, state !== undefined));
    }
    if (state !== undefined) return state;
    // A replica that has a token has met the collection: what was there is gone, and is not made anew unasked.
    if (!open.recreate && (!open.create || open.token.length > 0)) return collectionNotFound(name);
    const creation = { name, uid: world.newUid(), standard: ChangeStandard.CHANGE_STANDARD_UNSPECIFIED };
    return after(world.store.createCollection({ ...creation, nowUs: world.nowUs() }), (created) => created.state);
  });
}

/** There is no collection of that name. */
export function collectionNotFound(name: string): Fault {
  return {
    reason: ErrorReason.ERROR_REASON_COLLECTION_NOT_FOUND,
    message: `there is no collection "${name}"`,
    metadata: { collection: name },
  };
}

function otherCollection(name: string, deleted: boolean, exists: boolean): Fault {
  const metadata = { collection: name };
  if (deleted) {
    const message = `the collection "${name}" that this replica belongs to was deleted`;
    return { reason: ErrorReason.ERROR_REASON_COLLECTION_DELETED, message, metadata };
  }
  if (!exists) return collectionNotFound(name);
  const message = `the collection "${name}" of this server is not the one that this replica belongs to`;
  return { reason: ErrorReason.ERROR_REASON_TOKEN_FOREIGN, message, metadata };
}
