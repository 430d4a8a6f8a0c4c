import { readFileSync, writeFileSync } from "node:fs";
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

/** A desk where replica a holds `zrh` in conflict with what b has sent. */
async function heldConflict(collection: string) {
  const here = desk({ TERCET_SERVER: server.address });
  const a = (args: readonly string[]) => [...args, "--replica", "a.replica"];
  const b = (args: readonly string[]) => [...args, "--replica", "b.replica"];
  await here.run(a(["put", "zrh", "first", "--collection", collection]));
  await here.one(a(["sync", "--create"]));
  await here.one(b(["sync", "--collection", collection]));
  await here.run(a(["put", "zrh", "mine"]));
  await here.run(b(["put", "zrh", "theirs"]));
  await here.one(b(["sync"]));
  return { here, a, b };
}

describe.concurrent("conflicts", () => {
  test("a dry run tells how they would end, and changes nothing", async ({ expect }) => {
    const { here, a } = await heldConflict("dry");
    const before = readFileSync(here.path("a.replica"));
    const dry = await here.one(a(["sync", "--dry-run", "--standard", "newest"]), 3);
    expect(dry).toMatchObject({ dryRun: true, conflicts: [{ id: "zrh", prevailed: "theirs" }], recovery: null });
    const text = await here.run(a(["sync", "--dry-run", "--standard", "client"]));
    expect(text.stdout).toContain("dry: dry run, nothing was changed: a sync with");
    expect(text.stdout).toContain("  would send 1 item\n");
    expect(readFileSync(here.path("a.replica")).equals(before)).toBe(true);
  });

  test("MANUAL holds both versions, which can be shown and resolved", async ({ expect }) => {
    const { here, a, b } = await heldConflict("manual");
    const text = await here.run(a(["sync", "--standard", "MANUAL"]));
    expect(text.status).toBe(3);
    expect(text.stdout).toContain("    zrh: held, both versions are kept until it is resolved (MANUAL)\n");
    expect(text.stdout).toContain(
      "  1 item is held in conflict: tercet conflicts list, then tercet conflicts resolve ID",
    );
    const hex = expect.stringMatching(/^[0-9a-f]{64}$/);
    expect(await here.json(a(["conflicts", "list"]))).toMatchObject([
      { held: true, id: "zrh", mine: hex, theirs: hex },
    ]);
    expect((await here.run(a(["conflicts", "list"]))).stdout).toMatch(/^NUMBER .*\nHELD +zrh +upserted /);
    expect(await here.one(a(["conflicts", "show", "zrh"]))).toMatchObject({
      mineContent: { text: "mine" },
      theirsContent: { text: "theirs" },
    });
    expect((await here.run(a(["conflicts", "show", "zrh"]))).stdout).toMatch(
      /^zrh is held in conflict\n\nmine, .*:\nmine\n\ntheirs, .*:\ntheirs\n$/,
    );
    expect((await here.run(a(["pending"]))).stdout).toMatch(/zrh +upserted +4 .* - +HELD in conflict\n$/);
    expect((await here.run(a(["status", "--json"]))).stdout).toContain('"held":1');
    const none = await here.error(a(["conflicts", "resolve", "gva", "--take", "mine"]));
    expect(none).toMatchObject({ status: 1, reason: "ITEM_HELD" });
    writeFileSync(here.path("merged"), "both");
    expect(await here.one(a(["conflicts", "resolve", "zrh", "--take", "merged"]))).toEqual({ id: "zrh", take: "file" });
    await here.one(a(["sync"]), 3);
    await here.one(b(["sync"]));
    expect((await here.run(b(["get", "zrh"]))).stdout).toBe("both\n");
    // What this side had is in a record.
    expect(await here.json(a(["conflicts", "list"]))).toMatchObject([{ number: 1, standard: "MANUAL" }]);
    expect(await here.one(a(["conflicts", "prune", "--older-than", "1"]))).toEqual({ removed: 0 });
    expect(await here.one(a(["conflicts", "prune", "--older-than", "0"]))).toEqual({ removed: 1 });
  });

  test("a record of the server is restored there", async ({ expect }) => {
    const { here, a, b } = await heldConflict("restore");
    await here.run(a(["sync", "--standard", "CLIENT"]));
    const at = ["--server", server.address, "--collection", "restore"];
    const restored = await here.one(["conflicts", "restore", "1", ...at]);
    expect(restored).toMatchObject({ number: 1, id: "zrh", revision: expect.any(Number) });
    await here.one(b(["sync"]));
    expect((await here.run(b(["get", "zrh"]))).stdout).toBe("theirs\n");
  });

  test("verify names every item that differs", async ({ expect }) => {
    const { here, a } = await heldConflict("verify");
    const behind = await here.one(a(["verify"]));
    expect(behind).toMatchObject({
      sound: true,
      server: { standing: "behind" },
      comparison: { equal: false, differences: [{ id: "zrh", kind: "newer" }] },
    });
    expect((await here.run(a(["verify", "--no-deep"]))).stdout).toMatch(
      /^replica {2}not checked: 1 item .*\nserver {3}the replica is behind by 1 revision.*\n {2}zrh: the server changed it since/,
    );
  });
});
