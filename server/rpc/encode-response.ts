import type { ExchangeResponse } from "../../gen/tercet/v1/sync.js";
import { SyncServiceService } from "../../gen/tercet/v1/sync_service.js";
import { encodePage } from "./encode-page.js";

const { responseSerialize } = SyncServiceService.exchange;

/** Encodings of pages that go to many live readers. */
const encodings = new WeakMap<object, Buffer>();

/** A message of an exchange as it is on the wire. A page that goes to several readers is encoded once. */
export function encodeResponse(message: ExchangeResponse): Buffer {
  const { message: content } = message;
  if (content?.$case !== "page") return responseSerialize(message);
  const known = encodings.get(content);
  if (known !== undefined) return known;
  // First, as to look at the changes of a page of columns is to make them.
  const columns = encodePage(content.value);
  const encoded = columns ?? responseSerialize(message);
  // One without changes is made anew as fast as it is found.
  if (columns !== undefined || content.value.changes.length > 0) encodings.set(content, encoded);
  return encoded;
}
