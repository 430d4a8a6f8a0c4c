import type { EventEmitter } from "node:events";
import { constants } from "node:http2";
import type { Socket } from "node:net";
import type { Server } from "@grpc/grpc-js";

/** The connections of a server. */
export interface Connections {
  /** Ends them all, whatever the other side does. */
  destroy(): void;
}

/** A session of HTTP/2, whose `destroy` takes a code, too, whatever its types say. */
interface Session extends EventEmitter {
  destroy(code: number): void;
}

/** Events of node's servers with a connection: as it came, and once TLS is agreed on. */
const EVENTS = ["connection", "secureConnection"];

/** Node's own servers in a bound server of grpc-js, which keeps them in a private field; none where it has other insides. */
export function http2ServersOf(server: Server): readonly EventEmitter[] {
  const { http2Servers } = server as unknown as { http2Servers?: unknown };
  if (!(http2Servers instanceof Map)) return [];
  const servers = [...(http2Servers as Map<Partial<EventEmitter>, unknown>).keys()];
  return servers.every((each) => typeof each?.on === "function") ? (servers as EventEmitter[]) : [];
}

/**
 * Keeps the connections of a bound server. Its own shutdown does not know them, for want of channelz (server.ts), and would
 * only half-close those whose other side does not answer, or that never spoke HTTP/2: the process would live for as long as
 * they do.
 */
export function keepConnections(server: Server): Connections {
  const sessions = new Set<Session>();
  const sockets = new Set<Socket>();
  function keep(socket: Socket): void {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  }
  function keepSession(session: Session): void {
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
  }
  for (const each of http2ServersOf(server)) {
    each.on("session", keepSession);
    for (const event of EVENTS) each.on(event, keep);
  }
  return {
    destroy() {
      for (const session of sessions) session.destroy(constants.NGHTTP2_CANCEL);
      for (const socket of sockets) socket.destroy();
    },
  };
}
