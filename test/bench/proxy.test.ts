import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { startCountingProxy } from "../../scripts/figures/proxy.js";

let echo: Server;
let target: string;

beforeEach(async () => {
  echo = createServer((socket) => void socket.pipe(socket));
  echo.listen(0, "127.0.0.1");
  await once(echo, "listening");
  target = `127.0.0.1:${(echo.address() as AddressInfo).port}`;
});

afterEach(() => new Promise<void>((resolve) => echo.close(() => resolve())));

/** Sends each text, and waits until it has come back, before the next. */
async function converse(address: string, texts: readonly string[]): Promise<string> {
  const [host, port] = address.split(":");
  const socket = connect(Number(port), host);
  let heard = "";
  let awaited = "";
  for (const text of texts) {
    awaited += text;
    socket.write(text);
    while (heard.length < awaited.length) heard += String((await once(socket, "data"))[0]);
  }
  socket.end();
  await once(socket, "close");
  return heard;
}

test.each([0, 5])("a proxy with %i ms of delay counts bytes both ways, and turns", async (delayMs) => {
  const proxy = await startCountingProxy(target, { delayMs });
  expect(await converse(proxy.address, ["one", "three"])).toBe("onethree");
  // Up, down, up, down.
  expect(proxy.counts()).toEqual({ connections: 1, bytesUp: 8, bytesDown: 8, turns: 3 });
  expect(await proxy.close()).toEqual(proxy.counts());
});

test("a delay is kept each way, and does not change what is passed on, or its order", async () => {
  const proxy = await startCountingProxy(target, { delayMs: 20 });
  const long = Array.from({ length: 100_000 }, (_, index) => String(index)).join(" ");
  const began = performance.now();
  expect(await converse(proxy.address, [long])).toBe(long);
  // A bound of the mechanism, not of speed: it can't be there earlier.
  expect(performance.now() - began).toBeGreaterThanOrEqual(38);
  await proxy.close();
});

test("quiet waits for what is under way", async () => {
  const proxy = await startCountingProxy(target, { delayMs: 5 });
  const said = converse(proxy.address, ["hello"]);
  await said;
  await proxy.quiet(10);
  expect(proxy.counts().bytesDown).toBe(5);
  await proxy.close();
});
