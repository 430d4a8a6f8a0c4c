import { type Connection, METHODS } from "../../client/connection.js";
import type { Content } from "../../core/content.js";
import { toContentField } from "../../core/content.js";
import { fingerprintOf, toFingerprint } from "../../core/fingerprint.js";
import type { Collection, ConflictRecord } from "../../gen/tercet/v1/collection.js";
import {
  CompactCollectionRequest,
  CreateCollectionRequest,
  DeleteCollectionRequest,
  GetConflictRequest,
  ListConflictsRequest,
} from "../../gen/tercet/v1/collection_service.js";
import { ChangeKind, type ChangeStandard, type Fingerprint } from "../../gen/tercet/v1/item.js";
import { BatchGetItemsRequest, BatchWriteItemsRequest, ListItemsRequest } from "../../gen/tercet/v1/item_service.js";
import { Push, PushOutcome } from "../../gen/tercet/v1/sync.js";

/** What somebody else makes of items at a server: a content, or null for a deletion. */
export type Edits = Readonly<Record<string, Content | null>>;

/** How somebody else's edits are made. */
export interface EditOptions {
  /** All in one commit. */
  readonly group?: boolean;
  /** When, in microseconds; the server's clock where it is left out. */
  readonly modifyTimeUs?: number;
}

/** A server by its plain calls. */
export interface ServerApi {
  createCollection(collection: string, standard?: ChangeStandard): Promise<void>;
  deleteCollection(collection: string): Promise<void>;
  getCollection(collection: string): Promise<Collection>;
  /** Items by id, with their fingerprints. */
  listItems(collection: string): Promise<ReadonlyMap<string, string>>;
  getContents(collection: string, ids: readonly string[]): Promise<ReadonlyMap<string, Content>>;
  /** Conflict records, latest first, with their contents. */
  conflicts(collection: string): Promise<readonly ConflictRecord[]>;
  /** Edits by somebody else, on the items as they are: no conflict records come of it. */
  edit(collection: string, edits: Edits, options?: EditOptions): Promise<void>;
  /** Forgets all tombstones. */
  compact(collection: string): Promise<void>;
}

const BATCH = 1000;

/** The plain calls over a connection. */
export function createServerApi(connection: Connection): ServerApi {
  const { unary } = connection;

  async function printsOf(collection: string, ids: readonly string[]): Promise<ReadonlyMap<string, Fingerprint>> {
    const found = new Map<string, Fingerprint>();
    for (let wanted = ids; wanted.length > 0; ) {
      const request = BatchGetItemsRequest.create({ collection, ids: [...wanted] });
      const { items, notRead } = await unary(METHODS.batchGetItems, request);
      for (const { id, fingerprint } of items) if (fingerprint !== undefined) found.set(id, fingerprint);
      wanted = notRead;
    }
    return found;
  }

  async function write(
    collection: string,
    edits: readonly (readonly [string, Content | null])[],
    options: EditOptions,
  ): Promise<void> {
    const expected = await printsOf(
      collection,
      edits.map(([id]) => id),
    );
    const { group = false, modifyTimeUs = 0 } = options;
    const pushes = edits.map(([id, content]) => {
      return Push.create({ ...pushOf(id, content), expected: expected.get(id), group: group ? 1 : 0, modifyTimeUs });
    });
    const request = BatchWriteItemsRequest.create({ collection, pushes });
    const { verdicts } = await unary(METHODS.batchWriteItems, request);
    const bad = verdicts.find(({ outcome }) => outcome !== PushOutcome.PUSH_OUTCOME_APPLIED);
    if (bad !== undefined) throw new Error(`an edit at the server was not made: ${JSON.stringify(bad)}`);
  }

  return {
    async createCollection(collection, standard = 0 as ChangeStandard) {
      await unary(METHODS.createCollection, CreateCollectionRequest.create({ collection, standard }));
    },
    async deleteCollection(collection) {
      await unary(METHODS.deleteCollection, DeleteCollectionRequest.create({ collection }));
    },
    async getCollection(collection) {
      const { collection: found } = await unary(METHODS.getCollection, { collection });
      if (found === undefined) throw new Error("the server answered without a collection");
      return found;
    },
    async listItems(collection) {
      const prints = new Map<string, string>();
      let pageToken = "";
      do {
        const request = ListItemsRequest.create({ collection, pageSize: 10_000, pageToken });
        const page = await unary(METHODS.listItems, request);
        for (const { id, fingerprint } of page.items) prints.set(id, fingerprint?.value.toString("hex") ?? "");
        pageToken = page.nextPageToken;
      } while (pageToken !== "");
      return prints;
    },
    async getContents(collection, ids) {
      const { items } = await unary(METHODS.batchGetItems, { collection, ids: [...ids] });
      return new Map(items.flatMap(({ id, content }) => (content === undefined ? [] : [[id, content.value] as const])));
    },
    async conflicts(collection) {
      const request = ListConflictsRequest.create({ collection, pageSize: 1000 });
      const { conflicts } = await unary(METHODS.listConflicts, request);
      const records: ConflictRecord[] = [];
      for (const { number } of conflicts) {
        const { conflict } = await unary(METHODS.getConflict, GetConflictRequest.create({ collection, number }));
        if (conflict !== undefined) records.push(conflict);
      }
      return records;
    },
    async edit(collection, edits, options = {}) {
      const entries = Object.entries(edits);
      for (let from = 0; from < entries.length; from += BATCH) {
        await write(collection, entries.slice(from, from + BATCH), options);
      }
    },
    async compact(collection) {
      const horizon = { $case: "throughRevision", value: Number.MAX_SAFE_INTEGER } as const;
      await unary(METHODS.compactCollection, CompactCollectionRequest.create({ collection, horizon }));
    },
  };
}

/** A push of a content with its fingerprint, or of a deletion. */
export function pushOf(id: string, content: Content | null): Partial<Push> {
  if (content === null) return { id, kind: ChangeKind.CHANGE_KIND_DELETED };
  const fingerprint = toFingerprint(fingerprintOf(id, content));
  return { id, kind: ChangeKind.CHANGE_KIND_UPSERTED, content: toContentField(content), fingerprint };
}
