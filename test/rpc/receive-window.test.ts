import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { Server } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import { RECEIVE_WINDOW_BYTES, widenReceiveWindow } from "../../server/rpc/receive-window.js";
import { startTestServer } from "./harness.js";

test("a client may send more than 64 KiB a round trip", async () => {
  const test = await startTestServer();
  const session = connectHttp2(`http://${test.server.address}`);
  try {
    while (session.remoteSettings?.initialWindowSize !== RECEIVE_WINDOW_BYTES) await once(session, "remoteSettings");
    // A ping's answer comes behind what was sent before it.
    await new Promise((resolve) => session.ping(resolve));
    expect(session.state.remoteWindowSize).toBe(RECEIVE_WINDOW_BYTES);
  } finally {
    session.destroy();
    await test.stop();
  }
});

test("with other insides of grpc-js the windows stay as they are", () => {
  const server = new Server();
  expect(widenReceiveWindow(server)).toBe(false);
  expect(widenReceiveWindow({ http2Servers: new Map([[{}, {}]]) } as unknown as Server)).toBe(false);
  expect(widenReceiveWindow({} as Server)).toBe(false);
  server.forceShutdown();
});
