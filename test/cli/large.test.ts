import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { afterAll, describe, test } from "vitest";
import { desk, endDesks, ended, serve, spawnTercet } from "./harness.js";

afterAll(endDesks);

const MIB = 1024 * 1024;
const ENV = { TERCET_REPLICA: "a.replica" };
const BYTES = Buffer.from(Buffer.alloc(5 * MIB + 3).map((_, index) => (index * 31 + (index >> 9)) % 256));

describe.concurrent("large items by the command line", () => {
  test("from a file to another replica's, by pieces", async ({ expect }) => {
    const { run, one, path, directory } = desk(ENV);
    const served = await serve(directory);
    writeFileSync(path("in"), BYTES);
    expect(await one(["put", "large", "--file", "in", "--bytes", "--collection", "c"])).toEqual({
      id: "large",
      size: BYTES.length,
    });
    await one(["sync", "--server", served.address, "--create"]);
    await one(["sync", "--server", served.address, "--replica", "b.replica", "--collection", "c"]);
    await served.stop();
    const child = spawnTercet(["get", "large", "--replica", "b.replica"], { cwd: directory });
    const sum = createHash("sha256");
    child.stdout?.on("data", (piece: Buffer) => sum.update(piece));
    expect((await ended(child)).status).toBe(0);
    expect(sum.digest("hex")).toBe(createHash("sha256").update(BYTES).digest("hex"));
    expect((await run(["list", "--replica", "b.replica"])).stdout).toMatch(/large +5,242,883/);
    const read = await one(["get", "large", "--replica", "b.replica"]);
    expect(read["data"] === BYTES.toString("base64")).toBe(true);
  });

  test("text from standard input, and what is no text", async ({ expect }) => {
    const { run, error, path } = desk(ENV);
    await run(["init", "--collection", "c"]);
    const text = "Zürich ".repeat(300_000);
    expect((await run(["put", "t", "--file", "-"], { input: text })).stdout).toBe("put t (2,400,000 bytes)\n");
    expect((await run(["get", "t"])).stdout === `${text}\n`).toBe(true);
    expect((await run(["get", "t", "--raw"])).stdout === text).toBe(true);
    writeFileSync(path("bytes"), BYTES);
    expect(await error(["put", "b", "--file", "bytes"])).toMatchObject({ reason: "NOT_TEXT" });
    expect(await error(["put", "b", "--file", "bytes", "--replica", "new", "--collection", "c"])).toMatchObject({
      reason: "NOT_TEXT",
    });
    expect(await error(["list", "--replica", "new"])).toMatchObject({ reason: "REPLICA_NOT_FOUND" });
    expect(await error(["put", "b", "--file", "none"])).toMatchObject({ reason: "FILE_NOT_FOUND" });
    expect(await error(["get", "b"])).toMatchObject({ reason: "ITEM_NOT_FOUND" });
  });

  test("export and import have them like others", async ({ expect }) => {
    const { run, one, path } = desk(ENV);
    writeFileSync(path("in"), BYTES);
    await one(["put", "large", "--file", "in", "--bytes", "--collection", "c"]);
    await one(["export", "all.ndjson", "--wrapped"]);
    await one(["import", "all.ndjson", "--wrapped", "--replica", "b.replica", "--collection", "c"]);
    const here = await one(["get", "large"]);
    const there = await one(["get", "large", "--replica", "b.replica"]);
    expect(there["fingerprint"]).toBe(here["fingerprint"]);
    expect((await run(["verify", "--replica", "b.replica"])).status).toBe(0);
    expect(readFileSync(path("all.ndjson")).length).toBeGreaterThan(BYTES.length);
  });
});
