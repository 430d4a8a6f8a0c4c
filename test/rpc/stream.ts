import type { Client, ClientDuplexStream, StatusObject } from "@grpc/grpc-js";
import { type ChangePage, ExchangeRequest, ExchangeResponse, Open, type Verdict } from "../../gen/tercet/v1/sync.js";
import { SyncServiceService } from "../../gen/tercet/v1/sync_service.js";

type Request = NonNullable<ExchangeRequest["message"]>;
type Response = NonNullable<ExchangeResponse["message"]>;
type ResponseCase = Response["$case"];
type ValueOf<Case extends ResponseCase> = Extract<Response, { $case: Case }>["value"];

/** The client's end of an exchange, by hand. */
export interface TestStream {
  readonly call: ClientDuplexStream<Buffer, Buffer>;
  send(...messages: readonly Request[]): void;
  /** Sends bytes as a message, whatever they say. */
  sendRaw(bytes: Uint8Array): void;
  open(open: Partial<Open>): void;
  done(): void;
  /** Half-closes. */
  end(): void;
  /** The next message, which must be of this kind. */
  next<Case extends ResponseCase>(wanted: Case): Promise<ValueOf<Case>>;
  /** The next message of this kind; others are dropped. */
  skipTo<Case extends ResponseCase>(wanted: Case): Promise<ValueOf<Case>>;
  /** What comes up to the next page with a proof: verdicts and pages, which may come in any order. */
  untilProof(): Promise<{ readonly verdicts: Verdict[]; readonly pages: ChangePage[] }>;
  /** How the stream ended; messages that nobody asked for are dropped. */
  status(): Promise<StatusObject>;
}

const asIs = (bytes: Buffer): Buffer => bytes;

/** Begins an exchange. */
export function openStream(client: Client): TestStream {
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
      if (status !== undefined) throw new Error(`the stream ended with ${status.code} ${status.details}`);
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  }

  function send(...messages: readonly Request[]): void {
    for (const message of messages) call.write(Buffer.from(ExchangeRequest.encode({ message }).finish()));
  }

  async function next<Case extends ResponseCase>(wanted: Case): Promise<ValueOf<Case>> {
    const message = await take();
    if (message.$case !== wanted) throw new Error(`wanted "${wanted}", got ${JSON.stringify(message).slice(0, 500)}`);
    return message.value as ValueOf<Case>;
  }

  return {
    call,
    send,
    sendRaw: (bytes) => void call.write(Buffer.from(bytes)),
    open: (open) => send({ $case: "open", value: Open.create(open) }),
    done: () => send({ $case: "done", value: {} }),
    end: () => void call.end(),
    next,
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
        else throw new Error(`wanted verdicts or pages, got ${JSON.stringify(message)}`);
      }
      return { verdicts, pages };
    },
    status: () => ended,
  };
}
