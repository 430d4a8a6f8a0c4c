import { describe, expect, test } from "vitest";
import { compare, compareRecovered } from "../../core/compare.js";
import { judge } from "../../core/standard.js";
import { changeStandardFromJSON } from "../../gen/tercet/v1/item.js";
import { standardInForce } from "../../server/protocol/opening.js";
import { clampTime } from "../../server/protocol/validate-push.js";
import { readComparisons, readJudgements } from "./decision-vectors.js";
import { readVectors } from "./read.js";

describe("comparison.json", () => {
  const { cases, names } = readComparisons();

  test("every comparison occurs", () => {
    expect([...new Set(cases.map(({ comparison }) => comparison))].sort()).toEqual([...names].sort());
  });

  test("cases, of recovery too", () => {
    const wrong = cases.filter(({ client, server, fork, comparison }) => {
      const found = fork === undefined ? compare(client, server) : compareRecovered(client, server, fork);
      return found !== comparison;
    });
    expect(wrong.map(({ label }) => label)).toEqual([]);
  });
});

describe("standards.json", () => {
  interface Clamped {
    readonly name: string;
    readonly serverClockUs: string;
    readonly skewUs: string;
    readonly modifyTimeUs: string;
    readonly storedUs: string;
  }
  interface Vectors {
    readonly inForce: readonly { readonly collection: string; readonly client: string; readonly inForce: string }[];
    readonly clamped: readonly Clamped[];
  }
  const { inForce, clamped } = readVectors<Vectors>("standards.json");

  test.each(inForce)("of $collection and $client $inForce is in force", ({ collection, client, inForce: expected }) => {
    const standard = standardInForce(changeStandardFromJSON(collection), changeStandardFromJSON(client));
    expect(standard).toBe(changeStandardFromJSON(expected));
  });

  test.each(readJudgements())("$standard, $name", ({ standard, mine, theirs, prevails }) => {
    const version = ({ fingerprint, timeUs }: typeof mine) => ({ fingerprint, modifyTimeUs: timeUs });
    expect(judge(changeStandardFromJSON(standard), version(mine), version(theirs))).toBe(prevails);
  });

  test.each(clamped)("a time $name", ({ serverClockUs, skewUs, modifyTimeUs, storedUs }) => {
    const rules = { nowUs: Number(serverClockUs), skewUs: Number(skewUs) };
    expect(clampTime(Number(modifyTimeUs), rules)).toBe(Number(storedUs));
  });
});
