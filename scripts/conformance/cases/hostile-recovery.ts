import { type RangeAnswers, RangeOutcome } from "../../../gen/tercet/v1/sync.js";
import type { Case } from "../case.js";
import { holds, same } from "../expect.js";
import { COLLECTION, type Place, refused } from "../place.js";
import { ignoreError } from "./lies.js";
import { numbered } from "./trips.js";

const { RANGE_OUTCOME_EQUAL: EQUAL, RANGE_OUTCOME_LIST: LIST } = RangeOutcome;

interface RangeLie {
  readonly name: string;
  /** Changes the answers; false: not these. */
  readonly spoil: (answers: RangeAnswers) => boolean;
  /** In how many answers; all of them where it is left out. */
  readonly times?: number;
  /** The error; where it is left out, the exchange may as well come to a good end all the same. */
  readonly end?: { readonly code?: string; readonly reason?: string };
}

const UNSUPPORTED = { code: "UNIMPLEMENTED", reason: "UNSUPPORTED" };

const LIES: readonly RangeLie[] = [
  {
    name: "everything-is-equal-falsely",
    spoil(answers) {
      const nothing = { parts: [], ends: undefined, counts: [], sums: Buffer.alloc(0), lists: [] };
      Object.assign(answers, { ...nothing, outcomes: answers.outcomes.map(() => EQUAL) });
      return true;
    },
    end: { code: "DATA_LOSS", reason: "UNVERIFIED" },
  },
  {
    name: "answer-on-a-range-too-many",
    times: 1,
    spoil(answers) {
      answers.outcomes.push(EQUAL);
      return true;
    },
  },
  {
    name: "unknown-outcome",
    times: 1,
    spoil(answers) {
      answers.outcomes = answers.outcomes.map(() => 9 as RangeOutcome);
      return true;
    },
    end: {},
  },
  {
    name: "list-that-is-not-there",
    times: 1,
    spoil(answers) {
      if (!answers.outcomes.includes(LIST)) return false;
      answers.lists = [];
      return true;
    },
    end: {},
  },
  {
    name: "parts-that-are-not-there",
    times: 1,
    spoil(answers) {
      if (answers.parts.length === 0) return false;
      answers.counts = answers.counts.slice(1);
      return true;
    },
    end: {},
  },
  {
    name: "first-answer-without-a-head",
    spoil(answers) {
      answers.head = undefined;
      return true;
    },
    end: {},
  },
  {
    name: "listed-change-of-an-unknown-kind",
    spoil(answers) {
      const items = answers.lists.flatMap((list) => list.items);
      for (const item of items) Object.assign(item, { kind: 9 });
      return items.length > 0;
    },
    end: UNSUPPORTED,
  },
  {
    name: "listed-fingerprint-of-an-unknown-algorithm",
    spoil(answers) {
      const prints = answers.lists.flatMap((list) => list.items.flatMap(({ fingerprint }) => fingerprint ?? []));
      for (const print of prints) Object.assign(print, { algorithm: 9 });
      return prints.length > 0;
    },
    end: UNSUPPORTED,
  },
];

/** Servers that lie in recovery: nothing false is kept, and an honest server makes everything right. */
export const hostileRecoveryCases: readonly Case[] = LIES.map((lie): Case => {
  return { name: `hostile/recovery/${lie.name}`, run: (place) => lieInRecovery(place, lie) };
});

async function lieInRecovery(place: Place, { spoil, times = Number.POSITIVE_INFINITY, end }: RangeLie): Promise<void> {
  place.needs("reconcile");
  const items = numbered(600);
  const replica = await place.equal(items);
  await place.elsewhere({ "item-00010": null, "item-00300": "changed", "item-00500": null });
  await (await place.server()).api.compact(COLLECTION);
  await replica.change({ own: "mine" });
  let told = 0;
  const relay = await place.relay({
    down(message) {
      if (message.$case !== "ranges" || told >= times || !spoil(message.value)) return undefined;
      told += 1;
      return { instead: [message] };
    },
  });
  const exchange = replica.sync({ server: relay.address, timeout_ms: 5000 });
  if (end === undefined) await exchange.catch(ignoreError);
  else await refused(exchange, end);
  holds("the kit never came to lie", told > 0);
  same("verified with the honest server", (await place.sync(replica)).verified, true);
  const { "item-00010": _one, "item-00500": _two, ...left } = items;
  await place.ends(replica, { items: { ...left, "item-00300": "changed", own: "mine" } });
}
