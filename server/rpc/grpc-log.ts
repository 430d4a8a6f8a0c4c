import { setLogger } from "@grpc/grpc-js";
import type { Logger } from "pino";

/**
 * Sends what grpc-js would print to the console to a logger instead, for the whole process. What it calls errors comes back
 * as an error of the call that failed, so here it is worth a debug line.
 */
export function routeGrpcLog(log: Logger): void {
  const debug = (...words: unknown[]): void => log.debug({ from: "grpc-js" }, words.map(String).join(" "));
  setLogger({ error: debug, info: debug, debug });
}
