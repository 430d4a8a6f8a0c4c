import { randomBytes } from "node:crypto";
import { Client, credentials, type ServiceError } from "@grpc/grpc-js";
import { connect } from "../../client/connection.js";
import type { ChangeStandard } from "../../gen/tercet/v1/item.js";
import { createServerApi, type ServerApi } from "./server-api.js";
import { type OwnStream, openStream } from "./stream-client.js";

/** A case that a server is held against. */
export interface ServerCase {
  readonly name: string;
  run(place: ServerPlace): Promise<void>;
}

/** What a case has at hand: a server by its address, and collections of its own there. */
export interface ServerPlace {
  readonly address: string;
  readonly client: Client;
  readonly api: ServerApi;
  /** Name of a collection that nobody else has; it is made, and deleted after the case. */
  collection(name?: string, standard?: ChangeStandard): Promise<string>;
  /** A name of this case's own. */
  name(name: string): string;
  /** Begins an exchange. */
  stream(): OwnStream;
  /** A unary call in bytes: the answer, or the error. */
  call(method: string, request: Uint8Array): Promise<{ readonly answer: Buffer } | { readonly error: ServiceError }>;
}

/** A place for one case, and how it is put away. */
export function createServerPlace(address: string): { readonly place: ServerPlace; clear(): Promise<void> } {
  const connection = connect(address);
  const client = new Client(address, credentials.createInsecure());
  const api = createServerApi(connection);
  const mark = randomBytes(6).toString("hex");
  const made: string[] = [];
  const streams: OwnStream[] = [];
  const name = (wanted: string): string => `kit-${mark}-${wanted}`;
  const asIs = (bytes: Buffer): Buffer => bytes;
  return {
    place: {
      address,
      client,
      api,
      name,
      async collection(wanted = "things", standard) {
        await api.createCollection(name(wanted), standard);
        made.push(name(wanted));
        return name(wanted);
      },
      stream() {
        const stream = openStream(address);
        streams.push(stream);
        return stream;
      },
      call(method, request) {
        return new Promise((resolve) => {
          client.makeUnaryRequest(method, asIs, asIs, Buffer.from(request), (error, answer) => {
            if (error !== null) resolve({ error });
            else resolve({ answer: answer ?? Buffer.alloc(0) });
          });
        });
      },
    },
    async clear() {
      for (const stream of streams) stream.close();
      for (const each of made) await api.deleteCollection(each).catch(() => undefined);
      client.close();
      await connection.close();
    },
  };
}
