import type { UntypedServiceImplementation } from "@grpc/grpc-js";
import { ItemServiceService as Methods } from "../../gen/tercet/v1/item_service.js";
import { batchWriteItems } from "./batch-write.js";
import { compareRanges } from "./compare-ranges.js";
import { listChanges } from "./list-changes.js";
import { batchGetItems, getItem, listItems } from "./read-items.js";
import type { Requests } from "./requests.js";
import { createUnary } from "./unary.js";
import type { RpcWorld } from "./world.js";
import { deleteItem, writeItem } from "./write-items.js";

/** The handlers of ItemService, over raw messages. */
export function createItemHandlers(world: RpcWorld, requests: Requests): UntypedServiceImplementation {
  const unary = createUnary(world);
  const writing = { ...world, requests };
  return {
    getItem: unary("read", Methods.getItem, getItem(world)),
    listItems: unary("read", Methods.listItems, listItems(world)),
    writeItem: unary("write", Methods.writeItem, writeItem(writing)),
    deleteItem: unary("write", Methods.deleteItem, deleteItem(writing)),
    listChanges: unary("read", Methods.listChanges, listChanges(world)),
    batchGetItems: unary("read", Methods.batchGetItems, batchGetItems(world)),
    batchWriteItems: unary("write", Methods.batchWriteItems, batchWriteItems(writing)),
    compareRanges: unary("read", Methods.compareRanges, compareRanges(world)),
  } satisfies Record<keyof typeof Methods, unknown>;
}
