import type { StandardName } from "../../client/index.js";
import type { Place } from "./cities.js";

/** What one side made of an item while both were apart. */
export type Made = "unchanged" | "unknown" | "upserted" | "created" | "deleted";

/** A cell of the comparison table: the client's change (a row) and the server's (a column). */
export interface Cell {
  readonly client: Made;
  readonly server: Made;
  /** Both sides changed it into the same. */
  readonly equal?: true;
}

/** Every cell of the table, with creations beside upserts. */
export const CELLS: readonly Cell[] = [
  { client: "unchanged", server: "unchanged" },
  { client: "unchanged", server: "upserted" },
  { client: "unknown", server: "created" },
  { client: "unchanged", server: "deleted" },
  { client: "upserted", server: "unchanged" },
  { client: "created", server: "unknown" },
  { client: "upserted", server: "upserted", equal: true },
  { client: "created", server: "created", equal: true },
  { client: "upserted", server: "upserted" },
  { client: "created", server: "created" },
  { client: "upserted", server: "deleted" },
  { client: "deleted", server: "unchanged" },
  { client: "deleted", server: "upserted" },
  { client: "deleted", server: "deleted" },
];

/** What an exchange does with an item. */
export type Movement =
  | "nothing moves"
  | "settled, nothing moves"
  | "client takes content"
  | "client deletes"
  | "server takes content"
  | "server deletes";

/** What has to happen in a cell. */
export interface Expectation {
  readonly movement: Movement;
  /** The side that keeps what gave way in a conflict record; undefined where there is no conflict. */
  readonly record: "client" | "server" | undefined;
}

/** The comparison table, in code. */
export function expectationOf(cell: Cell, standard: StandardName): Expectation {
  const byClient = isChange(cell.client);
  const byServer = isChange(cell.server);
  if (!byClient && !byServer) return { movement: "nothing moves", record: undefined };
  const same = cell.equal === true || (cell.client === "deleted" && cell.server === "deleted");
  if (byClient && byServer && same) return { movement: "settled, nothing moves", record: undefined };
  const conflict = byClient && byServer;
  const takes = conflict ? (standard === "SERVER" ? "client" : "server") : byClient ? "server" : "client";
  const change = takes === "client" ? cell.server : cell.client;
  return {
    movement: change === "deleted" ? `${takes} deletes` : `${takes} takes content`,
    record: conflict ? takes : undefined,
  };
}

function isChange(made: Made): boolean {
  return made === "upserted" || made === "created" || made === "deleted";
}

/** An item of a cell: its content before, and after the change of each side; undefined where there is no item. */
export interface PlannedItem {
  readonly id: string;
  readonly cell: Cell;
  readonly before: string | undefined;
  readonly client: string | undefined;
  readonly server: string | undefined;
}

/** A change to make: a content, or null to delete. */
export type Edit = readonly [id: string, content: string | null];

/** The edits of one round: `perCell` items for every cell, of places that no other round uses. */
export function planRound(round: string, places: readonly Place[], perCell: number): PlannedItem[] {
  let next = 0;
  return CELLS.flatMap((cell, number) =>
    Array.from({ length: perCell }, (_, index): PlannedItem => {
      const isNew = [cell.client, cell.server].some((made) => made === "created");
      const place = isNew ? undefined : places[next++];
      const id = place?.id ?? `new/${round}/${number}-${index}`;
      const before = place?.content;
      const make = (made: Made, side: string): string | undefined => {
        if (made === "deleted") return undefined;
        if (made === "unchanged" || made === "unknown") return before;
        const fields = before === undefined ? { name: id } : (JSON.parse(before) as object);
        return JSON.stringify({ ...fields, note: cell.equal ? "agreed" : `as replica ${side} sees it` });
      };
      return { id, cell, before, client: make(cell.client, "B"), server: make(cell.server, "A") };
    }),
  );
}

/** The edits of one side. */
export function editsOf(plan: readonly PlannedItem[], side: "client" | "server"): Edit[] {
  return plan.filter((item) => isChange(item.cell[side])).map((item) => [item.id, item[side] ?? null]);
}
