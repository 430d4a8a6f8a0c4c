import { asBuffer } from "../../core/content.js";
import { ErrorReason, type Fault } from "../../core/fault.js";
import { checkCollectionName } from "../../core/id.js";
import { decodeToken } from "../protocol/token.js";
import { collectionNotFound } from "../store/run-operation.js";
import type { CollectionState } from "../store/store.js";
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
  refuse(checkCollectionName(name));
  const state = await world.store.getCollection(name);
  const uid = decodeToken(token)?.uid;
  const other = uid !== undefined && (state === undefined || !asBuffer(uid).equals(state.uid));
  if (other && (await world.store.wasDeleted(uid))) throw new FaultError(collectionDeleted(name));
  return state ?? notFound(name);
}

/** What a store answered of a collection that was there a moment ago; throws COLLECTION_NOT_FOUND where it is gone. */
export function stillThere<T>(name: string, answer: T | undefined): T {
  return answer ?? notFound(name);
}

function notFound(name: string): never {
  throw new FaultError(collectionNotFound(name));
}

function collectionDeleted(name: string): Fault {
  const message = `the collection "${name}" that the token was made for was deleted`;
  return { reason: ErrorReason.ERROR_REASON_COLLECTION_DELETED, message, metadata: { collection: name } };
}
