import { BinaryReader } from "@bufbuild/protobuf/wire";
import type { MethodDefinition } from "@grpc/grpc-js";
import { asBuffer } from "../../core/content.js";
import { ErrorReason, type Fault } from "../../core/fault.js";
import { type ExchangeRequest, PushBatch } from "../../gen/tercet/v1/sync.js";
import { SyncServiceService } from "../../gen/tercet/v1/sync_service.js";
import { decodePush } from "./decode-push.js";
import { decodeUtf8 } from "./decode-utf8.js";
import { FaultError } from "./fault-error.js";

/** What a method's request is decoded with: a generated method definition. */
export type RequestDecoder<Request> = Pick<MethodDefinition<Request, unknown>, "requestDeserialize">;

/**
 * A request out of its bytes.
 *
 * grpc-js answers INTERNAL without details where `requestDeserialize` throws, so services are registered with their bytes
 * as they come (`rawService`) and decoded here, in the handler.
 *
 * @throws FaultError MALFORMED_MESSAGE
 */
export function decodeRequest<Request>(method: RequestDecoder<Request>, bytes: Buffer): Request {
  const reader = new BinaryReader(bytes, (text) => decodeUtf8(asBuffer(text)));
  try {
    // What ts-proto generates hands its argument to `decode`, which takes a reader as well as bytes.
    const request = method.requestDeserialize(reader as unknown as Buffer);
    // It stops without a word at a tag of 0 or at the end of a group.
    if (reader.pos !== bytes.length) throw new Error(`it goes on after its end, at byte ${reader.pos}`);
    return request;
  } catch (error) {
    throw new FaultError(malformed(error));
  }
}

/** A message of an exchange out of its bytes. @throws FaultError MALFORMED_MESSAGE */
export function decodeExchangeRequest(bytes: Buffer): ExchangeRequest {
  return decodePush(bytes, decodeBatch) ?? decodeRequest(SyncServiceService.exchange, bytes);
}

/** Undefined where it is no valid batch. */
function decodeBatch(bytes: Buffer): PushBatch | undefined {
  try {
    const reader = new BinaryReader(bytes);
    const batch = PushBatch.decode(reader);
    return reader.pos === bytes.length ? batch : undefined;
  } catch {
    return undefined;
  }
}

function malformed(error: unknown): Fault {
  const why = error instanceof Error ? error.message : String(error);
  const reason = ErrorReason.ERROR_REASON_MALFORMED_MESSAGE;
  return { reason, message: `the message is not a valid protobuf of its type: ${why}` };
}

/** A service whose messages reach its handlers as bytes, and leave them as bytes. */
export type RawService<Service> = {
  readonly [Name in keyof Service]: MethodDefinition<Buffer, Buffer>;
};

/** The service of a generated definition, with messages as bytes. */
export function rawService<Service extends object>(service: Service): RawService<Service> {
  const methods = Object.entries(service).map(([name, method]) => [name, rawMethod(method)]);
  return Object.fromEntries(methods);
}

function rawMethod(method: MethodDefinition<unknown, unknown>): MethodDefinition<Buffer, Buffer> {
  const { path, requestStream, responseStream } = method;
  const asIs = (bytes: Buffer): Buffer => bytes;
  return {
    path,
    requestStream,
    responseStream,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  };
}
