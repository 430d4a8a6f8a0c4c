import { describe, expect, test } from "vitest";
import { fingerprintOf } from "../../core/fingerprint.js";
import { checkCollectionName, compareIds, idProblem, prefixEnd, separator } from "../../core/id.js";
import { decodeBounds, encodeBounds } from "../../core/id-bounds.js";
import { fromPageChanges, toChangeInfo, toPageChanges } from "../../core/page.js";
import { createRangeSum, totalOf } from "../../core/range-sum.js";
import { shortSumOf } from "../../core/reconcile.js";
import { ChangeInfo } from "../../gen/tercet/v1/item.js";
import { ChangePage, IdBounds } from "../../gen/tercet/v1/sync.js";
import { seeded } from "../../scripts/vectors/independent.js";
import type { Json } from "../../scripts/vectors/json-text.js";
import { protoFromJson, protoToJson } from "../../scripts/vectors/proto-json.js";
import { readVectors, unhex } from "./read.js";

describe("fingerprints.json", () => {
  interface Case {
    readonly name: string;
    readonly id: string;
    readonly text?: string;
    readonly data?: string;
    readonly seed?: { readonly seed: string; readonly size: number };
    readonly fingerprint: string;
  }
  const { cases } = readVectors<{ cases: readonly Case[] }>("fingerprints.json");

  test.each(cases)("$name", ({ id, text, data, seed, fingerprint }) => {
    const content = text ?? (seed === undefined ? unhex(data ?? "") : seeded(seed.seed, seed.size));
    expect(fingerprintOf(id, content).toString("hex")).toBe(fingerprint);
  });
});

describe("range-fingerprints.json", () => {
  interface Case {
    readonly name: string;
    readonly add?: readonly string[];
    readonly addNumbered?: number;
    readonly subtract: readonly string[];
    readonly count: number;
    readonly sum: string;
    readonly low8: string;
  }
  const { cases } = readVectors<{ cases: readonly Case[] }>("range-fingerprints.json");

  test.each(cases)("$name", ({ add = [], addNumbered = 0, subtract, count, sum: expected, low8 }) => {
    const sum = createRangeSum();
    for (const print of subtract) sum.subtract(unhex(print));
    for (const print of add) sum.add(unhex(print));
    for (let at = 0; at < addNumbered; at++) sum.add(fingerprintOf(`item-${at}`, `${at}`));
    const total = totalOf(sum);
    expect(total.count).toBe(count);
    expect(Buffer.from(total.sum).toString("hex")).toBe(expected);
    expect(Buffer.from(shortSumOf(total)).toString("hex")).toBe(low8);
  });
});

describe("ids.json", () => {
  const vectors = readVectors<{
    readonly ordered: readonly string[];
    readonly ids: readonly { readonly name: string; readonly id: string; readonly valid: boolean }[];
    readonly notUtf8: readonly string[];
    readonly collectionNames: readonly { readonly name: string; readonly valid: boolean }[];
    readonly prefixes: readonly { readonly prefix: string; readonly end: string | null }[];
    readonly separators: readonly { readonly before: string; readonly after: string; readonly separator: string }[];
    readonly bounds: readonly { readonly bounds: readonly string[]; readonly coded: Json }[];
    readonly badBounds: readonly { readonly name: string; readonly coded: Json }[];
  }>("ids.json");
  const boundsOf = (coded: Json): IdBounds => IdBounds.decode(protoFromJson("IdBounds", coded));

  test("any two ids compare as they stand", () => {
    vectors.ordered.forEach((a, i) => {
      vectors.ordered.forEach((b, j) => {
        expect(Math.sign(compareIds(a, b))).toBe(Math.sign(i - j));
      });
    });
  });

  test.each(vectors.ids)("id: $name", ({ id, valid }) => {
    expect(idProblem(id) === undefined).toBe(valid);
  });

  test.each(vectors.notUtf8)("bytes that are not UTF-8: %s", (bytes) => {
    const decode = (): string => new TextDecoder("utf-8", { fatal: true }).decode(unhex(bytes));
    expect(decode).toThrow();
  });

  test.each(vectors.collectionNames)("collection $name", ({ name, valid }) => {
    expect(checkCollectionName(name) === undefined).toBe(valid);
  });

  test.each(vectors.prefixes)("prefix $prefix", ({ prefix, end }) => {
    expect(prefixEnd(prefix) ?? null).toBe(end);
  });

  test.each(vectors.separators)("between $before and $after", ({ before, after, separator: expected }) => {
    expect(separator(before, after)).toBe(expected);
  });

  test.each(vectors.bounds)("bounds $bounds", ({ bounds, coded }) => {
    expect(decodeBounds(boundsOf(coded))).toEqual(bounds);
    const bytes = IdBounds.encode(encodeBounds(bounds)).finish();
    expect(protoToJson("IdBounds", bytes)).toEqual(coded);
  });

  test.each(vectors.badBounds)("bad bounds: $name", ({ coded }) => {
    expect(decodeBounds(boundsOf(coded))).toBeUndefined();
  });
});

describe("pages.json", () => {
  interface Read {
    readonly name: string;
    readonly page: Json;
    readonly good: readonly string[];
    readonly doubtful: readonly string[];
    readonly unknown: readonly string[];
  }
  const vectors = readVectors<{
    readonly coded: readonly { readonly name: string; readonly changes: readonly Json[]; readonly page: Json }[];
    readonly read: readonly Read[];
  }>("pages.json");
  const pageOf = (json: Json): ChangePage => ChangePage.decode(protoFromJson("ChangePage", json));

  test.each(vectors.coded)("coded: $name", ({ changes, page }) => {
    const infos = changes.map((change) => ChangeInfo.decode(protoFromJson("ChangeInfo", change)));
    const plain = infos.map((info) => ({
      ...info,
      fingerprint: info.fingerprint?.value,
      content: info.content?.value,
    }));
    const coded = ChangePage.create(toPageChanges(plain));
    expect(protoToJson("ChangePage", ChangePage.encode(coded).finish())).toEqual(page);
    const { changes: read, doubtful, unknown } = fromPageChanges(pageOf(page));
    expect({ doubtful, unknown }).toEqual({ doubtful: [], unknown: [] });
    const again = read.map((change) => {
      const size = change.content === undefined ? change.size : Buffer.byteLength(change.content);
      return protoToJson("ChangeInfo", ChangeInfo.encode(toChangeInfo({ ...change, size })).finish());
    });
    expect(again).toEqual(changes);
  });

  test.each(vectors.read)("read: $name", ({ page, good, doubtful, unknown }) => {
    const read = fromPageChanges(pageOf(page));
    expect(read.changes.map(({ id }) => id)).toEqual(good);
    expect(read.doubtful.map(({ id }) => id)).toEqual(doubtful);
    expect(read.unknown.map(({ id }) => id)).toEqual(unknown);
  });
});
