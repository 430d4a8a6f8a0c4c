import type { Action } from "../../client/replica/action.js";
import type { ApplyBatch } from "../../client/replica/apply-batch.js";
import type { LocalWrite } from "../../client/replica/local-items.js";
import type { BaseState, LocalState } from "../../client/replica/local-state.js";
import { createMemoryReplica, type MemoryReplica } from "../../client/replica/memory.js";
import type { Content } from "../../core/content.js";
import { compareIds } from "../../core/id.js";
import { ErrorReason, errorReasonFromJSON, errorReasonToJSON } from "../../gen/tercet/v1/error.js";
import { type ChangeStandard, changeStandardFromJSON, changeStandardToJSON } from "../../gen/tercet/v1/item.js";
import { Opened } from "../../gen/tercet/v1/sync.js";
import { fingerprint } from "./independent.js";
import type { Json } from "./json-text.js";
import { protoFromJson, protoToJson } from "./proto-json.js";
import { COLLECTION, conflictToJson, contentFromJson, contentToJson, lineageToJson } from "./server-world.js";

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");
const unbase64 = (text: string): Buffer => Buffer.from(text, "base64");

/** A state of an item in JSON: its fingerprint, or that it is deleted. */
type StateJson = { readonly fingerprint: string } | { readonly deleted: true };

const stateToJson = (print: Uint8Array | undefined): StateJson =>
  print === undefined ? { deleted: true } : { fingerprint: base64(print) };
const stateFromJson = (state: StateJson): Uint8Array | undefined =>
  "deleted" in state ? undefined : unbase64(state.fingerprint);

/** An item of a replica in JSON. */
interface ItemJson {
  readonly id: string;
  readonly base?: StateJson & {
    readonly revision: string;
    readonly modifyTimeUs: string;
    readonly text?: string;
    readonly data?: string;
  };
  readonly pending?: StateJson & {
    readonly text?: string;
    readonly data?: string;
    readonly modifyTimeUs: string;
    readonly order: number;
    readonly sendings: readonly StateJson[];
    readonly group?: number;
    readonly overrides?: string;
    readonly held?: true;
    readonly rejected?: string;
  };
}

/** A replica in JSON. */
export interface ReplicaJson {
  readonly collection: string;
  readonly collectionUid?: string;
  readonly checkpoint?: { readonly token: string; readonly revision: string };
  readonly witness?: { readonly token: string; readonly revision: string };
  readonly lineage: readonly { readonly id: string; readonly firstRevision: string }[];
  readonly settings?: Json;
  readonly count: string;
  readonly sum: string;
  readonly items: readonly ItemJson[];
  readonly conflicts: readonly Json[];
}

/** An empty replica. */
export function newReplica(): MemoryReplica {
  return createMemoryReplica({ collection: COLLECTION, replicaId: Buffer.alloc(16, 3) });
}

/** What a replica holds, in JSON. */
export function replicaToJson(replica: MemoryReplica): Json {
  const state = replica.state();
  const pending = replica.listPending(0, 1e9);
  const visible = replica.list({ prefix: "", after: "", limit: 1e9 }).map(({ id }) => id);
  const ids = [...new Set([...visible, ...pending.map(({ id }) => id)])].sort(compareIds);
  const groups = [...new Set(pending.map(({ group }) => group).filter((group) => group !== 0))];
  const overrides = overridesOf(replica, ids);
  const items = replica.lookup(ids).map((local): Json => {
    const at = pending.findIndex(({ id }) => id === local.id);
    const change = pending[at];
    return {
      id: local.id,
      ...baseToJson(local, replica),
      ...(change === undefined
        ? {}
        : {
            pending: {
              ...stateToJson(local.pending?.fingerprint),
              ...contentToJson(replica.get(local.id)?.content),
              modifyTimeUs: String(local.pending?.modifyTimeUs),
              order: at + 1,
              sendings: local.sendings.map(stateToJson),
              ...(change.group === 0 ? {} : { group: groups.indexOf(change.group) + 1 }),
              ...(overrides.has(local.id) ? { overrides: changeStandardToJSON(overrides.get(local.id) ?? 0) } : {}),
              ...(change.held ? { held: true as const } : {}),
              ...(change.rejected === undefined ? {} : { rejected: errorReasonToJSON(change.rejected.reason) }),
            },
          }),
    };
  });
  const records = [...replica.listConflicts(Number.MAX_SAFE_INTEGER, 1e6)].reverse();
  return {
    collection: state.collection,
    ...(state.collectionUid.length === 0 ? {} : { collectionUid: base64(state.collectionUid) }),
    ...checkpointToJson("checkpoint", state.token, state.revision),
    ...checkpointToJson("witness", state.witness, state.witnessRevision),
    lineage: lineageToJson(state.lineage),
    ...(state.settings.length === 0 ? {} : { settings: protoToJson("Opened", state.settings) }),
    count: String(state.total.count),
    sum: base64(state.total.sum),
    items,
    conflicts: records.flatMap(({ number }) => {
      const record = replica.getConflict(number);
      return record === undefined ? [] : [conflictToJson(record)];
    }),
  };
}

function checkpointToJson(name: string, token: Uint8Array, revision: number): Record<string, Json> {
  return token.length === 0 ? {} : { [name]: { token: base64(token), revision: String(revision) } };
}

function baseToJson(local: LocalState, replica: MemoryReplica): Record<string, Json> {
  const { id, base, pending } = local;
  if (base === undefined) return {};
  const content = pending === undefined ? replica.get(id)?.content : replica.getBaseContent(id);
  return {
    base: {
      ...stateToJson(base.fingerprint),
      ...contentToJson(content),
      revision: String(base.revision),
      modifyTimeUs: String(base.modifyTimeUs),
    },
  };
}

/** Which pending changes override one of the server's: only what is about to be sent tells. */
function overridesOf(replica: MemoryReplica, ids: readonly string[]): ReadonlyMap<string, ChangeStandard> {
  const query = { select: { ids }, maxBytes: 1e12, maxChanges: 1e9, eager: false };
  const { changes } = replica.clone().takeOutgoing(query);
  return new Map(changes.flatMap(({ id, overrides }) => (overrides === undefined ? [] : [[id, overrides]])));
}

const NO_LIMIT = { items: 1e9, bytes: 1e12 };

/** The replica that a JSON speaks of. */
export function replicaFromJson(json: ReplicaJson): MemoryReplica {
  if (json.conflicts.length > 0) throw new Error("conflict records can't be put into a replica");
  const replica = newReplica();
  const changed = json.items.filter((item) => item.pending !== undefined);
  changed.sort((a, b) => (a.pending?.order ?? 0) - (b.pending?.order ?? 0));
  for (const item of changed) prepare(replica, item);
  const written = new Set<string>();
  for (const item of changed) {
    if (written.has(item.id)) continue;
    const group = item.pending?.group;
    const members = group === undefined ? [item] : changed.filter(({ pending }) => pending?.group === group);
    writeMine(replica, members, group !== undefined);
    for (const { id } of members) written.add(id);
  }
  for (const item of changed) finish(replica, item);
  apply(replica, {
    actions: json.items.flatMap((item) => (item.pending === undefined ? takeOf(item) : [])),
    ...told(json),
  });
  return replica;
}

function apply(replica: MemoryReplica, batch: Omit<ApplyBatch, "nowUs">): void {
  const { stale } = replica.apply({ nowUs: 1, ...batch });
  if (stale.length > 0) throw new Error(`the replica is in another state: ${stale.join()}`);
}

function told(json: ReplicaJson): Partial<ApplyBatch> {
  const { checkpoint, witness, collectionUid } = json;
  const at = (each: NonNullable<ReplicaJson["checkpoint"]>) => {
    return { token: unbase64(each.token), revision: Number(each.revision) };
  };
  const lineage = json.lineage.map(({ id, firstRevision }) => {
    return { id: unbase64(id), firstRevision: Number(firstRevision) };
  });
  const kept = json.settings === undefined ? Buffer.alloc(0) : protoFromJson("Opened", json.settings);
  const settings = Buffer.from(Opened.encode(Opened.decode(kept)).finish());
  return {
    ...(collectionUid === undefined ? {} : { opened: { collectionUid: unbase64(collectionUid), lineage, settings } }),
    ...(checkpoint === undefined ? {} : { checkpoint: at(checkpoint) }),
    ...(witness === undefined ? {} : { witness: at(witness) }),
  };
}

function baseOf({ base }: ItemJson): BaseState | undefined {
  if (base === undefined) return undefined;
  return { fingerprint: stateFromJson(base), revision: Number(base.revision), modifyTimeUs: Number(base.modifyTimeUs) };
}

function takeOf(item: ItemJson): Action[] {
  const base = baseOf(item);
  const content = contentFromJson(item.base ?? {});
  if (base?.fingerprint === undefined || content === undefined) throw new Error(`"${item.id}" has no content`);
  const { fingerprint: print, revision, modifyTimeUs } = base;
  const upsert = { content, fingerprint: print };
  return [{ kind: "take", id: item.id, sequence: 0, upsert, revision, modifyTimeUs, conflict: undefined }];
}

/** A state of which nothing but the fingerprint is known. */
function bare(id: string, print: Uint8Array | undefined): LocalWrite {
  return { id, upsert: print === undefined ? undefined : { content: "", fingerprint: print } };
}

function sequenceOf(replica: MemoryReplica, id: string): number {
  return replica.lookup([id])[0]?.sequence ?? 0;
}

function send(replica: MemoryReplica, id: string): void {
  replica.takeOutgoing({ select: { ids: [id] }, maxBytes: 1e12, maxChanges: 1e9, eager: false });
}

/** A pending change on its base, of which earlier versions were sent. */
function prepare(replica: MemoryReplica, item: ItemJson): void {
  const { id, pending } = item;
  replica.write([bare(id, fingerprint(id, "a version that never was"))], 1);
  const base = baseOf(item);
  const sent = (pending?.sendings.length ?? 0) > 0;
  if (base !== undefined) rebase(replica, item, sent ? base : { ...base, modifyTimeUs: 0 }, false);
  const mine = pending && stateFromJson(pending);
  for (const sending of pending?.sendings ?? []) {
    const print = stateFromJson(sending);
    if (sameState(print, mine)) continue;
    replica.write([bare(id, print)], 1);
    send(replica, id);
  }
}

function rebase(replica: MemoryReplica, item: ItemJson, base: BaseState, held: boolean): void {
  const { id, pending } = item;
  const overrides = pending?.overrides === undefined ? undefined : changeStandardFromJSON(pending.overrides);
  const content = contentFromJson(item.base ?? {});
  const sequence = sequenceOf(replica, id);
  apply(replica, { actions: [{ kind: "rebase", id, sequence, base, content, overrides, ...(held ? { held } : {}) }] });
}

function writeMine(replica: MemoryReplica, members: readonly ItemJson[], group: boolean): void {
  const writes = members.map(({ id, pending }): LocalWrite => {
    const print = pending && stateFromJson(pending);
    const content: Content | undefined = contentFromJson(pending ?? {});
    const upsert = print === undefined || content === undefined ? undefined : { content, fingerprint: print };
    return { id, upsert };
  });
  replica.write(writes, Number(members[0]?.pending?.modifyTimeUs), group ? NO_LIMIT : undefined);
}

function finish(replica: MemoryReplica, item: ItemJson): void {
  const { id, pending } = item;
  const base = baseOf(item);
  const mine = pending && stateFromJson(pending);
  const sendings = pending?.sendings ?? [];
  // Its modify time, which would have been heard of before; a base moves only where nothing was sent.
  if (base !== undefined && sendings.length === 0) rebase(replica, item, base, pending?.held === true);
  if (sendings.some((sending) => sameState(stateFromJson(sending), mine))) send(replica, id);
  if (pending?.rejected === undefined) return;
  const reason = errorReasonFromJSON(pending.rejected) ?? ErrorReason.ERROR_REASON_UNSPECIFIED;
  const sequence = sequenceOf(replica, id);
  apply(replica, { actions: [{ kind: "reject", id, sequence, reason, message: "", resent: sendings.length > 0 }] });
}

function sameState(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a === undefined || b === undefined ? a === b : Buffer.compare(a, b) === 0;
}
