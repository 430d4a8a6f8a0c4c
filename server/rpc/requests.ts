import { createHash } from "node:crypto";
import { asBuffer } from "../../core/content.js";
import { ErrorReason, fieldFault } from "../../core/fault.js";
import type { Store } from "../store/store.js";
import type { BatchWritten, WriteBatch } from "../store/write-batch.js";
import { FaultError, refuse } from "./fault-error.js";

const MAX_REQUEST_ID = 128;

/** A request that may come twice. */
export interface RepeatableRequest {
  /** As the caller gave it; "" for none. */
  readonly requestId: string;
  /** What makes it this request and no other: the method, the collection's uid, the request as bytes. */
  readonly parts: readonly (string | Uint8Array)[];
  /** Makes the changes, and hands `remember` on to the store. */
  write(remember: Pick<WriteBatch, "remember">): Promise<BatchWritten>;
  /** The answer; also asked for in the transaction, which keeps it. */
  answer(written: BatchWritten): Uint8Array;
}

/** Sees to it that a request with an id is done once, and answered alike as often as it comes. */
export interface Requests {
  /** The answer to the first such request. Throws REQUEST_ID_REUSED where the id names another request. */
  once(request: RepeatableRequest): Promise<Uint8Array>;
}

/**
 * The requests of one server. Two with the same id at the same time are taken one after the other, so that the second one
 * finds what the first one left in the store.
 */
export function createRequests(store: Pick<Store, "getRequest">): Requests {
  const latest = new Map<string, Promise<unknown>>();

  async function take(request: RepeatableRequest, before: Promise<unknown> | undefined): Promise<Uint8Array> {
    await before?.catch(() => undefined);
    const { requestId } = request;
    const digest = digestOf(request.parts);
    const known = await store.getRequest(requestId);
    if (known === undefined) {
      return request.answer(await request.write({ remember: { requestId, digest, answer: request.answer } }));
    }
    if (asBuffer(known.digest).equals(digest)) return known.answer;
    const description = "was used before, for a different request";
    throw new FaultError(fieldFault(ErrorReason.ERROR_REASON_REQUEST_ID_REUSED, "request_id", description));
  }

  return {
    async once(request) {
      const { requestId } = request;
      if (requestId === "") return request.answer(await request.write({}));
      const mine = take(request, latest.get(requestId));
      latest.set(requestId, mine);
      try {
        return await mine;
      } finally {
        if (latest.get(requestId) === mine) latest.delete(requestId);
      }
    },
  };
}

/** Throws INVALID_FIELD for a request id that is too long or not UTF-8. */
export function checkRequestId(requestId: string): void {
  if (requestId.length <= MAX_REQUEST_ID && requestId.isWellFormed()) return;
  const description = `must be valid UTF-8 of at most ${MAX_REQUEST_ID} characters`;
  refuse(fieldFault(ErrorReason.ERROR_REASON_INVALID_FIELD, "request_id", description));
}

function digestOf(parts: readonly (string | Uint8Array)[]): Buffer {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(`${Buffer.byteLength(part)}:`).update(part);
  return hash.digest();
}
