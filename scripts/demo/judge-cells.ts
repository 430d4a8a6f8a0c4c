import type { StandardName } from "../../client/index.js";
import { CELLS, expectationOf, type Movement, type PlannedItem } from "./cells.js";
import type { CellFigures } from "./figures.js";
import type { KeptRecord } from "./jobs.js";

/** What was found after an exchange: contents in the order of the plan, and the conflict records of its items. */
export interface Found {
  readonly contents: readonly (string | null)[];
  readonly records: readonly KeptRecord[];
}

interface Observed {
  readonly movement: CellFigures["movement"];
  readonly record: CellFigures["record"];
  readonly problem: string | undefined;
}

/** Holds what happened to every item against the comparison table. */
export function judgeCells(
  plan: readonly PlannedItem[],
  standard: StandardName,
  client: Found,
  server: Found,
): CellFigures[] {
  const clientRecords = groupById(client.records);
  const serverRecords = groupById(server.records);
  const observed = plan.map((item, index) =>
    observe(item, standard, {
      client: client.contents[index] ?? undefined,
      server: server.contents[index] ?? undefined,
      clientRecords: clientRecords.get(item.id) ?? [],
      serverRecords: serverRecords.get(item.id) ?? [],
    }),
  );
  return CELLS.map((cell) => {
    const members = plan
      .map((item, index) => ({ item, seen: observed[index] }))
      .filter(({ item }) => item.cell === cell);
    const shown = members.find(({ seen }) => seen?.problem !== undefined) ?? members[0];
    return {
      standard,
      client: cell.client,
      server: cell.server,
      equal: cell.equal === true,
      items: members.length,
      example: shown?.item.id ?? "",
      expected: expectationOf(cell, standard),
      movement: shown?.seen?.movement ?? "something else",
      record: shown?.seen?.record,
      problem: shown === undefined ? "no item" : shown.seen?.problem,
    };
  });
}

function groupById(records: readonly KeptRecord[]): Map<string, KeptRecord[]> {
  const groups = new Map<string, KeptRecord[]>();
  for (const record of records) groups.set(record.id, [...(groups.get(record.id) ?? []), record]);
  return groups;
}

interface After {
  readonly client: string | undefined;
  readonly server: string | undefined;
  readonly clientRecords: readonly KeptRecord[];
  readonly serverRecords: readonly KeptRecord[];
}

function observe(item: PlannedItem, standard: StandardName, after: After): Observed {
  const expected = expectationOf(item.cell, standard);
  const movement = movementOf(item, after);
  const here = after.clientRecords.length > 0;
  const there = after.serverRecords.length > 0;
  const record = here && there ? "both" : here ? "client" : there ? "server" : undefined;
  const problem =
    after.client !== after.server
      ? "the two sides differ"
      : movement !== expected.movement
        ? `${movement}, not ${expected.movement}`
        : record !== expected.record
          ? `conflict record: ${record ?? "none"}, not ${expected.record ?? "none"}`
          : recordProblem(item, standard, [...after.clientRecords, ...after.serverRecords], record);
  return { movement, record, problem };
}

function movementOf(item: PlannedItem, after: After): Movement | "something else" {
  const atClient = after.client !== item.client;
  const atServer = after.server !== item.server;
  if (atClient && atServer) return "something else";
  if (atClient && after.client !== item.server) return "something else";
  if (atServer && after.server !== item.client) return "something else";
  if (atClient) return after.client === undefined ? "client deletes" : "client takes content";
  if (atServer) return after.server === undefined ? "server deletes" : "server takes content";
  return item.client === item.before && item.server === item.before ? "nothing moves" : "settled, nothing moves";
}

/** A conflict has one record, of what gave way, on the side that gave way. */
function recordProblem(
  item: PlannedItem,
  standard: StandardName,
  records: readonly KeptRecord[],
  side: CellFigures["record"],
): string | undefined {
  if (side !== "client" && side !== "server") return undefined;
  const [record, ...more] = records;
  if (record === undefined || more.length > 0) return `${records.length} conflict records, not one`;
  if (record.standard !== standard) return `the conflict record names the standard ${record.standard}`;
  const loser = item[side];
  if (record.content !== loser) return "the conflict record does not have the content that gave way";
  const kind = loser === undefined ? "deleted" : "upserted";
  return record.kind === kind ? undefined : `the conflict record says ${record.kind}, not ${kind}`;
}
