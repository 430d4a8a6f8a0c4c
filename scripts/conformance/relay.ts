import { Client, type ClientDuplexStream, credentials, type StatusObject } from "@grpc/grpc-js";
import type { Fault } from "../../core/fault.js";
import { ExchangeRequest, ExchangeResponse } from "../../gen/tercet/v1/sync.js";
import { SyncServiceService } from "../../gen/tercet/v1/sync_service.js";
import { createLockstep } from "./lockstep.js";
import { type ServerEnd, type StreamServer, startStreamServer } from "./stream-server.js";

/** A message of a client. */
export type ClientMessage = NonNullable<ExchangeRequest["message"]>;
type ServerMessage = NonNullable<ExchangeResponse["message"]>;

/**
 * What becomes of a message at the relay: it passes (undefined), these come in its place, it is lost, the connection is cut
 * without a word before it, or the exchange ends before it, with OK or with a status.
 */
export type Fate<Message> =
  | undefined
  | "lost"
  | "cut"
  | "ok"
  | { readonly instead: readonly (Message | Uint8Array)[] }
  | { readonly status: Fault };

/** What a relay does with an exchange. `at` counts the messages of each direction from 0. */
export interface RelayPlan {
  up?(message: ClientMessage, at: number): Fate<ClientMessage> | Promise<Fate<ClientMessage>>;
  down?(message: ServerMessage, at: number): Fate<ServerMessage> | Promise<Fate<ServerMessage>>;
  /** Both sides speak in turns, so that round trips can be counted. */
  readonly lockstep?: boolean;
}

/** A relay between a client and a server. */
export interface Relay {
  readonly address: string;
  /** How often the client had to wait, where it is in lockstep. */
  readonly trips: number;
  /** What went through, of both sides, as far as it was not lost: names of the messages. */
  readonly log: readonly string[];
  stop(): Promise<void>;
}

const asIs = (bytes: Buffer): Buffer => bytes;

/**
 * Starts one before the server that `upstream` says the address of when an exchange begins. `patience` multiplies the silences
 * after which a turn has ended in lockstep.
 */
export async function startRelay(upstream: () => string, plan: RelayPlan, patience = 1): Promise<Relay> {
  const log: string[] = [];
  const lockstep = createLockstep(patience);
  const clients = new Set<Client>();
  const server: StreamServer = await startStreamServer(async (end) => {
    const client = new Client(upstream(), credentials.createInsecure());
    clients.add(client);
    const call = client.makeBidiStreamRequest(SyncServiceService.exchange.path, asIs, asIs);
    await pass(end, call, plan, { log, lockstep });
    clients.delete(client);
    client.close();
  });
  return {
    address: server.address,
    get trips() {
      return lockstep.trips;
    },
    log,
    async stop() {
      await server.stop();
      for (const client of clients) client.close();
    },
  };
}

interface Passing {
  readonly log: string[];
  readonly lockstep: ReturnType<typeof createLockstep>;
}

async function pass(
  end: ServerEnd,
  call: ClientDuplexStream<Buffer, Buffer>,
  plan: RelayPlan,
  { log, lockstep }: Passing,
): Promise<void> {
  const status = new Promise<StatusObject>((resolve) => void call.on("status", resolve));
  call.on("error", () => undefined);
  let broken = false;

  /** Whether the message goes on; says so to both sides where it ends everything. */
  function settle(fate: Fate<never>): boolean {
    if (fate === undefined || fate === "lost") return fate === undefined;
    broken = true;
    if (fate === "cut") end.cut();
    else if (fate === "ok") end.end();
    else if ("status" in fate) end.refuse(fate.status);
    call.cancel();
    return false;
  }

  async function goUp(): Promise<void> {
    for (let at = 0; ; at++) {
      const bytes = await end.receive();
      if (bytes === undefined || broken) break;
      const { message } = ExchangeRequest.decode(bytes);
      const fate = message === undefined ? undefined : await plan.up?.(message, at);
      if (broken) break;
      if (message !== undefined && plan.lockstep === true) lockstep.up(message);
      if (typeof fate === "object" && "instead" in fate) {
        for (const each of fate.instead)
          call.write(each instanceof Uint8Array ? Buffer.from(each) : encodeRequest(each));
      } else if (settle(fate)) {
        log.push(`> ${message?.$case ?? "unknown"}`);
        call.write(bytes);
      }
    }
    call.end();
  }

  const downs: Buffer[] = [];
  let finished = false;
  let wake: (() => void) | undefined;
  call.on("data", (bytes: Buffer) => {
    if (plan.lockstep === true) lockstep.arrived(bytes);
    downs.push(bytes);
    wake?.();
  });
  void status.then(() => {
    finished = true;
    wake?.();
  });

  async function goDown(): Promise<void> {
    for (let at = 0; ; at++) {
      while (downs.length === 0 && !finished) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      const bytes = downs.shift();
      if (bytes === undefined || broken) return;
      const { message } = ExchangeResponse.decode(bytes);
      if (plan.lockstep === true) await lockstep.release(at);
      const fate = message === undefined ? undefined : await plan.down?.(message, at);
      if (broken) return;
      if (typeof fate === "object" && "instead" in fate) for (const each of fate.instead) end.send(each);
      else if (settle(fate)) {
        log.push(`< ${message?.$case ?? "unknown"}`);
        end.send(bytes);
      }
    }
  }

  void end.over.then(() => call.cancel());
  void goUp();
  await goDown();
  if (broken) return;
  const { code, details, metadata } = await status;
  if (code === 0) end.end();
  else end.fail({ code, details, metadata });
}

/** A message of a client as it goes over the wire. */
export function encodeRequest(message: ClientMessage): Buffer {
  return Buffer.from(ExchangeRequest.encode({ message }).finish());
}
