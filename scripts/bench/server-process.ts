// A contender's server, in a process of its own.
import { openDatabase } from "../../core/sqlite.js";
import { answerOrders } from "./answer-orders.js";
import type { ContenderServer, ServerModule } from "./contender.js";
import type { ServerOrder, Started } from "./orders.js";
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
    case "stop":
      return await stop();
  }
}

async function stop(): Promise<void> {
  const stopping = server;
  server = undefined;
  await stopping?.stop();
}

// Without this a program that is just being started would be left behind: it is ended when the process exits.
process.once("SIGTERM", () => process.exit(143));
answerOrders(obey, stop);
