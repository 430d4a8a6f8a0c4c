import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Answer } from "../orders.js";
import type { LiveOrder } from "./orders.js";

/** A client process of the live workloads. */
export interface LiveChild {
  ask(order: LiveOrder): Promise<unknown>;
  end(): Promise<void>;
}

/** Starts one. It ends with this process. */
export function startLiveChild(): LiveChild {
  const child = fork(fileURLToPath(new URL("./live-process.js", import.meta.url)), [], {
    serialization: "advanced",
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const exited = once(child, "exit");
  async function ask(order: LiveOrder): Promise<unknown> {
    const answered = once(child, "message");
    child.send(order);
    const [answer] = await Promise.race([answered, exited.then(() => [undefined])]);
    if (answer === undefined) throw new Error(`the process ended before it answered to "${order.kind}"`);
    const told = answer as Answer;
    if ("failed" in told) throw new Error(`${order.kind}: ${told.failed}`);
    return told.value;
  }
  return {
    ask,
    async end() {
      await ask({ kind: "close" });
      child.disconnect();
      await exited;
    },
  };
}
