import { type Connection, METHODS } from "../../client/index.js";
import { standardName } from "../../core/standard.js";
import { ChangeKind } from "../../gen/tercet/v1/item.js";
import type { KeptRecord } from "./jobs.js";

/** What the server says of the collection. */
export interface ServerSide {
  readonly count: number;
  readonly fingerprint: string;
  readonly conflicts: number;
  readonly revision: number;
}

/** What the demo asks the server by plain unary calls, as anybody could. */
export interface ServerView {
  collection(): Promise<ServerSide>;
  /** Contents, in the order of the ids; null where there is no item. */
  contents(ids: readonly string[]): Promise<(string | null)[]>;
  /** Conflict records of these ids, with contents. */
  records(ids: readonly string[]): Promise<KeptRecord[]>;
}

const PAGE = 1000;

type Carried = { readonly value: string | Buffer } | undefined;

/** The view of a collection. */
export function createServerView(connection: Connection, collection: string): ServerView {
  async function record(number: number): Promise<KeptRecord> {
    const { conflict } = await connection.unary(METHODS.getConflict, { collection, number });
    if (conflict === undefined) throw new Error(`GetConflict ${number} answered nothing`);
    const deleted = conflict.kind === ChangeKind.CHANGE_KIND_DELETED;
    return {
      number,
      id: conflict.id,
      kind: deleted ? "deleted" : "upserted",
      content: text(conflict.content),
      size: conflict.size,
      prevailed: conflict.prevailed?.value.toString("hex"),
      standard: standardName(conflict.standard),
    };
  }

  return {
    async collection() {
      const { collection: found } = await connection.unary(METHODS.getCollection, { collection });
      if (found === undefined) throw new Error("GetCollection answered nothing");
      const { fingerprint, conflicts, revision } = found;
      const sum = fingerprint?.sum.toString("hex") ?? "";
      return { count: fingerprint?.count ?? 0, fingerprint: sum.padEnd(64, "0"), conflicts, revision };
    },
    async contents(ids) {
      const found = new Map<string, string | undefined>();
      for (let wanted = [...ids]; wanted.length > 0; ) {
        const { items, notRead } = await connection.unary(METHODS.batchGetItems, { collection, ids: wanted });
        for (const item of items) found.set(item.id, text(item.content));
        wanted = notRead;
      }
      return ids.map((id) => found.get(id) ?? null);
    },
    async records(ids) {
      const wanted = new Set(ids);
      const records: KeptRecord[] = [];
      let pageToken = "";
      do {
        const page = await connection.unary(METHODS.listConflicts, { collection, id: "", pageSize: PAGE, pageToken });
        for (const { id, number } of page.conflicts) if (wanted.has(id)) records.push(await record(number));
        pageToken = page.nextPageToken;
      } while (pageToken !== "");
      return records;
    },
  };
}

function text(content: Carried): string | undefined {
  return content?.value.toString();
}
