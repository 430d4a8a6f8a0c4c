import { afterAll, beforeAll, describe, test } from "vitest";
import { desk, endDesks, type Served, serveForAll } from "./harness.js";

afterAll(endDesks);

let server: Served;
beforeAll(async () => {
  server = await serveForAll();
});
afterAll(async () => {
  await server.stop();
});

describe("collections of a server", () => {
  test("create, get, list and delete", async ({ expect }) => {
    const { run, one, json, error } = desk({ TERCET_SERVER: server.address });
    const { created, ...made } = await one(["collections", "create", "b", "--standard", "client"]);
    expect(created).toBe(true);
    expect(made).toEqual({
      name: "b",
      uid: expect.stringMatching(/^[0-9a-f]{32}$/),
      standard: "CLIENT",
      revision: 0,
      count: 0,
      fingerprint: "0".repeat(64),
      createTime: expect.stringMatching(/Z$/),
      compactedRevision: 0,
      conflicts: 0,
    });
    expect((await run(["collections", "create", "a"])).stdout).toBe("created a\n");
    expect((await run(["collections", "create", "a"])).stdout).toBe("was there: a\n");
    const [got, listed, text, again, bad] = await Promise.all([
      one(["collections", "get", "b"]),
      json(["collections", "list"]),
      run(["collections", "list"]),
      error(["collections", "create", "b", "--standard", "SERVER"]),
      error(["collections", "create", "no name"]),
    ]);
    expect(got).toEqual(made);
    expect(listed.map(({ name, standard }) => [name, standard])).toEqual([
      ["a", null],
      ["b", "CLIENT"],
    ]);
    expect(text.stdout).toMatch(
      /^NAME +ITEMS +REVISION +STANDARD +FINGERPRINT\na +0 +0 +- +0{12}\nb +0 +0 +CLIENT +0{12}\n$/,
    );
    expect(again).toMatchObject({ status: 1, code: "ALREADY_EXISTS", reason: "COLLECTION_EXISTS" });
    expect(bad).toMatchObject({ status: 1, reason: "INVALID_COLLECTION_NAME", fields: [{ field: "collection" }] });

    // Nobody can be asked here.
    expect(await error(["collections", "delete", "b"])).toMatchObject({ status: 2, reason: "USAGE" });
    expect(await one(["collections", "delete", "b", "--yes"])).toEqual({ deleted: "b", uid: made["uid"], count: 0 });
    expect(await error(["collections", "get", "b"])).toMatchObject({ status: 1, reason: "COLLECTION_NOT_FOUND" });
    expect((await run(["collections", "get", "a"])).stdout).toMatch(/^a\n {2}items {8}0\n/);
  });
});
