import { type Client, Metadata, type ServiceError, type StatusObject, status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Json } from "../../scripts/vectors/json-text.js";
import { methodOf, protoFromJson } from "../../scripts/vectors/proto-json.js";
import { startTestServer, type TestServer } from "../rpc/harness.js";
import { type Refusal, toRefusal } from "../rpc/refusal.js";
import { readVectors } from "./read.js";

interface Expected {
  readonly name: string;
  readonly code: string;
  readonly reason: string;
  readonly fields: readonly string[];
  readonly metadata?: Readonly<Record<string, string>>;
}
interface Call extends Expected {
  readonly method: string;
  readonly request?: Json;
  readonly requestBytes?: string;
}
interface Stream extends Expected {
  readonly messages: readonly Json[];
}
interface Vectors {
  readonly before: readonly { readonly collection: string; readonly items: readonly Json[] }[];
  readonly calls: readonly Call[];
  readonly streams: readonly Stream[];
}

const { before, calls, streams } = readVectors<Vectors>("errors.json");
const EXCHANGE = "/tercet.v1.SyncService/Exchange";
const asIs = (bytes: Buffer): Buffer => bytes;

function unary(client: Client, method: string, request: Uint8Array): Promise<ServiceError | undefined> {
  return new Promise((resolve) => {
    client.makeUnaryRequest(method, asIs, asIs, Buffer.from(request), (error) => resolve(error ?? undefined));
  });
}

function exchange(client: Client, messages: readonly Json[]): Promise<StatusObject> {
  const call = client.makeBidiStreamRequest(EXCHANGE, asIs, asIs, new Metadata());
  return new Promise((resolve) => {
    call.on("data", () => undefined);
    call.on("error", () => undefined);
    call.on("status", resolve);
    for (const message of messages) call.write(Buffer.from(protoFromJson("ExchangeRequest", message)));
    call.end();
  });
}

function expectRefusal(refusal: Refusal, { code, reason, fields, metadata }: Expected): void {
  const { code: saidCode, reason: saidReason, fields: saidFields } = refusal;
  expect({ code: saidCode, reason: saidReason, fields: saidFields }).toEqual({ code, reason, fields });
  if (metadata !== undefined) expect(refusal.metadata).toEqual(metadata);
}

describe("errors.json", () => {
  let server: TestServer;

  beforeAll(async () => {
    server = await startTestServer();
    for (const { collection, items } of before) {
      await server.create(collection);
      for (const item of items) {
        const request = { collection, item, precondition: { any: true } };
        const method = "/tercet.v1.ItemService/WriteItem";
        expect(await unary(server.client, method, protoFromJson(methodOf(method).request, request))).toBeUndefined();
      }
    }
  });
  afterAll(() => server.stop());

  test.each(calls)("$name", async ({ method, request, requestBytes, ...expected }) => {
    const bytes =
      request === undefined
        ? Buffer.from(requestBytes ?? "", "base64")
        : protoFromJson(methodOf(method).request, request);
    const error = await unary(server.client, method, bytes);
    expect(error).toBeDefined();
    if (error !== undefined) expectRefusal(toRefusal(error), expected);
  });

  test.each(streams)("an exchange: $name", async ({ messages, ...expected }) => {
    const ended = await exchange(server.client, messages);
    expect(ended.code).not.toBe(status.OK);
    expectRefusal(toRefusal(ended), expected);
  });
});
