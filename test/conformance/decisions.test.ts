import { describe, expect, test } from "vitest";
import { type ClientFace, compare, compareRecovered, type KnownState } from "../../core/compare.js";
import { judge, type Version } from "../../core/standard.js";
import { changeStandardFromJSON } from "../../gen/tercet/v1/item.js";
import { standardInForce } from "../../server/protocol/opening.js";
import { clampTime } from "../../server/protocol/validate-push.js";
import { readVectors, unhex } from "./read.js";

describe("comparison.json", () => {
  interface State {
    readonly content: string | null;
    readonly revision: number;
  }
  interface Case {
    readonly client: {
      readonly base?: State;
      readonly pending?: { readonly content: string | null };
      readonly sendings: readonly (string | null)[];
    };
    readonly server: State;
    readonly fork?: number;
    readonly comparison: string;
  }
  interface Vectors {
    readonly contents: Readonly<Record<string, string>>;
    readonly comparisons: Readonly<Record<string, string>>;
    readonly cases: readonly Case[];
    readonly recoveryCases: readonly Case[];
  }
  const { contents, comparisons, cases, recoveryCases } = readVectors<Vectors>("comparison.json");
  const print = (content: string | null): Uint8Array | undefined =>
    content === null ? undefined : unhex(contents[content] as string);
  const known = ({ content, revision }: State): KnownState => ({ fingerprint: print(content), revision });
  const faceOf = ({ base, pending, sendings }: Case["client"]): ClientFace => {
    return {
      base: base && known(base),
      pending: pending && { fingerprint: print(pending.content) },
      sendings: sendings.map(print),
    };
  };
  const label = ({ client, server, fork }: Case): string => JSON.stringify({ client, server, fork });

  test("every comparison occurs", () => {
    const found = [...cases, ...recoveryCases].map(({ comparison }) => comparison);
    expect([...new Set(found)].sort()).toEqual(Object.keys(comparisons).sort());
  });

  test("cases", () => {
    const wrong = cases.filter((each) => compare(faceOf(each.client), known(each.server)) !== each.comparison);
    expect(wrong.map(label)).toEqual([]);
  });

  test("cases of recovery", () => {
    const wrong = recoveryCases.filter(({ client, server, fork = 0, comparison }) => {
      return compareRecovered(faceOf(client), known(server), fork) !== comparison;
    });
    expect(wrong.map(label)).toEqual([]);
  });
});

describe("standards.json", () => {
  interface Side {
    readonly fingerprint: string | null;
    readonly modifyTimeUs?: string;
    readonly groupTimesUs?: readonly string[];
  }
  interface Judgement {
    readonly name: string;
    readonly standard: string;
    readonly mine: Side;
    readonly theirs: Side;
    readonly prevails: string;
  }
  interface Clamped {
    readonly name: string;
    readonly serverClockUs: string;
    readonly skewUs: string;
    readonly modifyTimeUs: string;
    readonly storedUs: string;
  }
  interface Vectors {
    readonly inForce: readonly { readonly collection: string; readonly client: string; readonly inForce: string }[];
    readonly judgements: readonly Judgement[];
    readonly clamped: readonly Clamped[];
    readonly groups: readonly Judgement[];
  }
  const { inForce, judgements, clamped, groups } = readVectors<Vectors>("standards.json");
  const version = ({ fingerprint, modifyTimeUs, groupTimesUs }: Side): Version => {
    const times = groupTimesUs ?? [modifyTimeUs ?? "0"];
    return {
      fingerprint: fingerprint === null ? undefined : unhex(fingerprint),
      modifyTimeUs: Math.max(...times.map(Number)),
    };
  };

  test.each(inForce)("of $collection and $client $inForce is in force", ({ collection, client, inForce: expected }) => {
    const standard = standardInForce(changeStandardFromJSON(collection), changeStandardFromJSON(client));
    expect(standard).toBe(changeStandardFromJSON(expected));
  });

  test.each([...judgements, ...groups])("$standard, $name", ({ standard, mine, theirs, prevails }) => {
    expect(judge(changeStandardFromJSON(standard), version(mine), version(theirs))).toBe(prevails);
  });

  test.each(clamped)("a time $name", ({ serverClockUs, skewUs, modifyTimeUs, storedUs }) => {
    const rules = { nowUs: Number(serverClockUs), skewUs: Number(skewUs) };
    expect(clampTime(Number(modifyTimeUs), rules)).toBe(Number(storedUs));
  });
});
