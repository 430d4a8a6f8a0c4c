// The demo's server, in a process of its own: started by fork, told what to do by messages, drains when its parent is gone.
import { type RunningServer, startServer } from "../../server/index.js";
import type { ServerAnswer, ServerOrder } from "./jobs.js";
import { peakMemory, resetPeakMemory } from "./peak-memory.js";

let server: RunningServer | undefined;

async function obey(order: ServerOrder): Promise<ServerAnswer> {
  switch (order.kind) {
    case "start":
      server = await startServer({ directory: order.directory, port: order.port });
      return { kind: "started", address: server.address };
    case "reset-peak":
      resetPeakMemory();
      return { kind: "peak", bytes: peakMemory() };
    case "peak":
      return { kind: "peak", bytes: peakMemory() };
    case "drain":
      await server?.drain();
      return { kind: "drained" };
  }
}

process.on("message", (order: ServerOrder) => {
  obey(order).then(
    (answer) => process.send?.(answer),
    (error: unknown) => process.send?.({ kind: "failed", message: String(error) } satisfies ServerAnswer),
  );
});
process.once("disconnect", () => void server?.drain());
// Ctrl-C reaches the whole process group: the parent decides when the server ends.
process.on("SIGINT", () => undefined);
