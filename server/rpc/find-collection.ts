import { asBuffer } from "../../core/content.js";
import { ErrorReason, type Fault, fieldFault } from "../../core/fault.js";
import { checkCollectionName } from "../../core/id.js";
import { decodeToken } from "../protocol/token.js";
import type { CollectionState } from "../store/collection-state.js";
import { collectionNotFound } from "../store/run-operation.js";
import { FaultError, refuse } from "./fault-error.js";
import type { RpcWorld } from "./world.js";

/** The collection of that name; throws INVALID_COLLECTION_NAME or COLLECTION_NOT_FOUND. */
export async function findCollection(world: Pick<RpcWorld, "store">, name: string): Promise<CollectionState> {
  refuse(checkCollectionName(name));
  const state = await world.store.getCollection(name);
  return state ?? notFound(name);
}

/** The same for a call with a checkpoint's token, which may speak of a collection that was deleted. */
export async function findCollectionOfToken(
  world: Pick<RpcWorld, "store">,
  name: string,
  token: Uint8Array,
): Promise<CollectionState> {
  const { state } = await findKnown(world, name, decodeToken(token)?.uid);
  return state ?? notFound(name);
}

/** The same for a call that may say which collection it means by its uid; throws TOKEN_FOREIGN for another one. */
export async function findCollectionOfUid(
  world: Pick<RpcWorld, "store">,
  name: string,
  uid: Uint8Array,
): Promise<CollectionState> {
  if (uid.length !== 0 && uid.length !== 16) {
    refuse(fieldFault(ErrorReason.ERROR_REASON_INVALID_FIELD, "collection_uid", "must be empty or 16 bytes"));
  }
  const { state, isOther } = await findKnown(world, name, uid.length === 0 ? undefined : uid);
  if (state !== undefined && isOther) throw new FaultError(otherCollection(name));
  return state ?? notFound(name);
}

/** The collection of a name, and whether it is another than the one known; throws COLLECTION_DELETED where that was. */
async function findKnown(
  world: Pick<RpcWorld, "store">,
  name: string,
  uid: Uint8Array | undefined,
): Promise<{ readonly state: CollectionState | undefined; readonly isOther: boolean }> {
  refuse(checkCollectionName(name));
  const state = await world.store.getCollection(name);
  const isOther = uid !== undefined && (state === undefined || !asBuffer(uid).equals(state.uid));
  if (isOther && (await world.store.wasDeleted(uid))) throw new FaultError(collectionDeleted(name));
  return { state, isOther };
}

/** What a store answered of a collection that was there a moment ago; throws COLLECTION_NOT_FOUND where it is gone. */
export function stillThere<T>(name: string, answer: T | undefined): T {
  return answer ?? notFound(name);
}

function notFound(name: string): never {
  throw new FaultError(collectionNotFound(name));
}

function collectionDeleted(name: string): Fault {
  const message = `the collection "${name}" that the caller knows was deleted`;
  return { reason: ErrorReason.ERROR_REASON_COLLECTION_DELETED, message, metadata: { collection: name } };
}

function otherCollection(name: string): Fault {
  const message = `the collection "${name}" of this server is not the one that the caller knows`;
  return { reason: ErrorReason.ERROR_REASON_TOKEN_FOREIGN, message, metadata: { collection: name } };
}
