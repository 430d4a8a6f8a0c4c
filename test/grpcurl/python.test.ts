import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { run } from "../../scripts/cookbook/tools.js";
import { absent, contentOf } from "../rpc/build.js";
import { startTestServer, type TestServer } from "../rpc/harness.js";
import { INSTALL_MS, installPython, isLeftOut, root } from "./toolchain.js";

const leftOut = isLeftOut("python3");

describe(`reflection in Python${leftOut ? ": left out, as Python is not installed" : ""}`, () => {
  let python: string;
  let test: TestServer;
  beforeAll(async () => {
    if (!leftOut) python = await installPython();
    test = await startTestServer();
    await test.create("c");
    await test.api.writeItem({ collection: "c", item: { id: "é", content: contentOf("1") }, precondition: absent });
  }, INSTALL_MS);
  afterAll(() => test.stop());

  it.skipIf(leftOut)("fills a descriptor pool that makes calls", async () => {
    const script = join(root, "test", "grpcurl", "reflect.py");
    const lines = (await run(python, [script, test.server.address])).trim().split("\n");
    const descriptor = readFileSync(join(root, "gen", "descriptor.binpb"));
    const { file } = fromBinary(FileDescriptorSetSchema, descriptor);
    const services = file.flatMap(({ package: name, service }) => {
      return service.map((one) => [`${name}.${one.name}`, ...one.method.map((method) => method.name)].join(" "));
    });
    expect(lines.filter((line) => /^(tercet|grpc)\./.test(line)).sort()).toEqual(
      [...services, "tercet.v1.ErrorReason tercet/v1/error.proto"].sort(),
    );
    expect(lines).toContain("google.rpc.ErrorInfo google/rpc/error_details.proto");
    const answer = JSON.parse(lines.at(-1) ?? "");
    expect(answer).toMatchObject({
      changes: [{ id: "é", text: "1", revision: "1" }],
      end: true,
      proof: { count: "1" },
    });
  });
});
