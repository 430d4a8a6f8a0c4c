import { startChild } from "../children.js";
import type { LiveOrder } from "./orders.js";

/** A client process of the live workloads. */
export interface LiveChild {
  ask(order: LiveOrder): Promise<unknown>;
  end(): Promise<void>;
}

/** Starts one. */
export function startLiveChild(): LiveChild {
  const child = startChild<LiveOrder>(new URL("./live-process.js", import.meta.url));
  child.endBy(() => undefined);
  return {
    ask: child.ask,
    async end() {
      await child.ask({ kind: "close" });
      await child.end();
    },
  };
}
