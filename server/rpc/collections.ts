import type { UntypedServiceImplementation } from "@grpc/grpc-js";
import { asBuffer } from "../../core/content.js";
import { ErrorReason, type Fault, fieldFault } from "../../core/fault.js";
import { checkCollectionName } from "../../core/id.js";
import {
  type CreateCollectionRequest,
  type CreateCollectionResponse,
  type DeleteCollectionRequest,
  type DeleteCollectionResponse,
  type ListCollectionsRequest,
  type ListCollectionsResponse,
  CollectionServiceService as Methods,
} from "../../gen/tercet/v1/collection_service.js";
import { ChangeStandard, changeStandardToJSON } from "../../gen/tercet/v1/item.js";
import type { CollectionState } from "../store/collection-state.js";
import { collectionNotFound } from "../store/run-operation.js";
import { toCollection } from "./collection-messages.js";
import { compactCollection } from "./compact-collection.js";
import { getConflict, listConflicts, pruneConflicts, restoreConflict } from "./conflicts.js";
import { FaultError, refuse } from "./fault-error.js";
import { findCollection } from "./find-collection.js";
import { pageSize, pageTokens } from "./page-token.js";
import type { Requests } from "./requests.js";
import { createUnary, type UnaryHandler } from "./unary.js";
import type { RpcWorld } from "./world.js";

const LIST_USUAL = 100;
const LIST_MOST = 1000;

/** The handlers of CollectionService, over raw messages. */
export function createCollectionHandlers(world: RpcWorld, requests: Requests): UntypedServiceImplementation {
  const unary = createUnary(world);
  return {
    listCollections: unary("read", Methods.listCollections, listCollections(world)),
    getCollection: unary("read", Methods.getCollection, async ({ collection }) => ({
      collection: toCollection(await findCollection(world, collection)),
    })),
    createCollection: unary("write", Methods.createCollection, createCollection(world)),
    deleteCollection: unary("write", Methods.deleteCollection, deleteCollection(world)),
    listConflicts: unary("read", Methods.listConflicts, listConflicts(world)),
    getConflict: unary("read", Methods.getConflict, getConflict(world)),
    restoreConflict: unary("write", Methods.restoreConflict, restoreConflict({ ...world, requests })),
    pruneConflicts: unary("write", Methods.pruneConflicts, pruneConflicts(world)),
    compactCollection: unary("write", Methods.compactCollection, compactCollection(world)),
  } satisfies Record<keyof typeof Methods, unknown>;
}

function listCollections(world: RpcWorld): UnaryHandler<ListCollectionsRequest, ListCollectionsResponse> {
  return async (request) => {
    const limit = pageSize(request.pageSize, LIST_USUAL, LIST_MOST);
    const tokens = pageTokens("collections");
    const states = await world.store.listCollections(tokens.decode(request.pageToken), limit + 1);
    const page = states.slice(0, limit);
    const last = page.at(-1)?.name ?? "";
    return { collections: page.map(toCollection), nextPageToken: states.length > limit ? tokens.encode(last) : "" };
  };
}

function createCollection(world: RpcWorld): UnaryHandler<CreateCollectionRequest, CreateCollectionResponse> {
  return async ({ collection: name, standard }) => {
    refuse(checkCollectionName(name));
    if (standard < 0 || standard > ChangeStandard.CHANGE_STANDARD_MANUAL) {
      const description = `unknown change standard ${standard}`;
      refuse(fieldFault(ErrorReason.ERROR_REASON_UNKNOWN_STANDARD, "standard", description));
    }
    const { store, nowUs, newUid } = world;
    const { created, state } = await store.createCollection({ name, uid: newUid(), standard, nowUs: nowUs() });
    if (!created && state.standard !== standard) throw new FaultError(collectionExists(name, state.standard));
    return { collection: toCollection(state) };
  };
}

function collectionExists(name: string, standard: ChangeStandard): Fault {
  const bound = changeStandardToJSON(standard).replace("CHANGE_STANDARD_", "");
  const binds = bound === "UNSPECIFIED" ? "binds no change standard" : `binds the change standard ${bound}`;
  return {
    reason: ErrorReason.ERROR_REASON_COLLECTION_EXISTS,
    message: `the collection "${name}" exists and ${binds}`,
    metadata: { collection: name, standard: bound },
  };
}

/** There is a collection of that name, but it is not the one that was meant. */
function otherUid({ name, uid }: CollectionState, meant: Uint8Array): Fault {
  const [is, other] = [uid, meant].map((bytes) => asBuffer(bytes).toString("hex"));
  return {
    reason: ErrorReason.ERROR_REASON_COLLECTION_NOT_FOUND,
    message: `the collection "${name}" has the uid ${is}, not ${other}: there is none of that uid`,
    metadata: { collection: name, uid: String(is) },
  };
}

function deleteCollection(world: RpcWorld): UnaryHandler<DeleteCollectionRequest, DeleteCollectionResponse> {
  return async ({ collection: name, uid }) => {
    if (uid.length !== 0 && uid.length !== 16) {
      refuse(fieldFault(ErrorReason.ERROR_REASON_INVALID_FIELD, "uid", "must be empty or 16 bytes"));
    }
    const state = await findCollection(world, name);
    if (uid.length !== 0 && !asBuffer(uid).equals(state.uid)) throw new FaultError(otherUid(state, uid));
    if (!(await world.store.deleteCollection(state.uid))) throw new FaultError(collectionNotFound(name));
    return {};
  };
}
