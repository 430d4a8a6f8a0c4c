import type { Content } from "../../../core/content.js";
import { type ExchangeResponse, type Fetch, RangeKind, type RangeQuery } from "../../../gen/tercet/v1/sync.js";
import type { Case } from "../case.js";
import { holds, same } from "../expect.js";
import { COLLECTION, type Place } from "../place.js";
import type { RelayPlan } from "../relay.js";
import { numbered } from "./trips.js";

type Answer = NonNullable<ExchangeResponse["message"]>;

/** The least that a server may say of them. */
const SMALL = { windowItems: 16, windowBytes: 16 * 1024, messageBytes: 16 * 1024 };

/** A server gives a window that is soon full. */
export const windowCases: readonly Case[] = [
  {
    name: "content/fetched-within-window-items",
    run: (place) => fetched(place, numbered(100, "a content that is fetched")),
  },
  {
    name: "content/fetched-within-window-bytes",
    run: (place) => fetched(place, { ...numbered(30, "x".repeat(3000)), huge: "y".repeat(40_000) }),
  },
  { name: "recovery/within-window-items", run: recovered },
];

/** So many contents are asked for at once, and not more; one that is larger than the window by itself. */
async function fetched(place: Place, items: Readonly<Record<string, Content>>): Promise<void> {
  const { api } = await place.server({ limits: { ...SMALL, inlineBytes: 0 } });
  await api.createCollection(COLLECTION);
  await api.edit(COLLECTION, items);
  const replica = await place.replica();
  const waiting = new Map<string, number>();
  let widest = { items: 0, bytes: 0 };
  const plan: RelayPlan = {
    up(message) {
      if (message.$case !== "fetch") return undefined;
      for (const id of asked(message.value)) waiting.set(id, Buffer.byteLength(items[id] ?? ""));
      const bytes = waiting.size < 2 ? 0 : [...waiting.values()].reduce((sum, each) => sum + each, 0);
      widest = { items: Math.max(widest.items, waiting.size), bytes: Math.max(widest.bytes, bytes) };
      return undefined;
    },
    down(message) {
      for (const id of answered(message)) waiting.delete(id);
      return undefined;
    },
  };
  const relay = await place.relay(plan);
  const count = Object.keys(items).length;
  same("report", await replica.sync({ server: relay.address }), { received: count, recovery: null, verified: true });
  holds("contents were fetched", widest.items > 0);
  holds("contents asked for are within window_items", widest.items <= SMALL.windowItems, widest.items);
  holds("contents asked for are within window_bytes", widest.bytes <= SMALL.windowBytes, widest.bytes);
  await place.ends(replica, { items });
}

function asked({ items }: Fetch): string[] {
  return items.map(({ id }) => id);
}

function answered(message: Answer): string[] {
  if (message.$case !== "contents") return [];
  const { items, deleted } = message.value;
  return [...items, ...deleted].map(({ id }) => id);
}

/** There are more ranges that differ than may be asked about at once: none is forgotten, and all are asked in order. */
async function recovered(place: Place): Promise<void> {
  place.needs("reconcile");
  const items = numbered(2500);
  const replica = await place.equal(items, { limits: SMALL });
  // Spread unevenly: not as many ranges differ as make whole queries.
  const ids = Object.keys(items).filter((_, at) => at > 540 && (at * at) % 211 === 5);
  const theirs = Object.fromEntries(ids.map((id) => [id, "theirs"]));
  await place.elsewhere({ ...theirs, "item-02400": null });
  await (await place.server()).api.compact(COLLECTION);
  let [waiting, widest] = [0, 0];
  const relay = await place.relay({
    up(message) {
      if (message.$case === "ranges") waiting += compared(message.value);
      widest = Math.max(widest, waiting);
      return undefined;
    },
    down(message) {
      if (message.$case === "ranges") waiting -= message.value.outcomes.length;
      return undefined;
    },
  });
  const { "item-02400": _gone, ...rest } = items;
  const report = await replica.sync({ server: relay.address });
  const received = Object.keys(theirs).length;
  same("report", report, { received, deleted: 1, sent: 0, recovery: { why: "compacted" }, verified: true });
  holds("ranges without an answer are within window_items", widest <= SMALL.windowItems, widest);
  await place.ends(replica, { items: { ...rest, ...theirs } });
}

function compared({ kinds }: RangeQuery): number {
  return kinds.filter((kind) => kind !== RangeKind.RANGE_KIND_UNSPECIFIED).length;
}
