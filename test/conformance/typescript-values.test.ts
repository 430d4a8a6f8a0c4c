import { expect, test } from "vitest";
import { changeStandardFromJSON } from "../../gen/tercet/v1/item.js";
import { ChangePage, IdBounds } from "../../gen/tercet/v1/sync.js";
import { seeded } from "../../scripts/vectors/independent.js";
import type { Json } from "../../scripts/vectors/json-text.js";
import { protoFromJson, protoToJson } from "../../scripts/vectors/proto-json.js";
import { readComparisons, readJudgements } from "./decision-vectors.js";
import { readVectors, unhex } from "./read.js";
import { readChanges } from "./typescript/change-info.js";
import { compare, compareRecovered, judge } from "./typescript/compare.js";
import {
  compareIds,
  decodeBounds,
  encodeBounds,
  fingerprintOf,
  isId,
  minus,
  NOTHING,
  plus,
  sumBytes,
  sumOf,
} from "./typescript/fingerprint.js";
import { createReplica, UNPROVED } from "./typescript/replica.js";

/*
 * The parts of the reference client that are values against the vectors.
 */

type Fields = Readonly<Record<string, never>>;
const vectors = (name: string): Readonly<Record<string, readonly Fields[]>> => readVectors(`${name}.json`);
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

test("fingerprints", () => {
  for (const { id, text, data, seed, fingerprint } of vectors("fingerprints")["cases"] ?? []) {
    const { seed: from, size } = (seed ?? {}) as { readonly seed?: string; readonly size?: number };
    const bytes = text === undefined ? unhex(data ?? "") : Buffer.from(text);
    const content = from === undefined ? bytes : seeded(from, size ?? 0);
    expect(hex(fingerprintOf(id ?? "", content))).toBe(fingerprint);
  }
});

test("range fingerprints", () => {
  for (const { add = [], addNumbered = 0, subtract, count, sum } of vectors("range-fingerprints")["cases"] ?? []) {
    let total = NOTHING;
    for (const print of (subtract ?? []) as readonly string[]) total = minus(total, sumOf(unhex(print)));
    for (const print of add as readonly string[]) total = plus(total, sumOf(unhex(print)));
    for (let at = 0; at < addNumbered; at++) {
      total = plus(total, sumOf(fingerprintOf(`item-${at}`, Buffer.from(`${at}`))));
    }
    expect({ count: total.count, sum: hex(sumBytes(total)) }).toEqual({ count, sum });
  }
});

test("ids, their order and bounds", () => {
  const { ordered = [], ids = [], collectionNames = [], bounds = [], badBounds = [] } = vectors("ids");
  const texts = ordered as unknown as readonly string[];
  texts.forEach((a, i) => {
    texts.forEach((b, j) => {
      expect(Math.sign(compareIds(a, b))).toBe(Math.sign(i - j));
    });
  });
  for (const { id, valid } of ids) expect(isId(id ?? "")).toBe(valid);
  for (const { name, valid } of collectionNames) {
    const open = (): unknown => createReplica(name ?? "");
    if (valid) open();
    else expect(open).toThrow();
  }
  const coded = (json: Json): IdBounds => IdBounds.decode(protoFromJson("IdBounds", json));
  for (const each of bounds) {
    const list = each["bounds"] as unknown as readonly string[];
    expect(decodeBounds(coded(each["coded"] as unknown as Json))).toEqual(list);
    expect(protoToJson("IdBounds", IdBounds.encode(encodeBounds(list)).finish())).toEqual(each["coded"]);
  }
  for (const each of badBounds) expect(decodeBounds(coded(each["coded"] as unknown as Json))).toBeUndefined();
});

test("the comparison table", () => {
  for (const { label, client, server, fork, comparison } of readComparisons().cases) {
    const found = fork === undefined ? compare(client, server) : compareRecovered(client, server, fork);
    expect(found, label).toBe(comparison);
  }
});

test("the standards", () => {
  for (const { name, standard, mine, theirs, prevails } of readJudgements()) {
    expect(judge(changeStandardFromJSON(standard), mine, theirs), `${standard}, ${name}`).toBe(prevails);
  }
});

test("pages", () => {
  for (const { page, good, doubtful, unknown } of vectors("pages")["read"] ?? []) {
    const { changes, fingerprint } = ChangePage.decode(protoFromJson("ChangePage", page as unknown as Json));
    const isUnknown = ((unknown ?? []) as readonly string[]).length > 0;
    if (isUnknown) {
      expect(() => readChanges(changes, fingerprint)).toThrow();
      continue;
    }
    const read = readChanges(changes, fingerprint);
    const isProved = (each: (typeof read)[number]): boolean => each.fingerprint !== UNPROVED;
    expect(read.filter(isProved).map(({ id }) => id)).toEqual(good);
    expect(read.flatMap((each) => (isProved(each) ? [] : [each.id])).sort()).toEqual(doubtful);
  }
});
