import { Client, type ClientDuplexStream, credentials, type StatusObject } from "@grpc/grpc-js";
import { type ChangePage, ExchangeRequest, ExchangeResponse, Open, type Verdict } from "../../gen/tercet/v1/sync.js";
import { SyncServiceService } from "../../gen/tercet/v1/sync_service.js";
import { Mismatch } from "./expect.js";

type Request = NonNullable<ExchangeRequest["message"]>;
type Response = NonNullable<ExchangeResponse["message"]>;
type ResponseCase = Response["$case"];
type ValueOf<Kind extends ResponseCase> = Extract<Response, { $case: Kind }>["value"];

/** The client's end of an exchange, as a script has it. */
export interface ClientStream {
  readonly call: ClientDuplexStream<Buffer, Buffer>;
  send(...messages: readonly Request[]): void;
  /** Sends bytes as a message, whatever they say. */
  sendRaw(bytes: Uint8Array): void;
  open(open: Partial<Open>): void;
  done(): void;
  /** Half-closes. */
  end(): void;
  /** The next message, which must be of this kind. */
  next<Kind extends ResponseCase>(wanted: Kind): Promise<ValueOf<Kind>>;
  /** The next message of this kind; others are dropped. */
  skipTo<Kind extends ResponseCase>(wanted: Kind): Promise<ValueOf<Kind>>;
  /** What comes up to the next page with a proof: verdicts and pages, which may come in any order. */
  untilProof(): Promise<{ readonly verdicts: Verdict[]; readonly pages: ChangePage[] }>;
  /** How the stream ended; messages that nobody asked for are dropped. */
  status(): Promise<StatusObject>;
}

/** A stream on a connection of its own. */
export interface OwnStream extends ClientStream {
  /** Ends the connection. */
  close(): void;
}

const asIs = (bytes: Buffer): Buffer => bytes;

/** Begins an exchange with a server, on a connection of its own. */
export function openStream(address: string): OwnStream {
  const client = new Client(address, credentials.createInsecure());
  return { ...streamOver(client), close: () => client.close() };
}

/** Begins an exchange on a connection. */
export function streamOver(client: Client): ClientStream {
  const call = client.makeBidiStreamRequest(SyncServiceService.exchange.path, asIs, asIs);
  const queue: Response[] = [];
  let wake: (() => void) | undefined;
  let status: StatusObject | undefined;
  const ended = new Promise<StatusObject>((resolve) => {
    call.on("status", (given: StatusObject) => {
      status = given;
      resolve(given);
      wake?.();
    });
  });
  call.on("error", () => undefined);
  call.on("data", (bytes: Buffer) => {
    const { message } = ExchangeResponse.decode(bytes);
    if (message !== undefined) queue.push(message);
    wake?.();
  });

  async function take(): Promise<Response> {
    for (;;) {
      const message = queue.shift();
      if (message !== undefined) return message;
      if (status !== undefined) throw new Mismatch(`the stream ended too early: ${status.code} ${status.details}`);
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  }

  function send(...messages: readonly Request[]): void {
    for (const message of messages) call.write(Buffer.from(ExchangeRequest.encode({ message }).finish()));
  }

  return {
    call,
    send,
    sendRaw: (bytes) => void call.write(Buffer.from(bytes)),
    open: (open) => send({ $case: "open", value: Open.create(open) }),
    done: () => send({ $case: "done", value: {} }),
    end: () => void call.end(),
    async next(wanted) {
      const message = await take();
      if (message.$case === wanted) return message.value as ValueOf<typeof wanted>;
      throw new Mismatch(`expected "${wanted}", came ${JSON.stringify(message).slice(0, 300)}`);
    },
    async skipTo(wanted) {
      for (;;) {
        const message = await take();
        if (message.$case === wanted) return message.value as ValueOf<typeof wanted>;
      }
    },
    async untilProof() {
      const verdicts: Verdict[] = [];
      const pages: ChangePage[] = [];
      while (pages.at(-1)?.proof === undefined) {
        const message = await take();
        if (message.$case === "page") pages.push(message.value);
        else if (message.$case === "verdicts") verdicts.push(...message.value.verdicts);
        else throw new Mismatch(`expected verdicts or pages, came ${JSON.stringify(message).slice(0, 300)}`);
      }
      return { verdicts, pages };
    },
    status: () => ended,
  };
}
