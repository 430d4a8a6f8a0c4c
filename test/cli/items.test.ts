import { readFileSync, writeFileSync } from "node:fs";
import { afterAll, describe, test } from "vitest";
import { desk, endDesks } from "./harness.js";

afterAll(endDesks);

const ENV = { TERCET_REPLICA: "a.replica" };

describe.concurrent("items of a replica", () => {
  test("init, put, get, list and delete, in text", async ({ expect }) => {
    const { run } = desk(ENV);
    expect((await run(["init", "--collection", "places"])).stdout).toBe("made a.replica, a replica of places\n");
    expect((await run(["put", "zrh", "Zürich"])).stdout).toBe("put zrh (7 bytes)\n");
    await run(["put", "gva", '{"name": "Genf"}']);
    expect((await run(["get", "zrh"])).stdout).toBe("Zürich\n");
    expect((await run(["get", "zrh", "--raw"])).stdout).toBe("Zürich");
    const list = (await run(["list"])).stdout.split("\n");
    expect(list[0]).toMatch(/^ID +BYTES +MODIFIED/);
    expect(list[1]).toMatch(/^gva +16 +\d{4}-.*Z +pending$/);
    expect(list[2]).toMatch(/^zrh +7 /);
    expect(await run(["delete", "zrh"])).toEqual({ status: 0, stdout: "deleted 1 item\n", stderr: "" });
    expect((await run(["pending"])).stdout).toMatch(/^ID +CHANGE .*\ngva +upserted +16 /);
  });

  test("the same in JSON, with names that stay", async ({ expect }) => {
    const { one, json } = desk(ENV);
    expect(await one(["init", "--collection", "places"])).toEqual({
      replica: "a.replica",
      collection: "places",
      replicaId: expect.stringMatching(/^[0-9a-f]{32}$/),
    });
    expect(await one(["put", "zrh", "Z"])).toEqual({ id: "zrh", size: 1 });
    const item = {
      id: "zrh",
      size: 1,
      fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/),
      modifyTime: expect.stringMatching(/Z$/),
      pending: true,
    };
    expect(await one(["get", "zrh"])).toEqual({ ...item, text: "Z" });
    expect(await json(["list"])).toEqual([item]);
    const change = {
      id: "zrh",
      kind: "upserted",
      size: 1,
      modifyTime: expect.any(String),
      rejected: null,
      held: false,
      group: null,
    };
    expect(await json(["pending"])).toEqual([change]);
    expect(await one(["status"])).toEqual({
      collection: "places",
      collectionUid: "",
      replicaId: expect.any(String),
      items: 1,
      pending: 1,
      rejected: 0,
      held: 0,
      conflicts: 0,
      revision: 0,
      recovering: false,
      agreed: { count: 0, fingerprint: "0".repeat(64) },
      server: null,
    });
    expect(await one(["verify"])).toMatchObject({ sound: true, pending: 1, server: null });
    expect(await one(["delete", "zrh", "nope"], 1)).toEqual({ deleted: ["zrh"], missing: ["nope"] });
    expect(await json(["list"])).toEqual([]);
    expect(await json(["conflicts", "list"])).toEqual([]);
  });

  test("contents from files and standard input, as text and as bytes", async ({ expect }) => {
    const { run, one, error, path } = desk(ENV);
    const bytes = Buffer.from([0, 255, 10, 1]);
    writeFileSync(path("bytes"), bytes);
    writeFileSync(path("text"), "line\n");
    await run(["put", "t", "--file", "text", "--collection", "c"]);
    await run(["put", "b", "--file", "bytes", "--bytes"]);
    await run(["put", "i", "--file", "-"], { input: "from a pipe" });
    expect(await one(["get", "t"])).toMatchObject({ text: "line\n" });
    expect(await one(["get", "b"])).toMatchObject({ data: bytes.toString("base64"), size: 4 });
    expect(await one(["get", "i"])).toMatchObject({ text: "from a pipe" });
    expect(await error(["put", "x", "--file", "bytes"])).toMatchObject({ status: 1, reason: "NOT_TEXT" });
    expect(await error(["put", "x", "--file", "none"])).toMatchObject({ status: 1, reason: "FILE_NOT_FOUND" });
    expect(readFileSync(path("text"), "utf8")).toBe("line\n");
  });

  test("ids and contents that look like numbers or flags stay what they are", async ({ expect }) => {
    const { run, one, json } = desk(ENV);
    await run(["put", "007", "1e3", "--collection", "c"]);
    await run(["put", "--", "-x", "--json"]);
    expect(await one(["get", "007"])).toMatchObject({ id: "007", text: "1e3" });
    expect((await run(["get", "--", "-x"])).stdout).toBe("--json\n");
    expect(await one(["delete", "007"])).toEqual({ deleted: ["007"], missing: [] });
    expect((await json(["list"])).map(({ id }) => id)).toEqual(["-x"]);
  });

  test("list by prefix, after an id, and no more than a limit", async ({ expect }) => {
    const { run, json, path, error } = desk(ENV);
    const ids = Array.from({ length: 250 }, (_, at) => `i-${String(at).padStart(3, "0")}`);
    writeFileSync(path("items.ndjson"), ids.map((id) => JSON.stringify({ id })).join("\n"));
    await run(["import", "items.ndjson", "--id", "id", "--collection", "c"]);
    const listed = await json(["list", "--prefix", "i-1", "--after", "i-120", "--limit", "3"]);
    expect(listed.map(({ id }) => id)).toEqual(["i-121", "i-122", "i-123"]);
    const text = (await run(["list"])).stdout.trimEnd().split("\n");
    expect(text.map((line) => line.split(" ")[0])).toEqual(["ID", ...ids]);
    expect(await error(["list", "--limit", "-1"])).toMatchObject({ status: 2, reason: "USAGE" });
    expect(await error(["list", "--limit", "many"])).toMatchObject({ status: 2, reason: "USAGE" });
  });
});
