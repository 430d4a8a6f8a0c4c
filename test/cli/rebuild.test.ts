import { existsSync, readFileSync, writeFileSync } from "node:fs";
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

describe("a damaged replica", () => {
  test("is found out, rebuilt with what is pending, and synchronised", async ({ expect }) => {
    const here = desk({ TERCET_SERVER: server.address, TERCET_REPLICA: "a.replica" });
    const { run, one, error, path } = here;
    await run(["put", "agreed", "an agreed content", "--collection", "damaged"]);
    await one(["sync", "--create"]);
    await run(["put", "waits", "a content that waits"]);
    await run(["put", "lost", "a content that is lost"]);
    const bytes = readFileSync(path("a.replica"));
    for (const text of ["an agreed content", "a content that is lost"]) bytes.write("?", bytes.indexOf(text));
    writeFileSync(path("a.replica"), bytes);
    const found = await error(["verify"]);
    expect(found).toMatchObject({ status: 1, reason: "REPLICA_DAMAGED", damagedCount: 2 });
    expect(found["message"]).toContain("tercet rebuild FILE");
    const report = await one(["rebuild", "a.replica"], 3);
    expect(report).toMatchObject({
      replica: "a.replica",
      damaged: "a.replica.damaged",
      collection: "damaged",
      pending: 1,
      lost: ["lost"],
      missingPending: 0,
    });
    expect(readFileSync(path("a.replica.damaged")).equals(bytes)).toBe(true);
    expect(existsSync(path("a.replica.rebuilt"))).toBe(false);
    expect(await one(["sync"])).toMatchObject({ sent: 1, received: 1, verified: true });
    expect((await run(["get", "agreed"])).stdout).toBe("an agreed content\n");
    expect(await one(["verify"])).toMatchObject({ sound: true, server: { standing: "equal" } });
    expect(await error(["rebuild", "a.replica"])).toMatchObject({ status: 1, reason: "REPLICA_EXISTS" });
    const text = await run(["rebuild", "a.replica.damaged", "--to", "b.replica"]);
    expect(text.status).toBe(3);
    expect(text.stdout).toMatch(
      /^b\.replica: replica of damaged, rebuilt; .*\n {2}saved {6}1 pending change, 0 conflict/,
    );
  });

  test("of which SQLite can't make anything says what to do", async ({ expect }) => {
    const { run, error, path } = desk({ TERCET_REPLICA: "a.replica" });
    await run(["put", "waits", "a content that waits", "--collection", "c"]);
    const bytes = readFileSync(path("a.replica"));
    writeFileSync(path("a.replica"), bytes.fill(0, 0, 4096));
    const told = await error(["list"]);
    expect(told["message"]).toContain("tercet rebuild FILE");
    expect((await run(["rebuild", "a.replica"])).status).toBe(0);
    expect((await run(["get", "waits"])).stdout).toBe("a content that waits\n");
  });

  test("that does not tell its collection asks for the name, and not to be rebuilt", async ({ expect }) => {
    const { run, error, path } = desk({ TERCET_REPLICA: "a.replica" });
    await run(["put", "waits", "a content that waits", "--collection", "the-name"]);
    const bytes = readFileSync(path("a.replica"));
    bytes.fill(0xff, bytes.indexOf("the-name"), bytes.indexOf("the-name") + 8);
    writeFileSync(path("a.replica"), bytes);
    const told = await error(["rebuild", "a.replica"]);
    expect(told).toMatchObject({ status: 1, code: "DATA_LOSS", reason: "REPLICA_DAMAGED" });
    expect(told["message"]).toBe(
      "a.replica does not tell the name of its collection any more: name it by the option collection: tercet rebuild FILE --collection NAME",
    );
    const unusable = await error(["rebuild", "a.replica", "--collection", "no name"]);
    expect(unusable).toMatchObject({ status: 1, reason: "INVALID_COLLECTION_NAME" });
    expect((await run(["rebuild", "a.replica", "--collection", "the-name"])).status).toBe(0);
    expect((await run(["get", "waits"])).stdout).toBe("a content that waits\n");
  });
});
