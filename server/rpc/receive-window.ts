import type { EventEmitter } from "node:events";
import type { ServerHttp2Session } from "node:http2";
import type { Server } from "@grpc/grpc-js";

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
  const { http2Servers } = server as unknown as { http2Servers?: unknown };
  if (!(http2Servers instanceof Map) || http2Servers.size === 0) return false;
  for (const http2Server of http2Servers.keys() as MapIterator<EventEmitter>) {
    if (typeof http2Server?.on !== "function") return false;
    http2Server.on("session", (session: ServerHttp2Session) => widen(session, bytes));
  }
  return true;
}

function widen(session: ServerHttp2Session, bytes: number): void {
  if (session.destroyed) return;
  session.setLocalWindowSize(bytes);
  session.settings({ initialWindowSize: bytes });
}
