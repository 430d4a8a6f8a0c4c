import { Client, type ClientDuplexStream, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { fingerprintOf, toFingerprint } from "../../../core/fingerprint.js";
import { ChangeKind } from "../../../gen/tercet/v1/item.js";
import {
  Capability,
  ExchangeRequest,
  ExchangeResponse,
  Open,
  Push,
  type PushBatch,
} from "../../../gen/tercet/v1/sync.js";
import { SyncServiceService } from "../../../gen/tercet/v1/sync_service.js";

/** A message of the server. */
export type Heard = NonNullable<ExchangeResponse["message"]>;

/** An exchange without a replica: the messages alone, so that thousands cost the machine little but at the server. */
export interface RawExchange {
  send(message: NonNullable<ExchangeRequest["message"]>): void;
  end(): void;
  cancel(): void;
  /** Takes nothing more of what the server sends. */
  pause(): void;
}

/** Connections that raw exchanges are spread over. */
export interface RawConnections {
  /** Begins an exchange on the next connection. `ended` is called with the fault, if it was one. */
  open(heard: (message: Heard) => void, ended: (error: Error | undefined) => void): RawExchange;
  close(): void;
}

/** Connections of their own, not shared. */
export function rawConnections(address: string, count: number): RawConnections {
  const clients = Array.from(
    { length: count },
    () => new Client(address, credentials.createInsecure(), { "grpc.use_local_subchannel_pool": 1 }),
  );
  let next = 0;
  return {
    open(heard, ended) {
      const client = clients[next++ % clients.length] as Client;
      const call: ClientDuplexStream<Buffer, Buffer> = client.makeBidiStreamRequest(
        SyncServiceService.exchange.path,
        (bytes: Buffer) => bytes,
        (bytes: Buffer) => bytes,
        new Metadata(),
      );
      call.on("data", (bytes: Buffer) => {
        const { message } = ExchangeResponse.decode(bytes);
        if (message !== undefined) heard(message);
      });
      call.on("error", (error: ServiceError) => {
        if (error.code !== status.CANCELLED) ended(error);
      });
      call.on("status", ({ code }) => {
        if (code === status.OK) ended(undefined);
      });
      return {
        send: (message) => void call.write(Buffer.from(ExchangeRequest.encode({ message }).finish())),
        end: () => void call.end(),
        cancel: () => call.cancel(),
        pause: () => void call.pause(),
      };
    },
    close() {
      for (const client of clients) client.close();
    },
  };
}

/** The first message of an exchange. */
export function openMessage(open: Partial<Open>): { readonly $case: "open"; readonly value: Open } {
  const capabilities = [Capability.CAPABILITY_RECONCILE, Capability.CAPABILITY_GROUPS, Capability.CAPABILITY_LIVE];
  return { $case: "open", value: Open.create({ capabilities, client: "bench", ...open }) };
}

/** A new item, as a client pushes it that has seen everything up to its token. */
export function creationOf(id: string, text: string): { readonly $case: "push"; readonly value: PushBatch } {
  const kind = ChangeKind.CHANGE_KIND_UPSERTED;
  const content = { $case: "text", value: text } as const;
  const push = Push.create({ id, kind, content, fingerprint: toFingerprint(fingerprintOf(id, text)) });
  return { $case: "push", value: { pushes: [push], fingerprint: undefined, revisionSeen: undefined } };
}
