import type { Content } from "../../core/content.js";
import type { Json, JsonObject } from "./json.js";
import type { Testee } from "./testee.js";

/** Options of `sync`, as test/conformance/README.md has them. */
export interface SyncOptions {
  readonly server: string;
  readonly standard?: string | undefined;
  readonly create?: boolean;
  readonly recreate?: boolean;
  readonly on_history_change?: "offer" | "follow" | "stop";
  readonly timeout_ms?: number;
}

/** What an exchange did, as the testee tells it. */
export interface Report {
  readonly standard: string;
  readonly received: number;
  readonly deleted: number;
  readonly sent: number;
  readonly sent_deletions: number;
  readonly settled: number;
  readonly conflicts: readonly { readonly id: string; readonly standard: string; readonly prevailed: string }[];
  readonly rejected: readonly { readonly id: string; readonly reason: string }[];
  readonly contended: readonly string[];
  readonly recovery: null | { readonly why: string; readonly offered: readonly string[] };
  readonly verified: boolean;
  readonly revision: number;
  readonly count: number;
  readonly fingerprint: string;
}

/** What somebody makes of an item: a content, or null for a deletion. */
export type Change = Content | null;

/** A replica at the testee. */
export interface TesteeReplica {
  readonly name: string;
  /** Puts and deletes, one by one, in this order. */
  change(changes: Readonly<Record<string, Change>>): Promise<void>;
  put(id: string, content: Content): Promise<void>;
  delete(id: string): Promise<boolean>;
  transaction(changes: Readonly<Record<string, Change>>): Promise<void>;
  sync(options: SyncOptions): Promise<Report>;
  /** Its content, text as a string and bytes as a Buffer; undefined where there is none. */
  get(id: string): Promise<Content | undefined>;
  /** The item as it was told; null where there is none. */
  item(id: string): Promise<JsonObject | null>;
  list(): Promise<readonly { readonly id: string; readonly fingerprint: string; readonly modify_time_us: number }[]>;
  pending(): Promise<readonly PendingChange[]>;
  held(): Promise<readonly { readonly id: string; readonly mine: Content | null; readonly theirs: Content | null }[]>;
  resolve(id: string, how: "mine" | "theirs" | { readonly content: Change }): Promise<void>;
  conflicts(): Promise<readonly { readonly id: string; readonly kind: string; readonly content: Content | null }[]>;
  status(): Promise<JsonObject>;
  loseCheckpoint(): Promise<void>;
}

/** A pending change as the testee tells it. */
export interface PendingChange {
  readonly id: string;
  readonly kind: string;
  readonly held: boolean;
  readonly rejected: string;
  readonly group: number;
}

/** Drives a replica of this name. */
export function createTesteeReplica(testee: Testee, name: string): TesteeReplica {
  const ask = (command: string, more: JsonObject = {}): Promise<JsonObject> =>
    testee.ask({ do: command, replica: name, ...more });
  const list = async <T>(command: string, field: string): Promise<readonly T[]> => {
    const answer = (await ask(command))[field];
    if (!Array.isArray(answer)) throw new Error(`"${command}" was answered without "${field}"`);
    return answer as readonly T[];
  };
  const change = (id: string, content: Change): Promise<JsonObject> =>
    content === null ? ask("delete", { id }) : ask("put", { id, ...toJson(content) });
  return {
    name,
    async change(changes) {
      for (const [id, content] of Object.entries(changes)) await change(id, content);
    },
    async put(id, content) {
      await change(id, content);
    },
    delete: async (id) => (await change(id, null))["deleted"] === true,
    async transaction(changes) {
      const told = Object.entries(changes).map(([id, content]) => ({ id, ...toJson(content) }));
      await ask("transaction", { changes: told });
    },
    sync: async (options) => (await ask("sync", { ...options })) as unknown as Report,
    async get(id) {
      const item = (await ask("get", { id }))["item"];
      return fromJson(item) ?? undefined;
    },
    item: async (id) => ((await ask("get", { id }))["item"] ?? null) as JsonObject | null,
    list: () => list("list", "items"),
    pending: () => list("pending", "pending"),
    async held() {
      const items = await list<{ readonly id: string; readonly mine: Json; readonly theirs: Json }>("held", "held");
      return items.map(({ id, mine, theirs }) => ({ id, mine: fromJson(mine), theirs: fromJson(theirs) }));
    },
    async resolve(id, how) {
      await ask("resolve", { id, ...(typeof how === "string" ? { how } : toJson(how.content)) });
    },
    async conflicts() {
      const records = await list<JsonObject>("conflicts", "conflicts");
      return records.map((record) => {
        return { ...record, id: String(record["id"]), kind: String(record["kind"]), content: fromJson(record) };
      });
    },
    status: () => ask("status"),
    async loseCheckpoint() {
      await ask("lose_checkpoint");
    },
  };
}

function toJson(content: Change): JsonObject {
  if (content === null) return { deleted: true };
  return typeof content === "string" ? { text: content } : { data: Buffer.from(content).toString("base64") };
}

function fromJson(value: Json | undefined): Content | null {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
  const { text, data } = value as JsonObject;
  if (typeof text === "string") return text;
  return typeof data === "string" ? Buffer.from(data, "base64") : null;
}
