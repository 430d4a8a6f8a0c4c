import { toChangeInfo } from "../../core/page.js";
import { toRangeFingerprint } from "../../core/range-sum.js";
import type { ListChangesRequest, ListChangesResponse } from "../../gen/tercet/v1/item_service.js";
import { checkToken, encodeToken, tokenAt } from "../protocol/token.js";
import { notNegative } from "../protocol/validate-push.js";
import { inlineBytesOf, PAGE_BYTES } from "./answer-limits.js";
import { FaultError, refuse } from "./fault-error.js";
import { findCollectionOfToken, stillThere } from "./find-collection.js";
import { pageSize } from "./page-token.js";
import type { ReadWorld } from "./read-items.js";
import type { UnaryHandler } from "./unary.js";

const CHANGES_USUAL = 1000;
const CHANGES_MOST = 10_000;

/** ItemService.ListChanges: step 1 by hand, with the tokens (protocol/token.ts) and the feed of an exchange. */
export function listChanges(world: ReadWorld): UnaryHandler<ListChangesRequest, ListChangesResponse> {
  return async (request) => {
    const state = await findCollectionOfToken(world, request.collection, request.token);
    const maxChanges = pageSize(request.pageSize, CHANGES_USUAL, CHANGES_MOST);
    refuse(notNegative(request.inlineBytes, "inline_bytes"));
    const token = checkToken(request.token, state);
    if (token.kind !== "served") throw new FaultError(token.fault);
    const { uid } = state;
    const query = {
      uid,
      after: token.revision,
      tombstonesAfter: token.pullHead,
      maxBytes: PAGE_BYTES,
      maxChanges,
      inlineBytes: inlineBytesOf(request.inlineBytes),
    };
    const read = stillThere(request.collection, await world.store.readChanges(query));
    const next = tokenAt(uid, read.lineage, read.through, token.pullHead);
    return {
      changes: read.changes.map(toChangeInfo),
      checkpoint: { token: encodeToken(next), revision: read.through },
      end: read.end,
      proof: read.end ? toRangeFingerprint(read.total) : undefined,
    };
  };
}
