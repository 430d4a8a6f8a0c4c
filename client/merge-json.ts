import type { Content } from "../core/content.js";
import type { ConflictingVersions, Resolver, ResolverAnswer } from "./resolver.js";
import { checkNamed, invalidField } from "./validate.js";

/** How `mergeJson` ends what can't be merged. */
export interface MergeJsonOptions {
  /**
   * Where both sides made different things of the same: of the same member, of an item that one side deleted, or of a
   * content that is no JSON object. `mine` or `theirs` prevails there, member by member; `hold` keeps both versions of the
   * item until somebody resolves it.
   */
  readonly onOverlap: "mine" | "theirs" | "hold";
}

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
type JsonObject = { readonly [key: string]: Json };

const OVERLAPS = ["mine", "theirs", "hold"] as const;

/** Thrown where an overlap ends the merge of the item. */
const HOLD = Symbol("hold");

/**
 * A resolver that merges contents which are JSON objects by their base: members that one side changed, added or removed are
 * taken from that side, in nested objects too; the same change on both sides is taken once. Arrays and other values are
 * taken whole. Where there is no base, as both sides created the item, members of either side are kept.
 *
 * What comes out is JSON without white space, with mine's order of members and theirs' new ones behind. A content with
 * numbers that JavaScript can't hold exactly is not merged, as if it were no JSON; nor is one of which a version has more
 * than 1 MiB.
 *
 * @throws TercetError INVALID_FIELD where `onOverlap` is none of these.
 *
 * ```ts
 * await replica.sync({ server, resolver: mergeJson({ onOverlap: "hold" }) });
 * ```
 */
export function mergeJson(options: MergeJsonOptions): Resolver {
  checkNamed(options, ["onOverlap"]);
  const { onOverlap } = options;
  if (!OVERLAPS.includes(onOverlap)) throw invalidField("onOverlap", `must be ${OVERLAPS.join(", ")}`);
  return ({ base, baseSize, mine, theirs }: ConflictingVersions): ResolverAnswer => {
    // A large base is there, and not at hand: without it, what one side removed would look like what the other added.
    if (base === undefined && baseSize !== undefined) return onOverlap;
    const here = parseObject(mine);
    const there = parseObject(theirs);
    const before = base === undefined ? {} : parseObject(base);
    if (here === undefined || there === undefined || before === undefined) return onOverlap;
    try {
      const merged = mergeObjects(before, here, there, onOverlap);
      if (same(merged, here)) return "mine";
      if (same(merged, there)) return "theirs";
      const text = JSON.stringify(merged);
      return { content: typeof mine === "string" ? text : Buffer.from(text) };
    } catch (error) {
      if (error === HOLD) return "hold";
      throw error;
    }
  };
}

function mergeObjects(
  base: JsonObject,
  mine: JsonObject,
  theirs: JsonObject,
  onOverlap: MergeJsonOptions["onOverlap"],
): JsonObject {
  const keys = new Set([...Object.keys(mine), ...Object.keys(theirs)]);
  const members: [string, Json][] = [];
  for (const key of keys) {
    const merged = mergeMember(member(base, key), member(mine, key), member(theirs, key), onOverlap);
    if (merged !== undefined) members.push([key, merged]);
  }
  // Unlike an assignment, this makes a member of "__proto__", too.
  return Object.fromEntries(members);
}

/** Undefined: there is no such member. */
function mergeMember(
  base: Json | undefined,
  mine: Json | undefined,
  theirs: Json | undefined,
  onOverlap: MergeJsonOptions["onOverlap"],
): Json | undefined {
  if (same(mine, theirs) || same(theirs, base)) return mine;
  if (same(mine, base)) return theirs;
  if (isObject(mine) && isObject(theirs) && (base === undefined || isObject(base))) {
    return mergeObjects(base ?? {}, mine, theirs, onOverlap);
  }
  if (onOverlap === "hold") throw HOLD;
  return onOverlap === "mine" ? mine : theirs;
}

function member(object: JsonObject, key: string): Json | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether two values are the same, whatever the order of members. */
function same(a: Json | undefined, b: Json | undefined): boolean {
  if (a === b) return true;
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((value, index) => same(value, b[index]));
  }
  if (!isObject(a) || !isObject(b)) return false;
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return keys.every((key) => Object.hasOwn(b, key) && same(a[key], b[key]));
}

/** A content that is a JSON object; undefined for everything else. */
function parseObject(content: Content | undefined): JsonObject | undefined {
  if (content === undefined) return undefined;
  try {
    const text = typeof content === "string" ? content : new TextDecoder("utf-8", { fatal: true }).decode(content);
    const value = JSON.parse(text) as Json;
    return isObject(value) && numbersOf(text).every(isExact) ? value : undefined;
  } catch {
    return undefined;
  }
}

function numbersOf(json: string): string[] {
  return [...json.matchAll(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g)]
    .map(([token]) => token)
    .filter((token) => !token.startsWith('"'));
}

/** Up to 15 significant digits come out of a double as they went in. */
function isExact(number: string): boolean {
  const [mantissa = ""] = number.split(/[eE]/);
  const digits = mantissa.replace(/[-.]/g, "").replace(/^0+/, "");
  return Number.isFinite(Number(number)) && (digits.length <= 15 || Number.isSafeInteger(Number(number)));
}
