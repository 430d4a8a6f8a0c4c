import { ErrorReason, fieldFault } from "../../core/fault.js";
import type { CompactCollectionRequest, CompactCollectionResponse } from "../../gen/tercet/v1/collection_service.js";
import { notNegative } from "../protocol/validate-push.js";
import type { CompactQuery } from "../store/collection-state.js";
import { FaultError, refuse } from "./fault-error.js";
import { findCollection, stillThere } from "./find-collection.js";
import type { UnaryHandler } from "./unary.js";
import type { RpcWorld } from "./world.js";

/** CollectionService.CompactCollection */
export function compactCollection(
  world: Pick<RpcWorld, "store" | "nowUs">,
): UnaryHandler<CompactCollectionRequest, CompactCollectionResponse> {
  return async ({ collection, horizon }) => {
    const { uid } = await findCollection(world, collection);
    const query = toQuery(uid, horizon, world.nowUs());
    return { compactedRevision: stillThere(collection, await world.store.compact(query)) };
  };
}

function toQuery(uid: Uint8Array, horizon: CompactCollectionRequest["horizon"], nowUs: number): CompactQuery {
  switch (horizon?.$case) {
    case "throughRevision":
      refuse(notNegative(horizon.value, "through_revision"));
      return { uid, through: horizon.value };
    case "olderThanUs":
      refuse(notNegative(horizon.value, "older_than_us"));
      return { uid, beforeUs: nowUs - horizon.value };
    case undefined: {
      const description = 'say how far: "through_revision" or "older_than_us"';
      throw new FaultError(fieldFault(ErrorReason.ERROR_REASON_INVALID_FIELD, "horizon", description));
    }
  }
}
