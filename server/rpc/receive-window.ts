import type { ServerHttp2Session } from "node:http2";
import type { Server } from "@grpc/grpc-js";
import { http2ServersOf } from "./connections.js";

/**
 * Bytes that a client may have under way to this server, of a stream and of a connection: enough for 50 MB/s over 20 ms, and
 * no more, as what comes at once is decoded at once. HTTP/2's own default of 64 KiB is 64 KiB a round trip.
 */
export const RECEIVE_WINDOW_BYTES = 1024 * 1024;

/**
 * Widens the receive windows of a bound server's connections. grpc-js has no option for it at servers (1.14, grpc-node PR
 * 3058), so this takes node's own server out of a private field; where a later version has none, false, and the default stays.
 */
export function widenReceiveWindow(server: Server, bytes = RECEIVE_WINDOW_BYTES): boolean {
  const servers = http2ServersOf(server);
  for (const each of servers) each.on("session", (session: ServerHttp2Session) => widen(session, bytes));
  return servers.length > 0;
}

function widen(session: ServerHttp2Session, bytes: number): void {
  if (session.destroyed) return;
  session.setLocalWindowSize(bytes);
  session.settings({ initialWindowSize: bytes });
}
