import { status } from "@grpc/grpc-js";
import type { ExchangeReport } from "../../client/protocol/report.js";
import type { MemoryReplica } from "../../client/replica/memory.js";
import type { Fault } from "../../core/fault.js";
import { reasonName } from "../../core/fault.js";
import { changeStandardToJSON } from "../../gen/tercet/v1/item.js";
import { ExchangeRequest, ExchangeResponse, Limits } from "../../gen/tercet/v1/sync.js";
import { toStatus } from "../../server/rpc/status.js";
import { type Json, jsonText } from "./json-text.js";
import { protoFromJson, protoToJson } from "./proto-json.js";
import { type ReplicaJson, replicaFromJson, replicaToJson } from "./replica-state.js";
import { eventToJson, type ServerWorld } from "./server-world.js";
import { CLOCK_US, clientSide, type ExchangeOptions, type Side, SKEW_US, serverSide } from "./sides.js";

type Fields = Record<string, Json>;

/** What happens on the way. */
export interface OnTheWay extends ExchangeOptions {
  /** A sentence on this exchange, where a transcript has several. */
  readonly title?: string;
  /** Only so many messages of the server arrive; then the stream is cut. */
  readonly arriving?: number;
  /** Called before a message of the client arrives: the place for somebody else's changes. */
  readonly before?: (message: NonNullable<ExchangeRequest["message"]>) => void;
  /** Damages a message of the server in place, and says how; undefined leaves it. */
  readonly damage?: (message: NonNullable<ExchangeResponse["message"]>) => string | undefined;
}

/** Records an exchange between both sides: what they hold before and after, and all messages in order. */
export function record(world: ServerWorld, replica: MemoryReplica, options: OnTheWay = {}): Json {
  const head = beginning(world, options, replicaBefore(replica));
  const messages: Fields[] = [];
  const client = clientSide(replica, options);
  const server = serverSide(world, options);
  converse({ world, client, server, messages, options });
  return {
    ...head,
    messages,
    after: { server: world.state(), replica: replicaToJson(replica) },
    report: reportToJson(client.report()),
  };
}

/** Records what a server does with these messages of a client, turn by turn, who need not be a real one. */
export function recordScript(world: ServerWorld, turns: readonly (readonly Json[])[], options: OnTheWay = {}): Json {
  const head = beginning(world, options, undefined);
  const server = serverSide(world, options);
  const messages: Fields[] = [];
  for (const turn of turns) {
    if (server.ending !== undefined) break;
    for (const message of turn) messages.push({ from: "client", message });
    server.hear({ messages: turn.map((message) => protoFromJson("ExchangeRequest", message)) });
    messages.push(...serverSaid(server));
  }
  if (server.ending === undefined) {
    messages.push({ from: "client", halfClose: true });
    server.hear({ messages: [], ends: true });
    messages.push(...serverSaid(server));
  }
  return { ...head, messages, after: { server: world.state() } };
}

function beginning(world: ServerWorld, options: OnTheWay, replica: Json | undefined): Fields {
  const { title, standard, create, recreate, wishes, limits, onHistoryChange } = options;
  return {
    ...(title === undefined ? {} : { title }),
    clockUs: String(CLOCK_US),
    client: {
      standard: changeStandardToJSON(standard ?? 0),
      create: create ?? false,
      recreate: recreate ?? false,
      wishes: limitsToJson(wishes),
      onHistoryChange: onHistoryChange ?? "offer",
    },
    server: { limits: limitsToJson(limits), skewUs: String(SKEW_US), history: world.history.map(eventToJson) },
    before: { server: world.state(), ...(replica === undefined ? {} : { replica }) },
  };
}

/** The replica as it is, having made sure that it can be made anew from that. */
function replicaBefore(replica: MemoryReplica): Json {
  const json = replicaToJson(replica);
  const again = replicaToJson(replicaFromJson(json as unknown as ReplicaJson));
  if (jsonText(again) !== jsonText(json)) {
    throw new Error(`this replica can't be made anew:\n${jsonText(json)}\n${jsonText(again)}`);
  }
  return json;
}

function limitsToJson(limits: Partial<Limits> | undefined): Json {
  return protoToJson("Limits", Limits.encode(Limits.create(limits ?? {})).finish());
}

interface Conversation {
  readonly world: ServerWorld;
  readonly client: Side;
  readonly server: Side;
  readonly messages: Fields[];
  readonly options: OnTheWay;
}

/** In turns: all that the client has to say, then all that the server has to say. */
function converse(conversation: Conversation): void {
  const { client, server, messages, options } = conversation;
  let arriving = options.arriving ?? Number.POSITIVE_INFINITY;
  client.hear({ messages: [] });
  while (clientTurn(conversation)) {
    const said = server.out.splice(0);
    const { ending } = server;
    if (said.length === 0 && ending === undefined) throw new Error("both sides wait");
    const cut = said.length > arriving;
    const heard = said.map((bytes, at) => arrive(conversation, bytes, at >= arriving)).slice(0, arriving);
    arriving -= said.length;
    if (!cut && ending !== undefined) messages.push({ from: "server", status: statusToJson(ending.fault) });
    client.hear({ messages: heard, ends: !cut && ending !== undefined && ending.fault === undefined });
    if (cut) {
      for (const bytes of client.out) {
        messages.push({ from: "client", message: protoToJson("ExchangeRequest", bytes), lost: true });
      }
      messages.push({ cut: true });
    }
    if (!cut && ending === undefined) continue;
    client.stop();
    server.stop();
    return;
  }
}

/** False: the client has ended the exchange. */
function clientTurn({ world, client, server, messages, options }: Conversation): boolean {
  const said = client.out.splice(0);
  const { ending } = client;
  for (const bytes of said) {
    const { message } = ExchangeRequest.decode(bytes);
    const known = world.history.length;
    if (message !== undefined) options.before?.(message);
    for (const event of world.history.slice(known)) messages.push({ event: eventToJson(event) });
    messages.push({ from: "client", message: protoToJson("ExchangeRequest", bytes) });
  }
  const halfCloses = ending !== undefined && ending.fault === undefined;
  if (halfCloses) messages.push({ from: "client", halfClose: true });
  server.hear({ messages: said, ends: halfCloses });
  if (ending === undefined) return true;
  if (ending.fault === undefined) messages.push(...serverSaid(server));
  else {
    messages.push({ from: "client", cancel: statusToJson(ending.fault) });
    server.stop();
  }
  return false;
}

/** What a server says to a client that does not answer by itself. */
function serverSaid(server: Side): Fields[] {
  const said = server.out.splice(0).map((bytes): Fields => {
    return { from: "server", message: protoToJson("ExchangeResponse", bytes) };
  });
  if (server.ending !== undefined) said.push({ from: "server", status: statusToJson(server.ending.fault) });
  return said;
}

/** A message of the server on its way: what arrives of it. */
function arrive({ messages, options }: Conversation, bytes: Uint8Array, lost: boolean): Uint8Array {
  const response = ExchangeResponse.decode(bytes);
  const damaged = lost || response.message === undefined ? undefined : options.damage?.(response.message);
  const arrives = damaged === undefined ? bytes : ExchangeResponse.encode(response).finish();
  const message = protoToJson("ExchangeResponse", arrives);
  messages.push({ from: "server", message, ...(damaged === undefined ? {} : { damaged }), ...(lost ? { lost } : {}) });
  return arrives;
}

/** How a side ended, as a gRPC status. */
export function statusToJson(fault: Fault | undefined): Json {
  if (fault === undefined) return { code: "OK" };
  return {
    code: status[toStatus(fault).code] ?? "UNKNOWN",
    reason: reasonName(fault.reason),
    ...(fault.fields === undefined ? {} : { fields: fault.fields.map(({ field }) => field) }),
    ...(fault.metadata === undefined ? {} : { metadata: { ...fault.metadata } }),
  };
}

/** What a client has to report of an exchange. */
export function reportToJson(report: ExchangeReport): Json {
  const { recovery, conflicts, rejected, contended } = report;
  return {
    verified: report.verified,
    roundTrips: report.roundTrips,
    sent: report.sent,
    sentDeletions: report.sentDeletions,
    received: report.received,
    deleted: report.deleted,
    settled: report.settled,
    conflicts: conflicts.map(({ id, standard, prevailed }) => {
      return { id, standard: changeStandardToJSON(standard), prevailed };
    }),
    rejected: rejected.map(({ id, reason }) => ({ id, reason: reasonName(reason) })),
    contended: [...contended],
    ...(recovery === undefined
      ? {}
      : {
          recovery: {
            why: recovery.why,
            forkRevision: String(recovery.forkRevision),
            differences: recovery.differences,
            offered: [...recovery.offered],
          },
        }),
  };
}
