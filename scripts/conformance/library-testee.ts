// A testee around the client library: what test/conformance/README.md says, with replicas in memory.
import { createInterface } from "node:readline";
import { toError } from "../../client/error.js";
import type { SyncOptions, SyncReport } from "../../client/index.js";
import { StorageError, TercetError } from "../../client/index.js";
import { createMemoryReplica, type MemoryReplica } from "../../client/replica/memory.js";
import { type ResolveHow, replicaConflicts } from "../../client/replica-conflicts.js";
import { type Replica, replicaOn } from "../../client/replica-handle.js";
import type { Conflict, Item } from "../../client/replica-views.js";
import type { Content } from "../../core/content.js";
import { checkCollectionName } from "../../core/id.js";
import { type Json, type JsonObject, toAscii } from "./json.js";

/** A replica and the store that it is on, which can be copied. */
interface Held {
  readonly replica: Replica;
  readonly store: MemoryReplica;
}

type Request = Readonly<Record<string, unknown>>;

const realNow = Date.now;
const replicas = new Map<string, Held>();

function hold(name: string, store: MemoryReplica): void {
  replicas.set(name, { replica: replicaOn(store), store });
}

function held(request: Request): Held {
  const found = replicas.get(String(request["replica"]));
  if (found === undefined) throw new Error(`there is no replica ${String(request["replica"])}`);
  return found;
}

/** The same replica without its checkpoint, until a recovery has earned another one. */
function withoutCheckpoint(store: MemoryReplica): MemoryReplica {
  let lost = true;
  const none = { token: Buffer.alloc(0), revision: 0, witness: Buffer.alloc(0), witnessRevision: 0 };
  return {
    ...store,
    state: () => (lost ? { ...store.state(), ...none } : store.state()),
    apply(batch) {
      if (batch.recovered !== undefined) lost = false;
      return store.apply(batch);
    },
    clone: () => (lost ? withoutCheckpoint(store.clone()) : store.clone()),
  };
}

function contentOf(request: Request): Content | undefined {
  if (typeof request["text"] === "string") return request["text"];
  return typeof request["data"] === "string" ? Buffer.from(request["data"], "base64") : undefined;
}

function needContent(request: Request): Content {
  const content = contentOf(request);
  if (content === undefined) throw new Error("neither text nor data");
  return content;
}

function contentJson(content: Content | undefined): JsonObject {
  if (content === undefined) return {};
  return typeof content === "string" ? { text: content } : { data: Buffer.from(content).toString("base64") };
}

function itemJson({ id, fingerprint, modifyTime, pending }: Item): JsonObject {
  return { id, fingerprint, modify_time_us: Math.round(modifyTime.getTime() * 1000), pending };
}

function conflictJson({ id, kind, content, fingerprint, prevailed, standard }: Conflict): JsonObject {
  const prints = { fingerprint: fingerprint ?? null, prevailed: prevailed ?? null };
  return { id, kind, ...contentJson(content), ...prints, standard };
}

function changeOf(change: Request): readonly [id: string, content: Content | undefined] {
  return [String(change["id"]), change["deleted"] === true ? undefined : needContent(change)];
}

function howOf(request: Request): ResolveHow {
  if (request["deleted"] === true) return { deleted: true };
  const content = contentOf(request);
  return content === undefined ? (request["how"] as ResolveHow) : { content };
}

function versionJson(present: string | undefined, content: Content | undefined): Json {
  return present === undefined ? null : contentJson(content);
}

function reportJson(report: SyncReport): JsonObject {
  const { standard, received, deleted, sent, settled, contended, verified, revision, count, fingerprint } = report;
  const { recovery } = report;
  return {
    standard,
    received,
    deleted,
    sent,
    sent_deletions: report.sentDeletions,
    settled,
    conflicts: report.conflicts.map(({ id, standard: by, prevailed }) => ({ id, standard: by, prevailed })),
    rejected: report.rejected.map(({ id, reason }) => ({ id, reason })),
    contended,
    round_trips: report.roundTrips,
    recovery: recovery === undefined ? null : { why: recovery.why, offered: recovery.offered },
    verified,
    revision,
    count,
    fingerprint,
  };
}

async function sync(request: Request): Promise<JsonObject> {
  const { server, standard, create, recreate, on_history_change: onHistoryChange, timeout_ms: timeoutMs } = request;
  const given = { server, standard, create, recreate, onHistoryChange, timeoutMs };
  const options = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  return reportJson(await held(request).replica.sync(options as unknown as SyncOptions));
}

const COMMANDS: Readonly<Record<string, (request: Request) => JsonObject | Promise<JsonObject>>> = {
  hello: () => ({ name: "library", features: ["groups", "chunks", "reconcile", "manual", "concurrent"] }),
  set_clock({ us }) {
    Date.now = us === 0 ? realNow : () => Number(us) / 1000;
    return {};
  },
  open({ replica, collection }) {
    const fault = checkCollectionName(String(collection));
    if (fault !== undefined) throw toError(fault);
    hold(String(replica), createMemoryReplica({ collection: String(collection) }));
    return {};
  },
  copy(request) {
    hold(String(request["to"]), held(request).store.clone());
    return {};
  },
  close(request) {
    held(request).replica.close();
    replicas.delete(String(request["replica"]));
    return {};
  },
  put(request) {
    held(request).replica.put(String(request["id"]), needContent(request));
    return {};
  },
  delete: (request) => ({ deleted: held(request).replica.delete(String(request["id"])) !== undefined }),
  transaction(request) {
    const changes = (request["changes"] as readonly Request[]).map(changeOf);
    held(request).replica.transaction((transaction) => {
      for (const [id, content] of changes) {
        if (content === undefined) transaction.delete(id);
        else transaction.put(id, content);
      }
    });
    return {};
  },
  sync,
  get(request) {
    const item = held(request).replica.get(String(request["id"]));
    return { item: item === undefined ? null : { ...itemJson(item), ...contentJson(item.content) } };
  },
  list: (request) => ({ items: [...held(request).replica.list()].map(itemJson) }),
  pending(request) {
    const changes = [...held(request).replica.pending()].map(({ id, kind, held: isHeld, rejected, group }) => {
      return { id, kind, held: isHeld, rejected: rejected?.reason ?? "", group: group ?? 0 };
    });
    return { pending: changes };
  },
  held(request) {
    const { replica } = held(request);
    const items = [...replica.held()].map(({ id }) => {
      const versions = replica.heldItem(id);
      const mine = versionJson(versions?.mine, versions?.mineContent);
      return { id, mine, theirs: versionJson(versions?.theirs, versions?.theirsContent) };
    });
    return { held: items };
  },
  resolve(request) {
    held(request).replica.resolve(String(request["id"]), howOf(request));
    return {};
  },
  conflicts(request) {
    const { conflicts, conflict } = replicaConflicts(() => held(request).store);
    return { conflicts: [...conflicts()].map((record) => conflictJson(conflict(record.number) ?? record)) };
  },
  status(request) {
    const status = held(request).replica.status();
    const { items, pending, held: heldItems, conflicts, revision, agreed } = status;
    return { items, pending, held: heldItems, conflicts, revision, ...agreed };
  },
  lose_checkpoint(request) {
    hold(String(request["replica"]), withoutCheckpoint(held(request).store));
    return {};
  },
};

function errorJson(error: unknown): JsonObject {
  if (error instanceof TercetError) {
    const { code, reason, message, fields, retryAfterMs } = error;
    const names = fields.map(({ field }) => field);
    return {
      code,
      reason,
      message,
      fields: names,
      ...(retryAfterMs === undefined ? {} : { retry_after_ms: retryAfterMs }),
    };
  }
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { code: "INTERNAL", reason: error instanceof StorageError ? "STORAGE_FAILED" : "INTERNAL", message };
}

async function answer(line: string): Promise<void> {
  const request = JSON.parse(line) as Request;
  const n = Number(request["n"]);
  const command = COMMANDS[String(request["do"])];
  let told: JsonObject;
  try {
    if (command === undefined)
      throw new TercetError("not known here", { code: "UNIMPLEMENTED", reason: "UNSUPPORTED" });
    told = { n, ok: await command(request) };
  } catch (error) {
    told = { n, error: errorJson(error) };
  }
  process.stdout.write(`${toAscii(told)}\n`);
}

for await (const line of createInterface({ input: process.stdin })) void answer(line);
