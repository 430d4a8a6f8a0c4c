import { readdirSync, statSync, writeFileSync } from "node:fs";
import { afterAll, describe, test } from "vitest";
import { type Desk, desk, endDesks, type Served, serve } from "../cli/harness.js";

afterAll(endDesks);

/** Each command is a process of its own, and there are dozens. */
const PATIENCE_MS = 120_000;

/** A desk with a server on its folder `data`, which ends with the test. */
async function withServer(work: (desk: Desk, at: readonly string[], served: Served) => Promise<void>): Promise<void> {
  const own = desk();
  const served = await serve(own.directory);
  try {
    await work(own, ["--server", served.address], served);
  } finally {
    await served.stop();
  }
}

describe.concurrent("tercet backup and restore", { timeout: PATIENCE_MS }, () => {
  test("copy a server that goes on, and make a server of it that its replicas fill up again", async ({ expect }) => {
    await withServer(async ({ run, one, path, directory }, at, served) => {
      await run(["put", "before", "1", "--replica", "a", "--collection", "places"]);
      await run(["put", "deleted", "1", "--replica", "a"]);
      await one(["sync", "--replica", "a", "--create", ...at]);
      await one(["collections", "create", "empty", ...at]);
      const said = await run(["backup", "--data", "data", "--to", "text.backup"]);
      expect(said).toMatchObject({ status: 0, stderr: "" });
      expect(said.stdout).toMatch(
        /^backed data up to text\.backup \(\d+ KiB\)\n {2}empty {2}0 items, revision 0\n {2}places {2}2 items, revision 2\n$/,
      );
      const backup = await one(["backup", "--data", "data", "--to", "json.backup"]);
      const collections = [
        { name: "empty", items: 0, revision: 0 },
        { name: "places", items: 2, revision: 2 },
      ];
      const { size: bytes } = statSync(path("json.backup"));
      expect(backup).toEqual({ data: "data", file: "json.backup", bytes, collections });
      // Nothing beside the two, and the server goes on.
      expect(readdirSync(directory).filter((name) => name.includes("backup"))).toHaveLength(2);
      await run(["put", "after", "1", "--replica", "a"]);
      await run(["delete", "deleted", "--replica", "a"]);
      expect(await one(["sync", "--replica", "a", ...at])).toMatchObject({ verified: true, revision: 4 });
      await served.stop();

      const restored = await one(["restore", "json.backup", "--data", "restored/data"]);
      expect(restored).toEqual({ data: "restored/data", file: "json.backup", bytes, collections });
      const again = await serve(path("restored"));
      try {
        const report = await one(["sync", "--replica", "a", "--server", again.address]);
        expect(report).toMatchObject({ verified: true, count: 3 });
        const listed = await one(["collections", "get", "places", "--server", again.address]);
        expect(listed).toMatchObject({ count: 3, revision: 3 });
      } finally {
        await again.stop();
      }
      const words = await run(["restore", "text.backup", "--data", "words"]);
      expect(words.stdout).toMatch(/^restored text\.backup \(\d+ KiB\) to words\n {2}empty .*\n {2}places .*\n/);
      expect(words.stdout.replaceAll("\n", " ")).toMatch(
        /Replicas find out at their next sync that the server was restored.*offer back what it lost.*deletion was acknowledged after the backup may return\. $/,
      );
    });
  });

  test("replace nothing, and say why they can't", async ({ expect }) => {
    await withServer(async ({ run, one, error, path, directory }, _, served) => {
      writeFileSync(path("mine"), "mine");
      writeFileSync(path("text"), "no backup, but long enough to be taken for one ".repeat(30));
      await one(["backup", "--data", "data", "--to", "good"]);
      const [exists, none, nowhere, busy, missing, foreign, noTo, noFile] = await Promise.all([
        error(["backup", "--data", "data", "--to", "mine"]),
        error(["backup", "--data", "none", "--to", "b"]),
        error(["backup", "--data", "data", "--to", "no/where"]),
        error(["restore", "good", "--data", "data"]),
        error(["restore", "none", "--data", "new"]),
        error(["restore", "text", "--data", "other/new"]),
        error(["backup", "--data", "data"]),
        error(["restore"]),
      ]);
      expect(exists).toMatchObject({ status: 1, code: "ALREADY_EXISTS", reason: "STORAGE_EXISTS" });
      expect(none).toMatchObject({ status: 1, reason: "STORAGE_FAILED" });
      expect(none["message"]).toContain("there is no data to back up");
      expect(nowhere).toMatchObject({ status: 1, reason: "STORAGE_FAILED" });
      expect(busy).toMatchObject({ status: 1, code: "UNAVAILABLE", reason: "STORAGE_BUSY" });
      expect(missing["message"]).toContain("there is no backup at none");
      expect(foreign).toMatchObject({ status: 1, code: "FAILED_PRECONDITION", reason: "STORAGE_FOREIGN" });
      expect(noTo).toMatchObject({ status: 2, reason: "USAGE", message: "name the file to make by --to FILE" });
      expect(noFile).toMatchObject({ status: 2, reason: "USAGE" });
      await served.stop();
      expect(await error(["restore", "good", "--data", "data"])).toMatchObject({
        status: 1,
        code: "ALREADY_EXISTS",
        reason: "STORAGE_EXISTS",
      });
      const text = await run(["restore", "good", "--data", "data"]);
      expect(text.stderr).toMatch(/^tercet restore: cannot restore data\/tercet\.db: it is there already.*\n$/);
      expect(readdirSync(directory).sort()).toEqual(["data", "good", "mine", "text"]);
    });
  });
});

describe.concurrent("tercet compact", { timeout: PATIENCE_MS }, () => {
  test("forgets deletions, after which an old replica still ends equal", async ({ expect }) => {
    await withServer(async ({ run, one }, at) => {
      await run(["put", "kept", "1", "--replica", "a", "--collection", "places"]);
      await run(["put", "gone", "1", "--replica", "a"]);
      await one(["sync", "--replica", "a", "--create", ...at]);
      await one(["sync", "--replica", "old", "--collection", "places", ...at]);
      await run(["delete", "gone", "--replica", "a"]);
      await one(["sync", "--replica", "a", ...at]);
      const none = await run(["compact", "places", ...at]);
      expect(none).toEqual({ status: 0, stdout: "places: no deletions are that old\n", stderr: "" });
      expect(await one(["compact", "places", "--older-than", "0.5", ...at])).toEqual({
        collection: "places",
        compactedRevision: 0,
      });
      const said = await run(["compact", "places", "--through", "99", ...at]);
      expect(said.stdout).toBe("places: deletions up to revision 3 are forgotten\n");
      expect(await one(["compact", "places", ...at])).toMatchObject({ compactedRevision: 3 });
      expect(await one(["collections", "get", "places", ...at])).toMatchObject({ compactedRevision: 3 });
      expect(await one(["sync", "--replica", "old", ...at])).toMatchObject({ verified: true, count: 1, sent: 0 });
      expect((await run(["list", "--replica", "old"])).stdout).not.toContain("gone");
    });
  });

  test("is refused what makes no sense", async ({ expect }) => {
    await withServer(async ({ error }, at) => {
      const usage = { status: 2, reason: "USAGE" };
      const [both, negative, age, part, nothing, unknown] = await Promise.all([
        error(["compact", "c", "--through", "1", "--older-than", "1", ...at]),
        error(["compact", "c", "--through", "-1", ...at]),
        error(["compact", "c", "--older-than", "-1", ...at]),
        error(["compact", "c", "--through", "1.5", ...at]),
        error(["compact", ...at]),
        error(["compact", "none", ...at]),
      ]);
      for (const refused of [both, negative, age, part, nothing]) expect(refused).toMatchObject(usage);
      expect(unknown).toMatchObject({ status: 1, code: "NOT_FOUND", reason: "COLLECTION_NOT_FOUND" });
    });
  });
});

describe.concurrent("tercet serve", { timeout: PATIENCE_MS }, () => {
  test("refuses retentions that make no sense, and has them in its help", async ({ expect }) => {
    const { run } = desk();
    const refused = [
      ["--tombstone-days", "-1"],
      ["--tombstone-days", "x"],
      ["--conflict-days", "36501"],
    ].map(async ([option = "", value = ""]) => {
      const { status, stderr } = await run(["serve", "--port", "0", option, value]);
      expect(status).toBe(2);
      expect(stderr).toContain(`${option} must be a number from 0 to 36500`);
    });
    await Promise.all(refused);
    const help = (await run(["serve", "--help"])).stdout.replace(/\s+/g, " ");
    expect(help).toContain("0: for ever (0 to 36500) [number] [default: 30]");
    expect(help).toContain("0: for ever (0 to 36500) [number] [default: 90]");
  });
});
