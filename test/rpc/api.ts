import type { Client, MethodDefinition, ServiceError } from "@grpc/grpc-js";
import {
  CompactCollectionRequest,
  CreateCollectionRequest,
  DeleteCollectionRequest,
  GetCollectionRequest,
  GetConflictRequest,
  ListCollectionsRequest,
  ListConflictsRequest,
  CollectionServiceService as OfCollections,
  PruneConflictsRequest,
  RestoreConflictRequest,
} from "../../gen/tercet/v1/collection_service.js";
import {
  BatchGetItemsRequest,
  BatchWriteItemsRequest,
  CompareRangesRequest,
  DeleteItemRequest,
  GetItemRequest,
  ListChangesRequest,
  ListItemsRequest,
  ItemServiceService as OfItems,
  WriteItemRequest,
} from "../../gen/tercet/v1/item_service.js";

type Method<Request, Response> = Pick<
  MethodDefinition<Request, Response>,
  "path" | "requestSerialize" | "responseDeserialize"
>;

/** A generated message type. */
interface MessageType<Message, Partial> {
  create(base?: Partial): Message;
}

/** A unary call. */
export function call<Request, Response>(
  client: Client,
  method: Method<Request, Response>,
  request: Request,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    const done = (error: ServiceError | null, response: Response | undefined): void => {
      if (error === null) resolve(response as Response);
      else reject(error);
    };
    client.makeUnaryRequest(method.path, method.requestSerialize, method.responseDeserialize, request, done);
  });
}

/** The same with a request in bytes, whatever they say. */
export function callRaw<Response>(
  client: Client,
  method: Method<never, Response>,
  request: Uint8Array,
): Promise<Response> {
  const raw = { ...method, requestSerialize: (bytes: Uint8Array) => Buffer.from(bytes) };
  return call(client, raw, request);
}

/** All unary calls, with requests of which only the fields that matter need to be given. */
export type Api = ReturnType<typeof createApi>;

/** The unary calls over a connection. */
export function createApi(client: Client) {
  const unary =
    <Request, Partial, Response>(method: Method<Request, Response>, type: MessageType<Request, Partial>) =>
    (request: Partial): Promise<Response> =>
      call(client, method, type.create(request));
  return {
    getItem: unary(OfItems.getItem, GetItemRequest),
    listItems: unary(OfItems.listItems, ListItemsRequest),
    writeItem: unary(OfItems.writeItem, WriteItemRequest),
    deleteItem: unary(OfItems.deleteItem, DeleteItemRequest),
    listChanges: unary(OfItems.listChanges, ListChangesRequest),
    batchGetItems: unary(OfItems.batchGetItems, BatchGetItemsRequest),
    batchWriteItems: unary(OfItems.batchWriteItems, BatchWriteItemsRequest),
    compareRanges: unary(OfItems.compareRanges, CompareRangesRequest),
    listCollections: unary(OfCollections.listCollections, ListCollectionsRequest),
    getCollection: unary(OfCollections.getCollection, GetCollectionRequest),
    createCollection: unary(OfCollections.createCollection, CreateCollectionRequest),
    deleteCollection: unary(OfCollections.deleteCollection, DeleteCollectionRequest),
    listConflicts: unary(OfCollections.listConflicts, ListConflictsRequest),
    getConflict: unary(OfCollections.getConflict, GetConflictRequest),
    restoreConflict: unary(OfCollections.restoreConflict, RestoreConflictRequest),
    pruneConflicts: unary(OfCollections.pruneConflicts, PruneConflictsRequest),
    compactCollection: unary(OfCollections.compactCollection, CompactCollectionRequest),
  };
}
