import { create, createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  ServerReflectionRequest,
  type ServerReflectionResponse,
  ServerReflectionService,
} from "../../gen/grpc/reflection/v1/reflection.js";
import { ServerReflectionService as ServerReflectionAlphaService } from "../../gen/grpc/reflection/v1alpha/reflection.js";
import { startTestServer, type TestServer } from "./harness.js";

type Question = NonNullable<ServerReflectionRequest["messageRequest"]>;

const SERVICES = [
  "grpc.health.v1.Health",
  "grpc.reflection.v1.ServerReflection",
  "grpc.reflection.v1alpha.ServerReflection",
  "tercet.v1.CollectionService",
  "tercet.v1.ItemService",
  "tercet.v1.SyncService",
];

describe.each([
  ["v1", ServerReflectionService],
  ["v1alpha", ServerReflectionAlphaService],
])("server reflection %s", (_, service) => {
  let test: TestServer;
  beforeAll(async () => {
    test = await startTestServer();
  });
  afterAll(() => test.stop());

  /** Asks several questions on one stream. */
  function ask(...questions: (Question | undefined)[]): Promise<ServerReflectionResponse[]> {
    const { path, requestSerialize, responseDeserialize } = service.serverReflectionInfo;
    const stream = test.client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    const answers: ServerReflectionResponse[] = [];
    for (const messageRequest of questions)
      stream.write({ ...ServerReflectionRequest.create({ host: "h" }), messageRequest });
    stream.end();
    return new Promise((resolve, reject) => {
      stream.on("data", (answer: ServerReflectionResponse) => answers.push(answer));
      stream.on("error", reject);
      stream.on("end", () => resolve(answers));
    });
  }

  const bySymbol = (value: string): Question => ({ $case: "fileContainingSymbol", value });
  const byName = (value: string): Question => ({ $case: "fileByFilename", value });
  const filesOf = (answer: ServerReflectionResponse | undefined): Buffer[] => {
    const response = answer?.messageResponse;
    if (response?.$case !== "fileDescriptorResponse") throw new Error(JSON.stringify(response));
    return response.value.fileDescriptorProto;
  };
  const namesOf = (answer: ServerReflectionResponse | undefined) =>
    filesOf(answer).map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes).name);
  const errorOf = (answer: ServerReflectionResponse | undefined) => {
    const response = answer?.messageResponse;
    return response?.$case === "errorResponse" ? response.value.errorCode : JSON.stringify(response);
  };

  it("lists every service", async () => {
    const [answer] = await ask({ $case: "listServices", value: "" });
    const response = answer?.messageResponse;
    if (response?.$case !== "listServicesResponse") throw new Error("no list");
    expect(response.value.service.map(({ name }) => name).sort()).toEqual(SERVICES);
    expect(answer?.originalRequest?.host).toBe("h");
  });

  it.each(SERVICES)("describes %s with all that it depends on", async (name) => {
    const [answer] = await ask(bySymbol(name));
    const file = filesOf(answer).map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
    // A registry refuses files whose dependencies are missing, like the pools of Python and Go.
    const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: file.reverse() }));
    expect(registry.getService(name)?.methods.length).toBeGreaterThan(0);
  });

  it.each([
    ["a message", "tercet.v1.ChangeInfo", "tercet/v1/item.proto"],
    ["a field", "tercet.v1.ChangeInfo.fingerprint", "tercet/v1/item.proto"],
    ["a oneof", "tercet.v1.ChangeInfo.content", "tercet/v1/item.proto"],
    ["an enum", "tercet.v1.ErrorReason", "tercet/v1/error.proto"],
    ["an enum value", "tercet.v1.ERROR_REASON_INVALID_ID", "tercet/v1/error.proto"],
    ["a method", "tercet.v1.SyncService.Exchange", "tercet/v1/sync_service.proto"],
    ["a nested message", "google.rpc.BadRequest.FieldViolation", "google/rpc/error_details.proto"],
    ["a nested enum", "grpc.health.v1.HealthCheckResponse.ServingStatus", "grpc/health/v1/health.proto"],
  ])("finds %s", async (_what, symbol, file) => {
    const [answer] = await ask(bySymbol(symbol));
    expect(namesOf(answer)[0]).toBe(file);
  });

  it("sends a dependency once a stream, and the file that was asked for always", async () => {
    const item = "tercet/v1/item.proto";
    const answers = await ask(
      byName("tercet/v1/collection_service.proto"),
      byName("tercet/v1/sync.proto"),
      byName(item),
    );
    expect(answers.map(namesOf)).toEqual([
      ["tercet/v1/collection_service.proto", "tercet/v1/collection.proto", item],
      ["tercet/v1/sync.proto", "tercet/v1/error.proto"],
      [item],
    ]);
  });

  it("answers what it does not have with NOT_FOUND, and goes on", async () => {
    const answers = await ask(
      bySymbol("tercet.v1.None"),
      byName("none.proto"),
      { $case: "fileContainingExtension", value: { containingType: "tercet.v1.ChangeInfo", extensionNumber: 1 } },
      { $case: "allExtensionNumbersOfType", value: "tercet.v1.None" },
      undefined,
      { $case: "allExtensionNumbersOfType", value: "tercet.v1.ChangeInfo" },
    );
    const { NOT_FOUND, INVALID_ARGUMENT } = status;
    expect(answers.slice(0, 5).map(errorOf)).toEqual([NOT_FOUND, NOT_FOUND, NOT_FOUND, NOT_FOUND, INVALID_ARGUMENT]);
    expect(answers[5]?.messageResponse).toEqual({
      $case: "allExtensionNumbersResponse",
      value: { baseTypeName: "tercet.v1.ChangeInfo", extensionNumber: [] },
    });
  });
});
