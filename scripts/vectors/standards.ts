import { fingerprint, hex } from "./independent.js";
import type { Json } from "./json-text.js";

const ONE = hex(fingerprint("x", "one"));
const TWO = hex(fingerprint("x", "two"));
const [LESS, GREATER] = ONE < TWO ? [ONE, TWO] : [TWO, ONE];
/** Greater in its first byte only: a comparison from the last byte on has it the other way round. */
const [LOW_FIRST, HIGH_FIRST] = [`01${"ff".repeat(31)}`, `02${"00".repeat(31)}`];
/** 0x80 is greater than 0x7f: bytes have no sign. */
const [BELOW, ABOVE] = [`7f${"00".repeat(31)}`, `80${"00".repeat(31)}`];

type Side = readonly [fingerprint: string | null, modifyTimeUs: string];

const NEWEST: readonly (readonly [name: string, mine: Side, theirs: Side, prevails: string])[] = [
  ["mine is later", [LESS, "2000"], [GREATER, "1000"], "mine"],
  ["theirs is later", [GREATER, "1000"], [LESS, "2000"], "theirs"],
  ["later by a microsecond, beyond 2^50", [LESS, "1760000000000001"], [GREATER, "1760000000000000"], "mine"],
  ["a tie: mine has the greater fingerprint", [GREATER, "1000"], [LESS, "1000"], "mine"],
  ["a tie: theirs has the greater fingerprint", [LESS, "1000"], [GREATER, "1000"], "theirs"],
  ["a tie: compared from the first byte on", [HIGH_FIRST, "1000"], [LOW_FIRST, "1000"], "mine"],
  ["a tie: bytes have no sign", [ABOVE, "1000"], [BELOW, "1000"], "mine"],
  ["mine is a later deletion", [null, "2000"], [GREATER, "1000"], "mine"],
  ["theirs is a later deletion", [GREATER, "1000"], [null, "2000"], "theirs"],
  ["a tie: a deletion is less than any fingerprint", ["00".repeat(32), "1000"], [null, "1000"], "mine"],
  ["a tie: so is mine", [null, "1000"], ["00".repeat(32), "1000"], "theirs"],
];

const side = ([print, modifyTimeUs]: Side): Json => ({ fingerprint: print, modifyTimeUs });

function judgements(): Json[] {
  const fixed = [
    ["CHANGE_STANDARD_SERVER", "theirs"],
    ["CHANGE_STANDARD_CLIENT", "mine"],
    ["CHANGE_STANDARD_MANUAL", "held"],
  ] as const;
  return [
    ...fixed.flatMap(([standard, prevails]) =>
      NEWEST.map(([name, mine, theirs]): Json => {
        return { name: `whatever else: ${name}`, standard, mine: side(mine), theirs: side(theirs), prevails };
      }),
    ),
    ...NEWEST.map(([name, mine, theirs, prevails]): Json => {
      return { name, standard: "CHANGE_STANDARD_NEWEST", mine: side(mine), theirs: side(theirs), prevails };
    }),
  ];
}

const STANDARDS = ["UNSPECIFIED", "SERVER", "CLIENT", "NEWEST", "MANUAL"].map((name) => `CHANGE_STANDARD_${name}`);

/** The collection's, else the client's, else SERVER. */
function inForce(): Json[] {
  const [unspecified, server] = STANDARDS;
  return STANDARDS.flatMap((collection) =>
    STANDARDS.map((client): Json => {
      const chosen = collection === unspecified ? client : collection;
      return { collection, client, inForce: (chosen === unspecified ? server : chosen) as string };
    }),
  );
}

/** standards.json */
export function standardVectors(): Json {
  const clock = { serverClockUs: "1760000000000000", skewUs: "60000000" };
  return {
    description:
      "The change standards: which is in force, whose change of a conflict prevails, and how times are clamped.",
    format: [
      "inForce: the standard that a collection binds, the one that a client would like, and the one in Opened.",
      "judgements: two versions of an item, each with its `fingerprint` in hex (null: deleted) and modify time, and whose",
      "change prevails: mine (the client's), theirs (the server's), or held.",
      "clamped: modify times of a write as a server stores them, and as a client judges its own by NEWEST: not further ahead",
      "of the server's clock than the skew (Opened.skew_us); 0 is now.",
      "groups: an atomic group is judged by the latest of its members' times: `groupTimesUs` in place of one time.",
      "Times are decimal strings, in microseconds since 1970.",
    ],
    inForce: inForce(),
    judgements: judgements(),
    clamped: [
      { name: "in the past", ...clock, modifyTimeUs: "1", storedUs: "1" },
      { name: "within the skew", ...clock, modifyTimeUs: "1760000060000000", storedUs: "1760000060000000" },
      {
        name: "a microsecond beyond the skew",
        ...clock,
        modifyTimeUs: "1760000060000001",
        storedUs: "1760000060000000",
      },
      { name: "a year ahead", ...clock, modifyTimeUs: "1791536000000000", storedUs: "1760000060000000" },
      { name: "not said", ...clock, modifyTimeUs: "0", storedUs: "1760000000000000" },
    ],
    groups: [
      {
        name: "another member than the one in conflict is later than theirs",
        standard: "CHANGE_STANDARD_NEWEST",
        mine: { fingerprint: ONE, groupTimesUs: ["1000", "3000"] },
        theirs: { fingerprint: TWO, modifyTimeUs: "2000" },
        prevails: "mine",
      },
      {
        name: "no member is later than theirs",
        standard: "CHANGE_STANDARD_NEWEST",
        mine: { fingerprint: ONE, groupTimesUs: ["1000", "1500"] },
        theirs: { fingerprint: TWO, modifyTimeUs: "2000" },
        prevails: "theirs",
      },
    ],
  };
}
