import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { printOf, sumOf } from "./build.js";

const proto = readFileSync(new URL("../../proto/tercet/v1/item.proto", import.meta.url), "utf8");

describe("the test vector in item.proto", () => {
  const items = { a: "1", b: "2", "\u00e9": "" };

  it("is what this implementation computes", () => {
    const prints = Object.entries(items).map(([id, content]) => printOf(id, content).value.toString("hex"));
    const { count, sum } = sumOf(items);
    expect(count).toBe(3);
    expect([...prints, sum.toString("hex")]).toEqual([
      "05a9c569a185ac60f5511f9760bc3f1ac046b20d18db2ad4d8fa86eda4f5b28e",
      "68960076a8d49f6aa1a5890f331ef5fc24711c6574fb653447552e793b368d03",
      "6133f2d2dc6cad8dbbfc80f0fb587d3e61469954c82d906cce85239e4c6c8bbd",
      "ce72b8b226c7f95852f429978f33b25546fe67c754042175eed5d8042d98cb4f",
    ]);
  });

  it("stands there as it is computed", () => {
    const stated = [...proto.matchAll(/^\/\/ {3}.* ([0-9a-f]{64})$/gm)].map(([, hex]) => hex);
    const prints = Object.entries(items).map(([id, content]) => printOf(id, content).value.toString("hex"));
    expect(stated).toEqual([...prints, sumOf(items).sum.toString("hex")]);
  });
});
