import { compareIds } from "../../../core/id.js";
import type { Case } from "../case.js";
import { same } from "../expect.js";
import { COLLECTION, type Place, printsOf, refused } from "../place.js";
import { recovers } from "./recovery.js";

/** Ids in the scripts of the world, and others that programs stumble over; all valid. */
const SCRIPTS: Readonly<Record<string, readonly string[]>> = {
  latin: ["Zürich", "Ærø", "Łódź", "naïve", "straße", "ﬁ"],
  greek: ["Αθήνα", "αθήνα", "ΑΘΉΝΑ", "ς", "σ"],
  cyrillic: ["Москва", "Київ", "Ѳ", "ҍ"],
  armenian: ["Երևան", "և"],
  georgian: ["თბილისი", "Თბილისი"],
  hebrew: ["ירושלים", "שָׁלוֹם"],
  arabic: ["القاهرة", "لا", "ﻻ", "١٢٣"],
  syriac: ["ܐܪܡܝܐ"],
  ethiopic: ["አዲስ አበባ"],
  devanagari: ["दिल्ली", "क्ष", "क्‍ष"],
  bengali: ["ঢাকা"],
  tamil: ["சென்னை", "கொ"],
  sinhala: ["කොළඹ"],
  thai: ["กรุงเทพ", "เก้า"],
  lao: ["ວຽງຈັນ"],
  tibetan: ["ལྷ་ས"],
  myanmar: ["ရန်ကုန်"],
  khmer: ["ភ្នំពេញ"],
  mongolian: ["ᠮᠣᠩᠭᠣᠯ"],
  han: ["東京", "东京", "㐀", "豈", "𠀋", "𪚥"],
  kana: ["とうきょう", "トウキョウ", "ﾄｳｷｮｳ", "\u304c", "\u304b\u3099"],
  hangul: ["서울", "\u1109\u1165\u110b\u116e\u11af", "ㄱ"],
  cherokee: ["ᏣᎳᎩ", "ꭰ"],
  emoji: ["😀", "👩‍👩‍👧", "🇨🇭", "❤️", "❤"],
  ancient: ["𐎀", "𓀀", "𒀀", "𐌰"],
  mathematical: ["𝔸", "𝒜", "∑", "ℕ"],
  "composed-and-decomposed": ["\u00e9", "e\u0301", "\u00c5", "A\u030a", "\u212b"],
  "bidirectional-marks": ["a\u200eb", "a\u200fb", "a\u202eb", "a\u2066b\u2069"],
  "joiners-and-spaces": [
    "a\u200bb",
    "a\u200db",
    "a\u00a0b",
    "a b",
    " a",
    "a ",
    "\u3000",
    "\ufeffa",
    "\u2028",
    "\u2029",
  ],
  "replacement-and-noncharacters": ["\ufffd", "a\ufffdb", "\ufdd0", "\uffff", "\u{1ffff}", "\u{10ffff}"],
  "private-use": ["\ue000", "\uf8ff", "\u{f0000}"],
  "names-of-languages": ["__proto__", "constructor", "toString", "null", "undefined", "NaN", "true", "0", "-0", "1e3"],
  punctuation: ["'", '"', "\\", "/", "../..", "%00", "a,b", "$x", "{}", "*", "?", "`", "<a>", "&amp;", ";--"],
  cases: ["a", "A", "ı", "İ", "i", "I", "ß", "ẞ", "ǆ", "ǅ"],
  lengths: ["x", "x".repeat(512), "ü".repeat(256), "東".repeat(170), "😀".repeat(128)],
};

/** What UTF-16 orders otherwise than UTF-8: above the surrogates, and beyond the basic plane. */
const ORDER = ["\ud7ff", "\ue000", "\uf900", "\uff5e", "\uffff", "\u{10000}", "\u{1f600}", "\u{20000}", "\u{10ffff}"];

const INVALID: Readonly<Record<string, string>> = {
  empty: "",
  "513-bytes": "x".repeat(513),
  "513-bytes-in-257-characters": `${"ü".repeat(256)}x`,
  "516-bytes-in-129-characters": "😀".repeat(129),
  newline: "a\nb",
  tab: "\t",
  "zero-byte": "a\0b",
  escape: "\u001b",
  delete: "\u007f",
  "c1-control": "a\u0085b",
  "last-c1-control": "\u009f",
};

/** Ids: in every script, in the order of their bytes, and those that are none. */
export const idCases: readonly Case[] = [
  ...Object.entries(SCRIPTS).map(([name, ids]): Case => {
    return { name: `ids/script/${name}`, run: (place) => thereAndBack(place, ids) };
  }),
  ...Object.entries(INVALID).map(([name, id]): Case => {
    return { name: `ids/invalid/${name}`, run: (place) => invalid(place, id) };
  }),
  { name: "ids/order/by-bytes-not-by-utf16", run: (place) => thereAndBack(place, ORDER) },
  { name: "ids/order/by-bytes-in-recovery", run: orderInRecovery },
  { name: "ids/order/long-shared-prefixes-in-recovery", run: prefixesInRecovery },
];

function items(ids: readonly string[], content: string): Record<string, string> {
  // Ids like __proto__ are names of items, not of anything else.
  return Object.fromEntries(ids.map((id) => [id, `${content} ${Buffer.from(id).toString("hex")}`]));
}

/** Half of the ids come from the server and half from the replica; another replica takes all. */
async function thereAndBack(place: Place, ids: readonly string[]): Promise<void> {
  const all = [...ids].sort(compareIds);
  const theirs = items(
    all.filter((_, at) => at % 2 === 0),
    "theirs",
  );
  const mine = items(
    all.filter((_, at) => at % 2 === 1),
    "mine",
  );
  const replica = await place.equal(theirs);
  await replica.change(mine);
  same("first", await place.sync(replica), { sent: Object.keys(mine).length, conflicts: [], verified: true });
  const other = await place.replica();
  same("second", await place.sync(other), { received: all.length, verified: true });
  const both = Object.fromEntries([...Object.entries(theirs), ...Object.entries(mine)]);
  for (const each of [replica, other]) await place.ends(each, { items: both });
  const last = all.at(-1) ?? "";
  same("content", await other.get(last), both[last]);
  same("deleted", await other.delete(last), true);
  same("third", await place.sync(other), { sent_deletions: 1, conflicts: [], verified: true });
  same("fourth", await place.sync(replica), { deleted: 1, conflicts: [], verified: true });
}

async function invalid(place: Place, id: string): Promise<void> {
  const replica = await place.replica();
  await refused(replica.put(id, "content"), { code: "INVALID_ARGUMENT", reason: "INVALID_ID" });
  const changes = { fine: "content", [id]: "content" };
  await refused(replica.transaction(changes), { code: "INVALID_ARGUMENT", reason: "INVALID_ID" });
  same("items", await replica.list(), []);
  same("pending", await replica.pending(), []);
}

/** Many ids on both sides of the surrogates: bounds of ranges fall between them. */
async function orderInRecovery(place: Place): Promise<void> {
  const ids: string[] = [];
  for (let at = 0; at < 400; at++) {
    const base = [0xd000, 0xe000, 0xff00, 0x10000, 0x1f600][at % 5] ?? 0;
    ids.push(`${String.fromCodePoint(base + (at >> 3))}${String.fromCodePoint(0xfffd - at)}-${at}`);
  }
  await recoverSome(place, ids);
}

/** Ids of up to 512 bytes that differ only in the end. */
async function prefixesInRecovery(place: Place): Promise<void> {
  const prefix = "長い".repeat(80);
  await recoverSome(
    place,
    Array.from({ length: 400 }, (_, at) => `${prefix}${"x".repeat(at % 7)}${at}`),
  );
}

async function recoverSome(place: Place, ids: readonly string[]): Promise<void> {
  const replica = await place.equal(items(ids, "old"));
  const changed = ids.filter((_, at) => at % 37 === 0);
  const deleted = ids.filter((_, at) => at % 37 === 1);
  await place.elsewhere({ ...items(changed, "new"), ...Object.fromEntries(deleted.map((id) => [id, null])) });
  await (await place.server()).api.compact(COLLECTION);
  const report = await recovers(place, replica, "compacted");
  same("report", report, { received: changed.length, deleted: deleted.length, sent: 0, conflicts: [] });
  const left = ids.filter((id) => !deleted.includes(id));
  const ends = { ...items(left, "old"), ...items(changed, "new") };
  same("items", await replica.list(), printsOf(ends));
  await place.ends(replica, { items: ends });
}
