import { fromContentField } from "../../core/content.js";
import { ErrorReason, type Fault, fieldFault } from "../../core/fault.js";
import { checkFingerprint, sameFingerprint } from "../../core/fingerprint.js";
import { checkId } from "../../core/id.js";
import { toChangeInfo } from "../../core/page.js";
import type { ChangeInfo, ItemContent } from "../../gen/tercet/v1/item.js";
import {
  DeleteItemRequest,
  type DeleteItemResponse,
  ItemServiceService,
  WriteItemRequest,
  WriteItemResponse,
} from "../../gen/tercet/v1/item_service.js";
import { checkContentValue, clampTime, notNegative, upsertOf } from "../protocol/validate-push.js";
import type { CollectionState } from "../store/collection-state.js";
import type { StoredChange } from "../store/item-reads.js";
import type { Awaitable } from "../store/store.js";
import type { BatchWritten, Write } from "../store/write-batch.js";
import { PAGE_BYTES } from "./answer-limits.js";
import { FaultError, refuse } from "./fault-error.js";
import { findCollection, stillThere } from "./find-collection.js";
import { preconditionFailed, toDeletionExpectation, toExpectation } from "./precondition.js";
import { checkRequestId, type Requests } from "./requests.js";
import type { UnaryHandler } from "./unary.js";
import type { RpcWorld } from "./world.js";

/** What writing takes. */
export interface WriteWorld extends Pick<RpcWorld, "store" | "write" | "limits" | "skewUs" | "nowUs"> {
  readonly requests: Requests;
}

/** ItemService.WriteItem */
export function writeItem(world: WriteWorld): UnaryHandler<WriteItemRequest, WriteItemResponse> {
  return async (request) => {
    const state = await findCollection(world, request.collection);
    const { item } = request;
    if (item === undefined) throw new FaultError(missing("item"));
    refuse(checkId(item.id, "item.id"));
    const upsert = checkUpsert(item, world.limits.itemBytes);
    const write = { id: item.id, upsert, ...toExpectation(request.precondition), modifyTimeUs: item.modifyTimeUs };
    checkRequestId(request.requestId);
    const call = {
      state,
      requestId: request.requestId,
      parts: [ItemServiceService.writeItem.path, state.uid, WriteItemRequest.encode(request).finish()],
      wanted: () => write,
    };
    return { change: await writeOne(world, call) };
  };
}

/** ItemService.DeleteItem */
export function deleteItem(world: WriteWorld): UnaryHandler<DeleteItemRequest, DeleteItemResponse> {
  return async (request) => {
    const state = await findCollection(world, request.collection);
    refuse(checkId(request.id));
    refuse(notNegative(request.modifyTimeUs, "modify_time_us"));
    const { modifyTimeUs } = request;
    const write = { id: request.id, upsert: undefined, ...toDeletionExpectation(request.precondition), modifyTimeUs };
    checkRequestId(request.requestId);
    const call = {
      state,
      requestId: request.requestId,
      parts: [ItemServiceService.deleteItem.path, state.uid, DeleteItemRequest.encode(request).finish()],
      wanted: () => write,
    };
    return { change: await writeOne(world, call) };
  };
}

/** A change of one item, with its modify time as the caller gave it: 0 is now. */
export type WantedWrite = Pick<Write, "id" | "upsert" | "expected" | "seen" | "overrides" | "modifyTimeUs">;

/** A call that makes one change. */
export interface WriteCall {
  readonly state: Pick<CollectionState, "uid" | "name">;
  readonly requestId: string;
  /** What makes it this request and no other. */
  readonly parts: readonly (string | Uint8Array)[];
  /** The change to make. Not asked for where the request was answered before; may throw a FaultError. */
  wanted(): Awaitable<WantedWrite>;
}

/**
 * Makes one change, once per request id, by the store's one write path. Its change; undefined where there is and was nothing
 * to delete.
 */
export async function writeOne(world: WriteWorld, call: WriteCall): Promise<ChangeInfo | undefined> {
  const { uid, name } = call.state;
  const nowUs = world.nowUs();
  let made: { readonly write: WantedWrite; readonly before: StoredChange | undefined } | undefined;
  const answer = await world.requests.once({
    requestId: call.requestId,
    parts: call.parts,
    async write(remember) {
      const wanted = await call.wanted();
      const write = { ...wanted, modifyTimeUs: clampTime(wanted.modifyTimeUs, { nowUs, skewUs: world.skewUs }) };
      // An item that already is so is answered as it is, with the times of its own change.
      const read = await world.store.readItems({ uid, ids: [write.id], maxBytes: PAGE_BYTES });
      made = { write, before: stillThere(name, read).items[0] };
      const batch = { uid, nowUs, writes: [{ ...write, fence: false, group: 0 }], ...remember };
      return stillThere(name, await world.write(batch));
    },
    answer(written) {
      if (made === undefined) throw new Error("an answer follows a write");
      return encodeAnswer(answerOf(written, made.write, made.before));
    },
  });
  const result = decodeAnswer(answer);
  if ("reason" in result) throw new FaultError(result);
  return result.change;
}

type Answer = { readonly change: ChangeInfo | undefined } | Fault;

function answerOf(
  written: BatchWritten,
  write: Pick<Write, "id" | "upsert" | "modifyTimeUs">,
  before: StoredChange | undefined,
): Answer {
  const [outcome] = written.outcomes;
  if (outcome === undefined || outcome.kind === "group-conflict") throw new Error("one write has one outcome");
  if (outcome.kind === "conflict") return preconditionFailed(outcome.current);
  const { id, upsert } = write;
  if (outcome.revision === 0) return { change: undefined };
  const known = outcome.kind === "already" && before?.revision === outcome.revision ? before : undefined;
  const change: StoredChange = {
    id,
    revision: outcome.revision,
    fingerprint: upsert?.fingerprint,
    size: upsert?.size ?? 0,
    modifyTimeUs: known?.modifyTimeUs ?? write.modifyTimeUs,
    group: known?.group ?? 0,
    content: undefined,
  };
  return { change: toChangeInfo(change) };
}

const ANSWERED = 0;
const REFUSED = 1;

/** An answer as it is remembered: a refusal, too, is what a repeated call gets again. */
function encodeAnswer(answer: Answer): Uint8Array {
  return "reason" in answer
    ? Buffer.concat([Buffer.of(REFUSED), Buffer.from(JSON.stringify(answer))])
    : Buffer.concat([Buffer.of(ANSWERED), WriteItemResponse.encode(answer).finish()]);
}

function decodeAnswer(bytes: Uint8Array): Answer {
  const body = bytes.subarray(1);
  if (bytes[0] === REFUSED) return JSON.parse(Buffer.from(body).toString()) as Fault;
  return { change: WriteItemResponse.decode(body).change };
}

function checkUpsert(item: ItemContent, itemBytes: number): NonNullable<Write["upsert"]> {
  const content = fromContentField(item.content);
  if (content === undefined) {
    const description = "an item needs a content, which may be empty";
    throw new FaultError(fieldFault(ErrorReason.ERROR_REASON_CONTENT_MISSING, "item.content", description));
  }
  refuse(checkContentValue(content, itemBytes, "item.content"));
  if (item.offset !== 0) {
    const description = "must be 0: a content is written whole";
    refuse(fieldFault(ErrorReason.ERROR_REASON_INVALID_FIELD, "item.offset", description));
  }
  refuse(notNegative(item.modifyTimeUs, "item.modify_time_us"));
  refuse(checkFingerprint(item.fingerprint, "item.fingerprint"));
  const upsert = upsertOf(item.id, content);
  if (item.fingerprint !== undefined && !sameFingerprint(item.fingerprint.value, upsert.fingerprint)) {
    const description = "does not agree with id and content";
    refuse(fieldFault(ErrorReason.ERROR_REASON_FINGERPRINT_MISMATCH, "item.fingerprint", description));
  }
  return upsert;
}

function missing(field: string): Fault {
  return fieldFault(ErrorReason.ERROR_REASON_INVALID_FIELD, field, "must be set");
}
