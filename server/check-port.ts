import { createServer } from "node:net";

/**
 * Rejects with Node's error where something listens at an IP address and port. The server itself can bind only once its data
 * is open: without this a start in vain would leave a data directory behind. A port that is taken after it is noticed then.
 */
export function checkPort(host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const probe = createServer((socket) => socket.destroy());
    probe.on("error", (error: NodeJS.ErrnoException) => {
      // What else there is to say is said when the server binds.
      if (error.code === "EADDRINUSE") reject(error);
      else resolve();
    });
    probe.listen(port, host, () => probe.close(() => resolve()));
  });
}
