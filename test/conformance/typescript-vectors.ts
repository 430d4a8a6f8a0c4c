import { Server, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import { errorReasonFromJSON, errorReasonToJSON } from "../../gen/tercet/v1/error.js";
import { type ChangeStandard, changeStandardFromJSON, changeStandardToJSON } from "../../gen/tercet/v1/item.js";
import { ExchangeRequest, ExchangeResponse, Limits, Opened } from "../../gen/tercet/v1/sync.js";
import { SyncServiceService } from "../../gen/tercet/v1/sync_service.js";
import type { Json } from "../../scripts/vectors/json-text.js";
import { protoFromJson, protoToJson } from "../../scripts/vectors/proto-json.js";
import type { ReplicaJson } from "../../scripts/vectors/replica-state.js";
import type { Side } from "../../scripts/vectors/sides.js";
import { toStatus } from "../../server/rpc/status.js";
import { compareIds, plus, sumBytes, sumOf } from "./typescript/fingerprint.js";
import {
  createReplica,
  DEFAULT_LIMITS,
  type Entry,
  listPending,
  type Replica,
  type Version,
  versionOf,
} from "./typescript/replica.js";

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");
const unbase64 = (text: string): Buffer => Buffer.from(text, "base64");

type StateJson = { readonly fingerprint?: string; readonly text?: string; readonly data?: string };

/** Serves one side of a recorded world by gRPC, for one exchange; answers its address. */
export async function serveSide(side: Side): Promise<{ readonly address: string; close(): void }> {
  const server = new Server();
  server.addService(SyncServiceService, {
    exchange(call: ServerDuplexStream<ExchangeRequest, ExchangeResponse>) {
      const say = (): void => {
        for (let out = side.out.shift(); out !== undefined; out = side.out.shift()) {
          call.write(ExchangeResponse.decode(out));
        }
        if (side.ending === undefined) return;
        const { fault } = side.ending;
        if (fault === undefined) call.end();
        else call.emit("error", toStatus(fault));
      };
      call.on("data", (message: ExchangeRequest) => {
        if (side.ending !== undefined) return;
        side.hear({ messages: [ExchangeRequest.encode(message).finish()] });
        say();
      });
      call.on("end", () => {
        if (side.ending === undefined) side.hear({ messages: [], ends: true });
        say();
      });
      call.on("error", () => undefined);
    },
  });
  const port = await new Promise<number>((resolve, reject) => {
    const credentials = ServerCredentials.createInsecure();
    server.bindAsync("127.0.0.1:0", credentials, (error, bound) => (error ? reject(error) : resolve(bound)));
  });
  return { address: `127.0.0.1:${port}`, close: () => server.forceShutdown() };
}

function versionFrom(id: string, { fingerprint, text, data }: StateJson): Version | undefined {
  if (fingerprint === undefined || (text === undefined && data === undefined)) return undefined;
  return versionOf(id, text === undefined ? unbase64(data ?? "") : Buffer.from(text), text !== undefined);
}

/** The replica that a transcript begins with. */
export function replicaFrom(json: ReplicaJson): Replica {
  const replica = createReplica(json.collection);
  const at = (each: ReplicaJson["checkpoint"]) =>
    each === undefined
      ? { token: Buffer.alloc(0), revision: 0 }
      : { token: unbase64(each.token), revision: Number(each.revision) };
  replica.uid = unbase64(json.collectionUid ?? "");
  replica.checkpoint = at(json.checkpoint);
  replica.witness = at(json.witness);
  replica.lineage = json.lineage.map(({ id, firstRevision }) => {
    return { id: unbase64(id), firstRevision: Number(firstRevision) };
  });
  if (json.settings !== undefined) {
    replica.limits = Opened.decode(protoFromJson("Opened", json.settings)).limits ?? DEFAULT_LIMITS;
  }
  for (const item of json.items) {
    const entry = entryFrom(item);
    replica.entries.set(item.id, entry);
    replica.total = plus(replica.total, sumOf(entry.base?.fingerprint));
    replica.lastSequence = Math.max(replica.lastSequence, item.pending?.order ?? 0);
  }
  return replica;
}

function entryFrom({ id, base, pending }: ReplicaJson["items"][number]): Entry {
  const fingerprint = base !== undefined && "fingerprint" in base ? unbase64(base.fingerprint) : undefined;
  const version = base === undefined ? undefined : versionFrom(id, base);
  const state = base && {
    ...{ id, fingerprint, version, size: version?.bytes.length ?? 0 },
    ...{ revision: Number(base.revision), timeUs: Number(base.modifyTimeUs) },
  };
  if (pending === undefined) return { id, mine: version, timeUs: state?.timeUs ?? 0, base: state, pending: undefined };
  return {
    id,
    mine: versionFrom(id, pending),
    timeUs: Number(pending.modifyTimeUs),
    base: state,
    pending: {
      sequence: pending.order,
      sendings: pending.sendings.map((each) => ("fingerprint" in each ? unbase64(each.fingerprint) : undefined)),
      overrides: changeStandardFromJSON(pending.overrides ?? 0),
      held: pending.held ?? false,
      group: pending.group ?? 0,
      rejected: errorReasonFromJSON(pending.rejected ?? 0),
      upload: undefined,
    },
  };
}

/** A replica as transcripts have it. */
export function replicaTo(replica: Replica): Json {
  const pending = listPending(replica);
  const groups = [...new Set(pending.map((entry) => entry.pending?.group ?? 0).filter((group) => group !== 0))];
  const entries = [...replica.entries.values()].sort((a, b) => compareIds(a.id, b.id));
  const at = (name: string, { token, revision }: Replica["checkpoint"]) =>
    token.length === 0 ? {} : { [name]: { token: base64(token), revision: String(revision) } };
  const { limits } = replica;
  return {
    collection: replica.collection,
    ...(replica.uid.length === 0 ? {} : { collectionUid: base64(replica.uid) }),
    ...at("checkpoint", replica.checkpoint),
    ...at("witness", replica.witness),
    lineage: replica.lineage.map(({ id, firstRevision }) => {
      return { id: base64(id), firstRevision: String(firstRevision) };
    }),
    ...(limits === DEFAULT_LIMITS
      ? {}
      : { settings: { limits: protoToJson("Limits", Limits.encode(limits).finish()) } }),
    count: String(replica.total.count),
    sum: base64(sumBytes(replica.total)),
    items: entries.map((entry) => itemTo(entry, pending.indexOf(entry) + 1, groups)),
    conflicts: replica.conflicts.map(({ id, version, prevailed, standard }) => {
      return { id, ...stateTo(version?.fingerprint), ...contentTo(version), ...prevailedTo(prevailed, standard) };
    }),
  };
}

function itemTo({ id, mine, timeUs, base, pending }: Entry, order: number, groups: readonly number[]): Json {
  return {
    id,
    ...(base && {
      base: {
        ...stateTo(base.fingerprint),
        ...contentTo(base.version),
        ...{ revision: String(base.revision), modifyTimeUs: String(base.timeUs) },
      },
    }),
    ...(pending && {
      pending: {
        ...stateTo(mine?.fingerprint),
        ...contentTo(mine),
        ...{ modifyTimeUs: String(timeUs), order, sendings: pending.sendings.map(stateTo) },
        ...(pending.group === 0 ? {} : { group: groups.indexOf(pending.group) + 1 }),
        ...(pending.overrides === 0 ? {} : { overrides: changeStandardToJSON(pending.overrides) }),
        ...(pending.held ? { held: true } : {}),
        ...(pending.rejected === 0 ? {} : { rejected: errorReasonToJSON(pending.rejected) }),
      },
    }),
  };
}

function stateTo(fingerprint: Uint8Array | undefined): Record<string, Json> {
  return fingerprint === undefined ? { deleted: true } : { fingerprint: base64(fingerprint) };
}

function contentTo(version: Version | undefined): Record<string, Json> {
  if (version === undefined) return {};
  const bytes = Buffer.from(version.bytes);
  return version.text ? { text: bytes.toString() } : { data: bytes.toString("base64") };
}

/** Conflict records of transcripts, in the few fields that this client keeps. */
export function recordsOf(json: Json): Json {
  const records = json as readonly Readonly<Record<string, Json>>[];
  return records.map((record) => {
    const print = (name: string): Uint8Array | undefined => {
      const message = record[name] as { readonly value: string } | undefined;
      return message === undefined ? undefined : unbase64(message.value);
    };
    const { text, data } = record;
    const content = text !== undefined ? { text } : data !== undefined ? { data } : {};
    const standard = changeStandardFromJSON(record["standard"] ?? 0);
    return {
      id: record["id"] as Json,
      ...stateTo(print("fingerprint")),
      ...content,
      ...prevailedTo(print("prevailed"), standard),
    };
  });
}

function prevailedTo(prevailed: Uint8Array | undefined, standard: ChangeStandard): Record<string, Json> {
  return { prevailed: prevailed === undefined ? null : base64(prevailed), standard: changeStandardToJSON(standard) };
}
