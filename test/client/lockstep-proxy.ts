import { type AddressInfo, connect as connectTcp, createServer, type Socket } from "node:net";
import { setImmediate as turn, setTimeout as wait } from "node:timers/promises";
import { ExchangeRequest } from "../../gen/tercet/v1/sync.js";

/** What went through a proxy. */
export interface Passed {
  /** How often the client's messages went to the server: each time all that it says before it hears anything. */
  trips: number;
  bytesUp: number;
  bytesDown: number;
}

const PREFACE_BYTES = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".length;
const DATA = 0;

/**
 * A proxy between a client and a server of this process that makes the way between them long: it passes all bytes of one
 * side on together, once that side has fallen silent, and then those of the other. So a round trip is what it would be on
 * a slow link, however fast both sides are.
 */
export async function startLockstepProxy(
  port: number,
): Promise<{ readonly address: string; readonly passed: Passed; close(): void }> {
  const passed: Passed = { trips: 0, bytesUp: 0, bytesDown: 0 };
  const server = createServer((client) => void pass(client, connectTcp(port, "127.0.0.1"), passed));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { address, passed, close: () => void server.close() };
}

async function pass(client: Socket, upstream: Socket, passed: Passed): Promise<void> {
  const up: Buffer[] = [];
  const down: Buffer[] = [];
  const requests = createRequestReader();
  let heard = 0;
  let open = true;
  const end = (): void => {
    open = false;
    client.destroy();
    upstream.destroy();
  };
  for (const socket of [client, upstream]) socket.on("error", end).on("close", end);
  client.on("data", (bytes: Buffer) => up.push(bytes) && heard++);
  upstream.on("data", (bytes: Buffer) => down.push(bytes) && heard++);

  /** Nothing has come for a while, in which everybody had many turns: both sides wait. */
  async function silence(): Promise<void> {
    for (let before = -1; open && before !== heard; ) {
      before = heard;
      await wait(10);
      for (let turns = 0; turns < 20; turns++) await turn();
    }
  }

  while (open) {
    await silence();
    const [from, to] = up.length > 0 ? [up, upstream] : [down, client];
    const bytes = Buffer.concat(from.splice(0));
    if (bytes.length === 0) continue;
    if (from === up) {
      passed.bytesUp += bytes.length;
      if (requests(bytes).some(waitsForAnswer)) passed.trips += 1;
    } else passed.bytesDown += bytes.length;
    to.write(bytes);
  }
}

/** A note that nothing waits for is no trip of its own. */
function waitsForAnswer({ message }: ExchangeRequest): boolean {
  return message !== undefined && message.$case !== "taken";
}

/** Reads the messages of the client's first stream out of what it sends: HTTP/2 frames, and gRPC messages in them. */
function createRequestReader(): (bytes: Buffer) => ExchangeRequest[] {
  let frames = Buffer.alloc(0);
  let messages = Buffer.alloc(0);
  let skip = PREFACE_BYTES;
  return (bytes) => {
    frames = Buffer.concat([frames, bytes]);
    const begins = Math.min(skip, frames.length);
    skip -= begins;
    frames = frames.subarray(begins);
    while (frames.length >= 9 && frames.length >= 9 + frames.readUIntBE(0, 3)) {
      const length = frames.readUIntBE(0, 3);
      if (frames[3] === DATA) messages = Buffer.concat([messages, frames.subarray(9, 9 + length)]);
      frames = frames.subarray(9 + length);
    }
    const found: ExchangeRequest[] = [];
    while (messages.length >= 5 && messages.length >= 5 + messages.readUInt32BE(1)) {
      const length = messages.readUInt32BE(1);
      found.push(ExchangeRequest.decode(messages.subarray(5, 5 + length)));
      messages = messages.subarray(5 + length);
    }
    return found;
  };
}
