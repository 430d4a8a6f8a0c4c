import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { CONTENT_BYTES, contentOf, FIRST_VERSION, idOf, uuidOf } from "../../scripts/bench/items.js";

describe("the items of the bench", () => {
  test("have the ids that are said", () => {
    expect(idOf("ordered", 42)).toBe("item-00000042");
    expect(idOf("random", 42)).toBe(uuidOf(42));
  });

  test("have version 4 UUIDs that are the same everywhere, in no order, each once", () => {
    const uuids = Array.from({ length: 10_000 }, (_, index) => uuidOf(index));
    expect(uuids[0]).toBe("7457fa24-91b9-4185-af2f-32a520e8f87a");
    expect(uuids.every((uuid) => /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/.test(uuid))).toBe(
      true,
    );
    expect(new Set(uuids).size).toBe(uuids.length);
    expect(uuids).not.toEqual([...uuids].sort());
  });

  test("have contents of JSON, of one size, the same each time, that do not compress", () => {
    const contents = Array.from({ length: 1000 }, (_, index) => contentOf(index, FIRST_VERSION));
    expect(contents).toEqual(contents.map((_, index) => contentOf(index, FIRST_VERSION)));
    expect(contents.every((content) => Buffer.byteLength(content) === CONTENT_BYTES)).toBe(true);
    expect(JSON.parse(contents[7] ?? "")).toMatchObject({ number: 7 });
    // Base64 has 6 bits in a byte, and the rest of a content is little.
    expect(gzipSync(contents.join("")).length).toBeGreaterThan(0.6 * CONTENT_BYTES * contents.length);
  });
});
