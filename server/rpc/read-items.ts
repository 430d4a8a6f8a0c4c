import { isUtf8 } from "node:buffer";
import { asBuffer, type Content, toContentField } from "../../core/content.js";
import { ErrorReason, type Fault, fieldFault } from "../../core/fault.js";
import { checkId, MAX_ID_BYTES } from "../../core/id.js";
import type {
  BatchGetItemsRequest,
  BatchGetItemsResponse,
  GetItemRequest,
  GetItemResponse,
  ListItemsRequest,
  ListItemsResponse,
} from "../../gen/tercet/v1/item_service.js";
import { toItemContent } from "../protocol/send-content.js";
import { notNegative } from "../protocol/validate-push.js";
import type { StoredChange } from "../store/item-reads.js";
import { CONTENT_PART_BYTES, checkBatchCount, PAGE_BYTES, PAGE_CONTENT_BYTES, roomBesideIds } from "./answer-limits.js";
import { FaultError, refuse } from "./fault-error.js";
import { findCollection, stillThere } from "./find-collection.js";
import { pageSize, pageTokens } from "./page-token.js";
import type { UnaryHandler } from "./unary.js";
import type { RpcWorld } from "./world.js";

/** What reading takes. */
export type ReadWorld = Pick<RpcWorld, "store" | "limits">;

const LIST_USUAL = 1000;
const LIST_MOST = 10_000;
/** Bytes about each id in the answer of BatchGetItems, at most. */
const READ_OVERHEAD = 100;

/** ItemService.GetItem */
export function getItem(world: ReadWorld): UnaryHandler<GetItemRequest, GetItemResponse> {
  return async (request) => {
    const { uid } = await findCollection(world, request.collection);
    const { id, offset } = request;
    refuse(checkId(id) ?? notNegative(offset, "offset") ?? notNegative(request.length, "length"));
    const length = request.length === 0 ? CONTENT_PART_BYTES : Math.min(request.length, CONTENT_PART_BYTES);
    const read = await world.store.readPart({ uid, id, offset, length });
    if (read === undefined) {
      // The collection may have gone in between.
      await findCollection(world, request.collection);
      throw new FaultError(itemNotFound(request));
    }
    const { change: item, data, text } = read;
    if (offset > item.size) {
      const description = `is beyond the end of the content, which has ${item.size} bytes`;
      refuse(fieldFault(ErrorReason.ERROR_REASON_INVALID_FIELD, "offset", description));
    }
    return { item: { ...toItemContent(item), offset, content: toContentField(partOf(asBuffer(data), text)) } };
  };
}

/** A part of a content: as text where the whole is text and the part begins and ends between characters. */
function partOf(data: Buffer, text: boolean): Content {
  return text && isUtf8(data) ? data.toString() : data;
}

/** ItemService.ListItems */
export function listItems(world: ReadWorld): UnaryHandler<ListItemsRequest, ListItemsResponse> {
  return async (request) => {
    const { collection, idPrefix: prefix } = request;
    const { uid } = await findCollection(world, collection);
    const limit = pageSize(request.pageSize, LIST_USUAL, LIST_MOST);
    refuse(checkPrefix(prefix));
    const tokens = pageTokens("items", uid, prefix);
    const after = tokens.decode(request.pageToken);
    const inlineBytes = request.contents ? PAGE_CONTENT_BYTES : -1;
    const query = { uid, prefix, after, limit, maxBytes: PAGE_BYTES, inlineBytes };
    const items = stillThere(collection, await world.store.listItems(query));
    const last = items.at(-1)?.id;
    if (last === undefined) return { items: [], nextPageToken: "" };
    const beyond = await world.store.listItems({ ...query, after: last, limit: 1, inlineBytes: -1 });
    return { items: items.map(toItemContent), nextPageToken: beyond?.length === 1 ? tokens.encode(last) : "" };
  };
}

/** ItemService.BatchGetItems */
export function batchGetItems(world: ReadWorld): UnaryHandler<BatchGetItemsRequest, BatchGetItemsResponse> {
  return async ({ collection, ids }) => {
    const { uid } = await findCollection(world, collection);
    checkBatchCount(ids.length, "ids");
    checkIds(ids);
    const room = roomBesideIds(ids, READ_OVERHEAD, PAGE_BYTES, "ids");
    const query = { uid, ids, maxBytes: Math.min(PAGE_BYTES, room) };
    const read = stillThere(collection, await world.store.readItems(query)).items;
    // One whose content is larger than any answer comes without it.
    const found = read.filter((item) => item?.fingerprint !== undefined) as StoredChange[];
    return {
      items: found.map(toItemContent),
      missing: ids.slice(0, read.length).filter((_, index) => read[index]?.fingerprint === undefined),
      notRead: ids.slice(read.length),
    };
  };
}

function checkIds(ids: readonly string[]): void {
  const seen = new Set<string>();
  for (const [index, id] of ids.entries()) {
    refuse(checkId(id, `ids[${index}]`));
    if (seen.size === seen.add(id).size) {
      const description = "stands twice in this request";
      refuse(fieldFault(ErrorReason.ERROR_REASON_DUPLICATE_ID, `ids[${index}]`, description));
    }
  }
}

function checkPrefix(prefix: string): Fault | undefined {
  if (prefix.isWellFormed() && Buffer.byteLength(prefix) <= MAX_ID_BYTES) return undefined;
  const description = `must be valid UTF-8 of at most ${MAX_ID_BYTES} bytes`;
  return fieldFault(ErrorReason.ERROR_REASON_INVALID_FIELD, "id_prefix", description);
}

function itemNotFound(request: GetItemRequest): Fault {
  return {
    reason: ErrorReason.ERROR_REASON_ITEM_NOT_FOUND,
    message: `there is no item "${request.id}" in the collection "${request.collection}"`,
    metadata: { collection: request.collection, id: request.id },
  };
}
