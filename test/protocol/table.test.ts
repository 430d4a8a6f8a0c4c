import { describe, expect, test } from "vitest";
import type { MemoryReplica } from "../../client/replica/memory.js";
import type { Content } from "../../core/content.js";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import type { MemoryStore } from "../../server/store/memory.js";
import { exchange, type PairOutcome } from "./pair.js";
import { change, contents, newReplica, newStore, now, serverContents, serverState, sumOf } from "./world.js";

/** One cell of the comparison table: what each side made of the item `x` (null: deleted, undefined: nothing). */
interface Cell {
  readonly name: string;
  /** Before: on both sides, or nowhere. */
  readonly base: Content | undefined;
  readonly mine: Content | null | undefined;
  readonly theirs: Content | null | undefined;
  readonly conflict?: true;
  /** What both sides end with; of a conflict, where the server or the client prevails. */
  readonly ends: Content | undefined | { readonly server: Content | undefined; readonly client: Content | undefined };
}

const CELLS: readonly Cell[] = [
  { name: "unchanged x unchanged", base: "old", mine: undefined, theirs: undefined, ends: "old" },
  { name: "unchanged x upserted", base: "old", mine: undefined, theirs: "theirs", ends: "theirs" },
  { name: "unknown x upserted", base: undefined, mine: undefined, theirs: "theirs", ends: "theirs" },
  { name: "unchanged x deleted", base: "old", mine: undefined, theirs: null, ends: undefined },
  { name: "upserted x unchanged", base: "old", mine: "mine", theirs: undefined, ends: "mine" },
  { name: "created x unknown", base: undefined, mine: "mine", theirs: undefined, ends: "mine" },
  { name: "upserted x upserted, equal", base: "old", mine: "same", theirs: "same", ends: "same" },
  { name: "created x created, equal", base: undefined, mine: "same", theirs: Buffer.from("same"), ends: "same" },
  {
    name: "upserted x upserted",
    base: "old",
    mine: "mine",
    theirs: "theirs",
    conflict: true,
    ends: { server: "theirs", client: "mine" },
  },
  {
    name: "created x created",
    base: undefined,
    mine: "mine",
    theirs: "theirs",
    conflict: true,
    ends: { server: "theirs", client: "mine" },
  },
  {
    name: "upserted x deleted",
    base: "old",
    mine: "mine",
    theirs: null,
    conflict: true,
    ends: { server: undefined, client: "mine" },
  },
  { name: "deleted x unchanged", base: "old", mine: null, theirs: undefined, ends: undefined },
  {
    name: "deleted x upserted",
    base: "old",
    mine: null,
    theirs: "theirs",
    conflict: true,
    ends: { server: "theirs", client: undefined },
  },
  { name: "deleted x deleted", base: "old", mine: null, theirs: null, ends: undefined },
];

const SERVER = ChangeStandard.CHANGE_STANDARD_SERVER;
const CLIENT = ChangeStandard.CHANGE_STANDARD_CLIENT;

/** Limits under which everything is small, everything is large to the server, everything is large to the client, or both. */
const SIZES = {
  "inline and eager": {},
  "fetched and eager": { clientLimits: { inlineBytes: 1 } },
  "inline and compared first": { clientLimits: { eagerBytes: 1 } },
  "fetched and compared first": { clientLimits: { inlineBytes: 1, eagerBytes: 1 } },
} as const;

interface Sides {
  readonly store: MemoryStore;
  readonly client: MemoryReplica;
}

/** Both sides as the cell says, before the exchange. Beside `x` there are items that change on one side only. */
function arrange(cell: Cell): Sides {
  const store = newStore();
  const client = newReplica(1);
  const other = newReplica(2);
  const shared = { still: "still", ...(cell.base === undefined ? {} : { x: cell.base }) };
  change(other, shared);
  clean(exchange({ store, replica: other }));
  clean(exchange({ store, replica: client }));
  if (cell.mine !== undefined) change(client, { x: cell.mine });
  change(client, { "only mine": "1" });
  if (cell.theirs !== undefined) change(other, { x: cell.theirs });
  change(other, { "only theirs": "2" });
  clean(exchange({ store, replica: other }));
  return { store, client };
}

function clean(outcome: PairOutcome): PairOutcome {
  expect(outcome.fault).toBeUndefined();
  expect(outcome.report.verified).toBe(true);
  return outcome;
}

function endOf(cell: Cell, standard: ChangeStandard): Content | undefined {
  if (!cell.conflict) return cell.ends as Content | undefined;
  const ends = cell.ends as { server: Content | undefined; client: Content | undefined };
  return standard === SERVER ? ends.server : ends.client;
}

/** Both sides equal and as the cell says, the proof right, and what gave way recorded once, on its side. */
function expectEnd({ store, client }: Sides, cell: Cell, standard: ChangeStandard): void {
  const end = endOf(cell, standard);
  const expected = {
    still: "still",
    "only mine": "1",
    "only theirs": "2",
    ...(end === undefined ? {} : { x: end }),
  };
  expect(texts(contents(client))).toEqual(texts(expected));
  expect(texts(serverContents(store))).toEqual(texts(expected));
  const state = client.state();
  expect(state.pending).toBe(0);
  expect(state.total).toEqual(sumOf(expected));
  expect(serverState(store).total).toEqual(sumOf(expected));
  const here = client.listConflicts(Number.MAX_SAFE_INTEGER, 10);
  const there = now(store.listConflicts({ uid: serverState(store).uid, id: "", before: 2 ** 52, limit: 10 }));
  expect(here.length).toBe(cell.conflict && standard === SERVER ? 1 : 0);
  expect(there.length).toBe(cell.conflict && standard === CLIENT ? 1 : 0);
  if (!cell.conflict) return;
  const record =
    standard === SERVER
      ? client.getConflict(here[0]?.number ?? 0)
      : now(store.getConflict(serverState(store).uid, there[0]?.number ?? 0));
  const loser = standard === SERVER ? cell.mine : cell.theirs;
  expect(record?.id).toBe("x");
  expect(record?.standard).toBe(standard);
  expect(record?.content ?? null).toEqual(loser);
}

function texts(items: Readonly<Record<string, Content>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(items).map(([id, content]) => [id, Buffer.from(content as string).toString()]),
  );
}

for (const [size, limits] of Object.entries(SIZES)) {
  describe(size, () => {
    for (const [standardName, standard] of [
      ["SERVER", SERVER],
      ["CLIENT", CLIENT],
    ] as const) {
      for (const cell of CELLS) {
        test(`${cell.name} under ${standardName}`, () => {
          const sides = arrange(cell);
          const outcome = clean(exchange({ store: sides.store, replica: sides.client, standard, ...limits }));
          expectEnd(sides, cell, standard);
          expect(outcome.report.conflictCount).toBe(cell.conflict ? 1 : 0);
          if (cell.conflict) {
            expect(outcome.report.conflicts).toEqual([
              { id: "x", standard, prevailed: standard === SERVER ? "theirs" : "mine" },
            ]);
          }
          // A second exchange finds nothing to do and says so in one round trip.
          const again = clean(exchange({ store: sides.store, replica: sides.client, standard, ...limits }));
          expect(again.report).toMatchObject({ sent: 0, received: 0, deleted: 0, settled: 0, roundTrips: 1 });
        });

        test(`${cell.name} under ${standardName}, cut after every message`, () => {
          const uncut = arrange(cell);
          const whole = exchange({ store: uncut.store, replica: uncut.client, standard, ...limits });
          for (let cutAfter = 0; cutAfter <= whole.delivered + 2; cutAfter++) {
            const sides = arrange(cell);
            const pair = { store: sides.store, replica: sides.client, standard, ...limits };
            const first = exchange({ ...pair, cutAfter });
            expect(first.fault).toBeUndefined();
            clean(exchange(pair));
            expectEnd(sides, cell, standard);
          }
        });
      }
    }
  });
}

describe("round trips, as the exchange counts them and as they are", () => {
  const conflicted = CELLS.find((cell) => cell.name === "upserted x upserted") as Cell;
  const oneSided = CELLS.find((cell) => cell.name === "upserted x unchanged") as Cell;

  function tripsOf(cell: Cell, standard: ChangeStandard, limits: object): number {
    const { store, client } = arrange(cell);
    const outcome = clean(exchange({ store, replica: client, standard, lockstep: true, ...limits }));
    expect(outcome.report.roundTrips).toBe(outcome.trips);
    return outcome.trips;
  }

  test("one where nothing changed, and one for changes on both sides without conflicts", () => {
    const { store, client } = arrange(oneSided);
    const first = clean(exchange({ store, replica: client, lockstep: true }));
    expect(first.report).toMatchObject({ sent: 2, received: 1, roundTrips: 1 });
    const second = clean(exchange({ store, replica: client, lockstep: true }));
    expect([first.trips, second.trips, second.report.roundTrips]).toEqual([1, 1, 1]);
  });

  test("one where the server prevails and its content is small, two where the client does", () => {
    expect(tripsOf(conflicted, SERVER, {})).toBe(1);
    expect(tripsOf(conflicted, CLIENT, {})).toBe(2);
  });

  test("two where contents are large, with conflicts or without", () => {
    for (const [name, limits] of Object.entries(SIZES)) {
      if (name === "inline and eager") continue;
      for (const standard of [SERVER, CLIENT]) {
        expect([name, tripsOf(conflicted, standard, limits)]).toEqual([name, 2]);
        expect(tripsOf(oneSided, standard, limits)).toBeLessThanOrEqual(2);
      }
    }
  });
});
