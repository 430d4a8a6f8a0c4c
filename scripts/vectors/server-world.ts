import type { Content } from "../../core/content.js";
import { contentSize } from "../../core/content.js";
import { toChangeInfo } from "../../core/page.js";
import type { RecordedConflict } from "../../core/recorded-conflict.js";
import { Collection, ConflictRecord } from "../../gen/tercet/v1/collection.js";
import {
  ChangeInfo,
  ChangeStandard,
  changeStandardFromJSON,
  changeStandardToJSON,
  Epoch,
} from "../../gen/tercet/v1/item.js";
import { toCollection, toConflictRecord } from "../../server/rpc/collection-messages.js";
import { createMemoryStore, type MemoryStore } from "../../server/store/memory.js";
import type { Awaitable, Store } from "../../server/store/store.js";
import type { BatchWritten, Write, WriteBatch } from "../../server/store/write-batch.js";
import { fingerprint } from "./independent.js";
import type { Json } from "./json-text.js";
import { protoToJson } from "./proto-json.js";

/** The collection that all transcripts are about. */
export const COLLECTION = "things";

/** One thing that happened at a server. A server is what its history made of it. */
export type ServerEvent =
  /** The server started on its data: a new epoch. */
  | { readonly kind: "start"; readonly epoch: Uint8Array }
  | { readonly kind: "create"; readonly uid: Uint8Array; readonly standard: ChangeStandard; readonly timeUs: number }
  /** A commit: one revision. */
  | {
      readonly kind: "commit";
      readonly revision: number;
      readonly timeUs: number;
      readonly changes: readonly Committed[];
    }
  | { readonly kind: "compact"; readonly revision: number }
  | { readonly kind: "delete" };

/** A change of a commit. */
export interface Committed {
  readonly id: string;
  /** Undefined: deleted. */
  readonly content: Content | undefined;
  readonly modifyTimeUs: number;
  readonly overrides?: ChangeStandard | undefined;
}

/** A server in memory that knows how it came to be what it is. */
export interface ServerWorld {
  readonly store: Store;
  readonly history: readonly ServerEvent[];
  /** Lets something happen to it. */
  happen(event: ServerEvent): void;
  /** A commit of somebody else's; null deletes. */
  commit(changes: Readonly<Record<string, Content | null>>, timeUs: number): void;
  /** What it holds. */
  state(): Json;
}

/** What a synchronous store answers. */
export function now<T>(value: Awaitable<T>): T {
  if (value instanceof Promise) throw new Error("this store is not synchronous");
  return value;
}

/** The server that a history makes. */
export function createServerWorld(events: readonly ServerEvent[]): ServerWorld {
  const history: ServerEvent[] = [];
  let store: MemoryStore | undefined;

  function memory(): MemoryStore {
    if (store === undefined) throw new Error("a history begins with a start");
    return store;
  }

  function uid(): Uint8Array {
    const state = now(memory().getCollection(COLLECTION));
    if (state === undefined) throw new Error("there is no collection");
    return state.uid;
  }

  function happen(event: ServerEvent): void {
    if (event.kind === "start") {
      store = store === undefined ? createMemoryStore({ epoch: event.epoch }) : store.clone(event.epoch);
    } else if (event.kind === "create") {
      const { standard, timeUs: nowUs } = event;
      memory().createCollection({ name: COLLECTION, uid: event.uid, standard, nowUs });
    } else if (event.kind === "compact") now(memory().compact({ uid: uid(), through: event.revision }));
    else if (event.kind === "delete") now(memory().deleteCollection(uid()));
    else commitEvent(memory(), uid(), event);
    history.push(event);
  }

  for (const event of events) happen(event);
  const recording = (store: Store): Store => ({
    ...store,
    createCollection(creation) {
      const created = now(store.createCollection(creation));
      const { uid: made, standard, nowUs: timeUs } = creation;
      if (created.created) history.push({ kind: "create", uid: made, standard, timeUs });
      return created;
    },
    write(batches) {
      const written = now(store.write(batches));
      batches.forEach((batch, at) => {
        history.push(...commitsOf(batch, written[at]));
      });
      return written;
    },
  });
  return {
    get store() {
      return recording(memory());
    },
    history,
    happen,
    commit(changes, timeUs) {
      const revision = (now(memory().getCollection(COLLECTION))?.revision ?? 0) + 1;
      const committed = Object.entries(changes).map(([id, content]) => {
        return { id, content: content ?? undefined, modifyTimeUs: timeUs };
      });
      happen({ kind: "commit", revision, timeUs, changes: committed });
    },
    state: () => stateOf(memory()),
  };
}

function commitEvent(store: Store, uid: Uint8Array, event: Extract<ServerEvent, { kind: "commit" }>): void {
  const writes = event.changes.map(({ id, content, modifyTimeUs, overrides }): Write => {
    const upsert =
      content === undefined
        ? undefined
        : { content, fingerprint: fingerprint(id, content), size: contentSize(content) };
    const group = event.changes.length > 1 ? 1 : 0;
    return { id, upsert, modifyTimeUs, expected: "any", seen: undefined, fence: true, overrides, group };
  });
  const [written] = now(store.write([{ uid, writes, nowUs: event.timeUs }]));
  if (written?.revision !== event.revision) throw new Error(`revision ${written?.revision}, not ${event.revision}`);
}

/** A batch as the commits that it came to. */
function commitsOf(batch: WriteBatch, written: BatchWritten | undefined): ServerEvent[] {
  const commits = new Map<number, Committed[]>();
  written?.outcomes.forEach((outcome, at) => {
    if (outcome.kind !== "applied") return;
    const { id, upsert, modifyTimeUs, overrides } = batch.writes[at] as Write;
    const change = { id, content: upsert?.content, modifyTimeUs, ...(overrides === undefined ? {} : { overrides }) };
    commits.set(outcome.revision, [...(commits.get(outcome.revision) ?? []), change]);
  });
  return [...commits].map(([revision, changes]) => ({ kind: "commit", revision, timeUs: batch.nowUs, changes }));
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");

/** An event in JSON. */
export function eventToJson(event: ServerEvent): Json {
  if (event.kind === "start") return { start: { epoch: base64(event.epoch) } };
  if (event.kind === "compact") return { compact: { revision: String(event.revision) } };
  if (event.kind === "delete") return { deleteCollection: {} };
  if (event.kind === "create") {
    const { uid, standard, timeUs } = event;
    return {
      createCollection: { uid: base64(uid), standard: changeStandardToJSON(standard), timeUs: String(timeUs) },
    };
  }
  const changes = event.changes.map(({ id, content, modifyTimeUs, overrides }): Json => {
    return {
      id,
      ...contentToJson(content),
      modifyTimeUs: String(modifyTimeUs),
      ...(overrides === undefined ? {} : { overrides: changeStandardToJSON(overrides) }),
    };
  });
  return { commit: { revision: String(event.revision), timeUs: String(event.timeUs), changes } };
}

/** An event from its JSON. */
export function eventFromJson(json: Json): ServerEvent {
  const [[kind, value] = []] = Object.entries(json as Record<string, Json>);
  const fields = value as Record<string, string>;
  if (kind === "start") return { kind, epoch: Buffer.from(fields["epoch"] ?? "", "base64") };
  if (kind === "compact") return { kind, revision: Number(fields["revision"]) };
  if (kind === "deleteCollection") return { kind: "delete" };
  const timeUs = Number(fields["timeUs"]);
  if (kind === "createCollection") {
    const uid = Buffer.from(fields["uid"] ?? "", "base64");
    return { kind: "create", uid, standard: changeStandardFromJSON(fields["standard"]), timeUs };
  }
  const changes = (value as { changes: readonly Record<string, string>[] }).changes.map((change): Committed => {
    const { id = "", modifyTimeUs, overrides } = change;
    const standard = overrides === undefined ? {} : { overrides: changeStandardFromJSON(overrides) };
    return { id, content: contentFromJson(change), modifyTimeUs: Number(modifyTimeUs), ...standard };
  });
  return { kind: "commit", revision: Number(fields["revision"]), timeUs, changes };
}

/** A content as protobuf JSON has it in a oneof of text and data. */
export function contentToJson(content: Content | undefined): Record<string, string> {
  if (content === undefined) return {};
  return typeof content === "string" ? { text: content } : { data: base64(content) };
}

/** The same back. */
export function contentFromJson(json: Readonly<Record<string, unknown>>): Content | undefined {
  if (typeof json["text"] === "string") return json["text"];
  return typeof json["data"] === "string" ? Buffer.from(json["data"], "base64") : undefined;
}

/** What a server holds, as messages of the contract; null where there is no collection. */
function stateOf(store: Store): Json {
  const state = now(store.getCollection(COLLECTION));
  if (state === undefined) return null;
  const { uid } = state;
  const everything = { uid, after: 0, tombstonesAfter: 0, maxBytes: 1e12, maxChanges: 1e9, inlineBytes: 1e9 };
  const changes = now(store.readChanges(everything))?.changes ?? [];
  const records = now(store.listConflicts({ uid, id: "", before: Number.MAX_SAFE_INTEGER, limit: 1e6 }));
  const conflicts = [...records].reverse().map(({ number }) => now(store.getConflict(uid, number)));
  const live = changes.filter(
    (change) => change.fingerprint !== undefined || change.revision > state.compactedRevision,
  );
  return {
    collection: protoToJson("Collection", Collection.encode(toCollection(state)).finish()),
    lineage: lineageToJson(state.lineage),
    changes: live.map((change) => protoToJson("ChangeInfo", ChangeInfo.encode(toChangeInfo(change)).finish())),
    conflicts: conflicts.flatMap((record) => (record === undefined ? [] : [conflictToJson(record)])),
  };
}

/** A lineage as a list of Epoch. */
export function lineageToJson(lineage: readonly { readonly id: Uint8Array; readonly firstRevision: number }[]): Json {
  return lineage.map(({ id, firstRevision }) => {
    return protoToJson("Epoch", Epoch.encode({ id: Buffer.from(id), firstRevision }).finish());
  });
}

/** A conflict record as a ConflictRecord. */
export function conflictToJson(record: RecordedConflict): Json {
  return protoToJson("ConflictRecord", ConflictRecord.encode(toConflictRecord(record)).finish());
}

/** A history that begins with an empty collection. */
export function emptyServer(timeUs: number, standard: ChangeStandard = ChangeStandard.CHANGE_STANDARD_UNSPECIFIED) {
  return createServerWorld([
    { kind: "start", epoch: Buffer.alloc(8, 1) },
    { kind: "create", uid: Buffer.alloc(16, 9), standard, timeUs },
  ]);
}
