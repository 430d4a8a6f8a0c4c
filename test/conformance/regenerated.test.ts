import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { buildVectors } from "../../scripts/vectors/build.js";
import { listVectors, VECTORS } from "./read.js";

const hint = "the protocol and the vectors differ; if that is meant, `npm run vectors` writes them anew";

test("the vectors are what this version makes of the same stories", () => {
  const built = buildVectors();
  expect([...listVectors()].sort(), hint).toEqual([...built.keys()].sort());
  const differing = [...built].filter(([name, text]) => readFileSync(new URL(name, VECTORS), "utf8") !== text);
  expect(
    differing.map(([name]) => name),
    hint,
  ).toEqual([]);
});
