import { toContentField } from "../../core/content.js";
import {
  BatchWriteItemsRequest,
  BatchWriteItemsResponse,
  ItemServiceService,
} from "../../gen/tercet/v1/item_service.js";
import { notNegative, validatePushes } from "../protocol/validate-push.js";
import { mergeResults, toVerdicts } from "../protocol/verdict.js";
import type { BatchWritten } from "../store/write-batch.js";
import { checkBatchCount, roomBesideIds } from "./answer-limits.js";
import { refuse } from "./fault-error.js";
import { findCollection, stillThere } from "./find-collection.js";
import { checkRequestId } from "./requests.js";
import type { UnaryHandler } from "./unary.js";
import type { WriteWorld } from "./write-items.js";

/** Bytes about the id in a verdict, at most: a change info with its fingerprint, or a reason with its message. */
const VERDICT_OVERHEAD = 200;

/**
 * ItemService.BatchWriteItems: the pushes of an exchange, without a stream.
 *
 * There is one write path: validatePushes, the store's write, mergeResults and toVerdicts are what the exchange's receiver
 * (server/protocol/receive-content.ts) calls, in this order. Only two things differ: a fingerprint may be left out, and a
 * batch that says no revision is held against its expected states instead of COMPARE_FIRST.
 */
export function batchWriteItems(world: WriteWorld): UnaryHandler<BatchWriteItemsRequest, BatchWriteItemsResponse> {
  return async (request) => {
    const { uid, name } = await findCollection(world, request.collection);
    const { pushes, requestId, revisionSeen: seen } = request;
    checkBatchCount(pushes.length, "pushes");
    refuse(notNegative(seen, "revision_seen"));
    checkRequestId(requestId);
    const room = roomBesideIds(
      pushes.map((push) => push.id),
      VERDICT_OVERHEAD,
      0,
      "pushes",
    );
    const nowUs = world.nowUs();
    const { groupItems, groupBytes, itemBytes } = world.limits;
    const rules = { itemBytes, groupItems, groupBytes, seen, nowUs, skewUs: world.skewUs };
    const validated = validatePushes(pushes, "computed", rules);
    const writes = validated.flatMap((each) => ("write" in each ? [each.write] : []));
    const answer = await world.requests.once({
      requestId,
      parts: [ItemServiceService.batchWriteItems.path, uid, BatchWriteItemsRequest.encode(request).finish()],
      async write(remember) {
        return stillThere(name, await world.write({ uid, writes, nowUs, ...remember }));
      },
      answer: (written: BatchWritten) => {
        const verdicts = toVerdicts(mergeResults(validated, written), 0);
        return BatchWriteItemsResponse.encode({ verdicts }).finish();
      },
    });
    const response = BatchWriteItemsResponse.decode(answer);
    await addSmallContents(world, uid, response, room);
    return response;
  };
}

/** Puts the small contents of conflicting items in line, as far as there is room, so that nobody has to ask for them. */
async function addSmallContents(
  world: WriteWorld,
  uid: Uint8Array,
  response: BatchWriteItemsResponse,
  room: number,
): Promise<void> {
  let bytes = 0;
  const wanted = response.verdicts.flatMap(({ current }) => {
    if (current?.fingerprint === undefined || current.size > world.limits.inlineBytes) return [];
    bytes += current.size;
    return bytes > room ? [] : [current];
  });
  if (wanted.length === 0) return;
  const read = await world.store.readItems({ uid, ids: wanted.map(({ id }) => id), maxBytes: room });
  for (const [index, current] of wanted.entries()) {
    const item = read?.items[index];
    // Changed since the verdict: what the verdict says stays without a content.
    if (item?.content === undefined || item.revision !== current.revision) continue;
    current.content = toContentField(item.content);
  }
}
