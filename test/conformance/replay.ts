import { expect } from "vitest";
import type { MemoryReplica } from "../../client/replica/memory.js";
import { changeStandardFromJSON } from "../../gen/tercet/v1/item.js";
import { Limits } from "../../gen/tercet/v1/sync.js";
import type { Json } from "../../scripts/vectors/json-text.js";
import { protoFromJson, protoToJson } from "../../scripts/vectors/proto-json.js";
import { reportToJson, statusToJson } from "../../scripts/vectors/record.js";
import { type ReplicaJson, replicaFromJson, replicaToJson } from "../../scripts/vectors/replica-state.js";
import { createServerWorld, eventFromJson } from "../../scripts/vectors/server-world.js";
import { clientSide, type ExchangeOptions, type Side, serverSide } from "../../scripts/vectors/sides.js";

/** Something that happens in a transcript. */
interface Step {
  readonly from?: "client" | "server";
  readonly message?: Json;
  readonly lost?: true;
  readonly damaged?: string;
  readonly halfClose?: true;
  readonly cancel?: Json;
  readonly status?: Json;
  readonly event?: Json;
  readonly cut?: true;
}

/** An exchange of a transcript. */
export interface Recorded {
  readonly title?: string;
  readonly client: {
    readonly standard: string;
    readonly create: boolean;
    readonly recreate: boolean;
    readonly wishes: Json;
    readonly onHistoryChange: "offer" | "follow" | "stop";
  };
  readonly server: { readonly limits: Json; readonly history: readonly Json[] };
  readonly before: { readonly server: Json; readonly replica?: Json };
  readonly messages: readonly Step[];
  readonly after: { readonly server: Json; readonly replica?: Json };
  readonly report?: Json;
}

function limitsOf(json: Json): Partial<Limits> {
  const limits = Limits.decode(protoFromJson("Limits", json));
  return Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== 0));
}

function optionsOf({ client, server }: Recorded): ExchangeOptions {
  const { standard, create, recreate, wishes, onHistoryChange } = client;
  const limits = limitsOf(server.limits);
  return {
    standard: changeStandardFromJSON(standard),
    create,
    recreate,
    wishes: limitsOf(wishes),
    limits,
    onHistoryChange,
  };
}

/** What one side hears in its turn, said at once when the other side's turn is over. */
function hearing(side: Side) {
  let messages: Uint8Array[] = [];
  let ends = false;
  let heard = false;
  return {
    message(bytes: Uint8Array): void {
      messages.push(bytes);
      heard = true;
    },
    end(): void {
      ends = true;
      heard = true;
    },
    turn(): void {
      if (heard) side.hear({ messages, ends });
      messages = [];
      heard = false;
    },
  };
}

/** What becomes of a message on its way: it is to mean the same to who hears it. */
export type OnTheWay = (type: string, bytes: Uint8Array) => Uint8Array;

const asIs: OnTheWay = (_, bytes) => bytes;

/** Gives the client's recorded messages to a server in the recorded state: it says and becomes what was recorded. */
export function replayServer(recorded: Recorded, onTheWay: OnTheWay = asIs): void {
  const world = createServerWorld(recorded.server.history.map(eventFromJson));
  expect(world.state()).toEqual(recorded.before.server);
  const server = serverSide(world, optionsOf(recorded));
  const ears = hearing(server);
  const encoded = (message: Json) => onTheWay("ExchangeRequest", protoFromJson("ExchangeRequest", message));
  for (const step of recorded.messages) {
    if (step.event !== undefined) world.happen(eventFromJson(step.event));
    else if (step.from === "client") {
      if (step.message !== undefined && !step.lost) ears.message(encoded(step.message));
      if (step.halfClose) ears.end();
    } else {
      ears.turn();
      if (step.message !== undefined) {
        const said = nextOf(server, "ExchangeResponse");
        if (step.damaged === undefined) expect(said).toEqual(step.message);
        else expect(said).toBeDefined();
      }
      if (step.status !== undefined) {
        expect(server.ending).toBeDefined();
        expect(statusToJson(server.ending?.fault)).toEqual(step.status);
      }
    }
  }
  ears.turn();
  expect(server.out).toEqual([]);
  expect(world.state()).toEqual(recorded.after.server);
}

/** Gives the server's recorded messages to a client on the recorded replica: it says and becomes what was recorded. */
export function replayClient(recorded: Recorded, onTheWay: OnTheWay = asIs): void {
  const replica: MemoryReplica = replicaFromJson(recorded.before.replica as unknown as ReplicaJson);
  expect(replicaToJson(replica)).toEqual(recorded.before.replica);
  const client = clientSide(replica, optionsOf(recorded));
  client.hear({ messages: [] });
  const ears = hearing(client);
  const encoded = (message: Json) => onTheWay("ExchangeResponse", protoFromJson("ExchangeResponse", message));
  for (const step of recorded.messages) {
    if (step.from === "server") {
      if (step.message !== undefined && !step.lost) ears.message(encoded(step.message));
      continue;
    }
    ears.turn();
    if (step.message !== undefined) expect(nextOf(client, "ExchangeRequest")).toEqual(step.message);
    if (step.halfClose) expect(client.ending).toEqual({ fault: undefined });
    if (step.cancel !== undefined) expect(statusToJson(client.ending?.fault)).toEqual(step.cancel);
  }
  ears.turn();
  expect(client.out).toEqual([]);
  expect(replicaToJson(replica)).toEqual(recorded.after.replica);
  expect(reportToJson(client.report())).toEqual(recorded.report);
}

function nextOf(side: Side, type: string): Json | undefined {
  const bytes = side.out.shift();
  return bytes === undefined ? undefined : protoToJson(type, bytes);
}
