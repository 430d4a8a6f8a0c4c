// Debian's etcd server in a directory.
import { connect } from "node:net";
import { join } from "node:path";
import { freePort, startProgram } from "./spawn.mjs";

const QUOTA_BYTES = 8 * 1024 * 1024 * 1024;

/** Starts it. See ServerModule in ../contender.ts. */
export async function startContender(place) {
  const port = await freePort();
  const client = `http://127.0.0.1:${port}`;
  const peer = `http://127.0.0.1:${await freePort()}`;
  const args = [
    ...["--data-dir", join(place.directory, "etcd"), "--quota-backend-bytes", String(QUOTA_BYTES)],
    ...["--listen-client-urls", client, "--advertise-client-urls", client],
    ...["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", `default=${peer}`],
  ];
  return await startProgram("etcd", args, async () => ((await isListening(port)) ? `127.0.0.1:${port}` : undefined));
}

function isListening(port) {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
