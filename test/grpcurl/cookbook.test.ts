import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { sameExchange } from "../../scripts/cookbook/same-exchange.js";
import { GRPCURL, installGoTool, run } from "../../scripts/cookbook/tools.js";
import { walkPage } from "../../scripts/cookbook/walk.js";
import { startTestServer, type TestServer } from "../rpc/harness.js";
import { INSTALL_MS, isLeftOut, root } from "./toolchain.js";

const leftOut = isLeftOut("go");
const page = readFileSync(join(root, "proto", "README.md"), "utf8");

/** Many processes, one after the other, on a machine that may have others to run. */
const MANY_MS = 180_000;

describe("proto/README.md", () => {
  it("has a server of its own, not that of the Quick start with what it has written", () => {
    const quickStart = readFileSync(join(root, "README.md"), "utf8");
    const directories = [page, quickStart].map((text) => /tercet\.js serve --data (\/tmp\/[^/\s]+)/.exec(text)?.[1]);
    expect(directories).toEqual(["/tmp/tercet-cookbook", "/tmp/tercet-try"]);
    for (const directory of directories) expect([page, quickStart].join()).toContain(`remove \`${directory}\``);
  });
});

describe(`grpcurl${leftOut ? ": left out, as it is built by Go, which is not installed" : ""}`, () => {
  let tools: string;
  let test: TestServer;
  beforeAll(async () => {
    if (!leftOut) tools = await installGoTool(GRPCURL, root);
    test = await startTestServer();
  }, INSTALL_MS);
  afterAll(() => test.stop());

  const grpcurl = (...args: string[]) => run(join(tools, "grpcurl"), args);
  const walk = (text: string) => walkPage(text, { address: test.server.address, tools, directory: root });

  it.skipIf(leftOut)(
    "prints what proto/README.md shows (npm run cookbook)",
    async () => {
      const walked = await walk(page);
      expect(walked.page).toBe(page);
      expect(walked.changed).toEqual([]);
      expect(walked.blocks).toBeGreaterThan(20);
    },
    MANY_MS,
  );

  it.skipIf(leftOut)("is not let off where it prints something else, or fails", async () => {
    const shows = (command: string, output: string) => ["```sh", command, "```", "```text", output, "```"].join("\n");
    const other = `${shows("echo 1", "1")}\n${shows("echo 2", "3\n4")}\n${shows("echo 3", "2")}`;
    const right = `${shows("echo 1", "1")}\n${shows("echo 2", "2")}\n${shows("echo 3", "3")}`;
    expect(await walk(other)).toEqual({ page: right, blocks: 3, changed: [11, 18] });
    await expect(walk(shows("false", ""))).rejects.toThrow("status 1, not 0");
    await expect(walk("```sh\necho 1\n```\n")).rejects.toThrow("the page does not show what this prints");
  });

  it.skipIf(leftOut)(
    "describes every service and message by reflection, as by the descriptor set",
    async () => {
      const descriptor = join(root, "gen", "descriptor.binpb");
      const services = (await grpcurl("-protoset", descriptor, "list")).trim().split("\n");
      expect(services).toContain("tercet.v1.SyncService");
      const { address } = test.server;
      for (const symbol of [...services, ...symbolsIn("sync"), ...symbolsIn("item"), ...symbolsIn("collection")]) {
        const reflected = await grpcurl("-plaintext", address, "describe", symbol);
        expect(reflected).toBe(await grpcurl("-protoset", descriptor, "describe", symbol));
      }
    },
    MANY_MS,
  );

  it.skipIf(leftOut)("has its descriptor set from the built package", async () => {
    const { exports, files } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
    const built = exports["./gen/descriptor.binpb"];
    expect(files).toContain("dist");
    const said = await grpcurl("-protoset", join(root, built), "describe", "google.rpc.ErrorInfo");
    expect(said).toContain("message ErrorInfo");
    const args = ["-protoset", join(root, built), "-plaintext", "-d", '{"service":"tercet.v1.ItemService"}'];
    expect(await grpcurl(...args, test.server.address, "grpc.health.v1.Health/Check")).toContain("SERVING");
  });
});

describe("answers of an exchange", () => {
  const opened = { opened: { head: "1" } };
  const verdicts = { verdicts: { verdicts: [{ count: "1" }], witness: { token: "t" } } };
  const page1 = { page: { changes: [{ id: "a" }], checkpoint: { revision: "1" }, end: true } };
  const proof = { page: { checkpoint: { revision: "2" }, end: true, proof: { count: "1" } } };
  const text = (...messages: object[]) => messages.map((message) => JSON.stringify(message, undefined, 2)).join("\n");

  it("are the same in the order of verdicts and pages that the network makes", () => {
    expect(sameExchange(text(opened, verdicts, page1, proof), text(opened, page1, verdicts, proof))).toBe(true);
    const together = { page: { ...page1.page, ...proof.page } };
    expect(sameExchange(text(opened, page1, proof), text(opened, together))).toBe(true);
  });

  it("are not where something else is said", () => {
    expect(sameExchange(text(opened, page1, proof), text(opened, page1))).toBe(false);
    expect(sameExchange(text(opened, proof), text(opened, page1, proof))).toBe(false);
    expect(sameExchange(text(opened, verdicts, proof), text(opened, proof))).toBe(false);
    for (const text of ["ERROR", "1", '{\n  "status": "SERVING"\n}']) expect(sameExchange(text, text)).toBe(false);
  });
});

/** Names of the messages that one of the proto files defines. */
function symbolsIn(file: string): string[] {
  const source = readFileSync(join(root, "proto", "tercet", "v1", `${file}.proto`), "utf8");
  return [...source.matchAll(/^(?:message|enum) (\w+)/gm)].map(([, name]) => `tercet.v1.${name}`);
}
