// A contender's server, in a process of its own.
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { openDatabase } from "../../core/sqlite.js";
import { answerOrders } from "./answer-orders.js";
import type { ContenderServer, ServerModule } from "./contender.js";
import type { MemoryNow, ServerOrder, Started } from "./orders.js";
import { meterProcess, meterSelf, type ProcessMeter } from "./process-figures.js";

let server: ContenderServer | undefined;
let meter: ProcessMeter | undefined;

async function obey(order: ServerOrder): Promise<unknown> {
  switch (order.kind) {
    case "start": {
      const module = (await import(order.module)) as ServerModule;
      server = await module.startContender({ ...order, openDatabase });
      meter = server.pid === undefined ? meterSelf() : meterProcess(server.pid);
      return { address: server.address, pid: server.pid } satisfies Started;
    }
    case "begin":
      return meter?.begin();
    case "end":
      return meter?.end();
    case "memory":
      return memoryNow();
    case "stop":
      return await stop();
  }
}

/** Without what the next collection would free: that is a matter of when one asks. */
function memoryNow(): MemoryNow {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  for (let time = 0; time < 2; time++) collect();
  const { rss, heapUsed } = process.memoryUsage();
  return { rss, heap: heapUsed };
}

async function stop(): Promise<void> {
  const stopping = server;
  server = undefined;
  await stopping?.stop();
}

// Without this a program that is just being started would be left behind: it is ended when the process exits.
process.once("SIGTERM", () => process.exit(143));
answerOrders(obey, stop);
