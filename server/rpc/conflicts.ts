import { ErrorReason, type Fault } from "../../core/fault.js";
import { checkId } from "../../core/id.js";
import { WHOLE_BYTES } from "../../core/limits.js";
import type { RecordedConflict } from "../../core/recorded-conflict.js";
import {
  type GetConflictRequest,
  type GetConflictResponse,
  type ListConflictsRequest,
  type ListConflictsResponse,
  CollectionServiceService as Methods,
  type PruneConflictsRequest,
  type PruneConflictsResponse,
  RestoreConflictRequest,
  type RestoreConflictResponse,
} from "../../gen/tercet/v1/collection_service.js";
import { notNegative } from "../protocol/validate-push.js";
import { toConflictRecord } from "./collection-messages.js";
import { FaultError, refuse } from "./fault-error.js";
import { findCollection } from "./find-collection.js";
import { inSlices } from "./in-slices.js";
import { pageSize, pageTokens } from "./page-token.js";
import { ANY_STATE } from "./precondition.js";
import { checkRequestId } from "./requests.js";
import type { UnaryHandler } from "./unary.js";
import type { RpcWorld } from "./world.js";
import { type WantedWrite, type WriteWorld, writeOne } from "./write-items.js";

const LIST_USUAL = 100;
const LIST_MOST = 1000;

type ReadWorld = Pick<RpcWorld, "store">;

/** CollectionService.ListConflicts */
export function listConflicts(world: ReadWorld): UnaryHandler<ListConflictsRequest, ListConflictsResponse> {
  return async ({ collection, id, ...request }) => {
    const { uid } = await findCollection(world, collection);
    if (id !== "") refuse(checkId(id));
    const limit = pageSize(request.pageSize, LIST_USUAL, LIST_MOST);
    const tokens = pageTokens("conflicts", uid, id);
    const position = tokens.decode(request.pageToken);
    const before = position === "" ? Number.MAX_SAFE_INTEGER : Number(position);
    const records = await world.store.listConflicts({ uid, id, before, limit: limit + 1 });
    const page = records.slice(0, limit);
    const last = String(page.at(-1)?.number ?? 0);
    return { conflicts: page.map(toConflictRecord), nextPageToken: records.length > limit ? tokens.encode(last) : "" };
  };
}

/** CollectionService.GetConflict */
export function getConflict(world: ReadWorld): UnaryHandler<GetConflictRequest, GetConflictResponse> {
  return async ({ collection, number }) => {
    const { uid } = await findCollection(world, collection);
    const record = await world.store.getConflict(uid, number);
    if (record === undefined) throw new FaultError(conflictNotFound(collection, number));
    return { conflict: toConflictRecord(record) };
  };
}

/** CollectionService.RestoreConflict: a write or a deletion by `any`, with what a record has kept. */
export function restoreConflict(world: WriteWorld): UnaryHandler<RestoreConflictRequest, RestoreConflictResponse> {
  return async (request) => {
    const { collection, number, requestId } = request;
    const state = await findCollection(world, collection);
    checkRequestId(requestId);
    const change = await writeOne(world, {
      state,
      requestId,
      parts: [Methods.restoreConflict.path, state.uid, RestoreConflictRequest.encode(request).finish()],
      async wanted() {
        const record = await world.store.getConflict(state.uid, number);
        if (record === undefined) throw new FaultError(conflictNotFound(collection, number));
        return writeOf(record);
      },
    });
    return { change };
  };
}

/** The version of a record as a change of now. Its content was acceptable once: no limit is held against it again. */
function writeOf({ id, fingerprint, content, size }: RecordedConflict): WantedWrite {
  const change = { id, ...ANY_STATE, modifyTimeUs: 0 };
  if (fingerprint === undefined) return { ...change, upsert: undefined };
  if (content === undefined) throw new FaultError(tooLarge(size));
  return { ...change, upsert: { content, fingerprint, size } };
}

/** The store gives no contents whole that came in chunks. */
function tooLarge(size: number): Fault {
  const message = `the content has ${size} bytes; this server does not restore one of over ${WHOLE_BYTES} yet`;
  return { reason: ErrorReason.ERROR_REASON_UNSUPPORTED, message };
}

/** CollectionService.PruneConflicts */
export function pruneConflicts(
  world: Pick<RpcWorld, "store" | "nowUs" | "gate">,
): UnaryHandler<PruneConflictsRequest, PruneConflictsResponse> {
  return async ({ olderThanUs }) => {
    refuse(notNegative(olderThanUs, "older_than_us"));
    // Those that are exactly so old, too.
    const beforeUs = world.nowUs() - olderThanUs + 1;
    // A server that drains does not wait for all of it: what is left goes with the next call.
    const goesOn = (): boolean => world.gate.refusal() === undefined;
    const count = await inSlices((limit) => world.store.pruneConflicts(beforeUs, limit), goesOn);
    refuse(world.gate.refusal());
    return { count };
  };
}

function conflictNotFound(collection: string, number: number): Fault {
  return {
    reason: ErrorReason.ERROR_REASON_CONFLICT_NOT_FOUND,
    message: `there is no conflict record ${number} of the collection "${collection}", or it was pruned`,
    metadata: { collection, number: String(number) },
  };
}
