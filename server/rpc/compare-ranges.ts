import { forkOf } from "../../core/lineage.js";
import type { CompareRangesRequest, CompareRangesResponse } from "../../gen/tercet/v1/item_service.js";
import { preambleOf, readQuery, toAnswers } from "../protocol/reconcile.js";
import { notNegative } from "../protocol/validate-push.js";
import { inlineBytesOf, PAGE_BYTES } from "./answer-limits.js";
import { FaultError, refuse } from "./fault-error.js";
import { findCollectionOfUid, stillThere } from "./find-collection.js";
import type { ReadWorld } from "./read-items.js";
import type { UnaryHandler } from "./unary.js";

/** ItemService.CompareRanges: a query of an exchange's recovery, without a stream. */
export function compareRanges(world: ReadWorld): UnaryHandler<CompareRangesRequest, CompareRangesResponse> {
  return async ({ collection, collectionUid, ranges, lineage, inlineBytes }) => {
    const state = await findCollectionOfUid(world, collection, collectionUid);
    refuse(notNegative(inlineBytes, "inline_bytes"));
    const asks = readQuery(ranges ?? NO_RANGES);
    if ("reason" in asks) throw new FaultError(asks);
    const { uid } = state;
    const fork = forkOf(lineage, state.lineage, state.revision);
    const query = {
      uid,
      asks,
      tombstonesAfter: fork,
      inlineBytes: inlineBytesOf(inlineBytes),
      maxBytes: PAGE_BYTES,
    };
    const read = stillThere(collection, await world.store.readRanges(query));
    // All of one snapshot: nothing that is told is later than the head, which needs no witness besides.
    const answers = { ...toAnswers(read.answers), ...preambleOf({ uid, ...read }, fork), witness: undefined };
    return { answers };
  };
}

/** Does not even cover all ids: refused like every query that does not. */
const NO_RANGES = {
  ends: undefined,
  kinds: [],
  counts: [],
  sums: Buffer.alloc(0),
  items: Buffer.alloc(0),
};
