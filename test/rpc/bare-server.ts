import { randomBytes } from "node:crypto";
import { type Client, ServerCredentials } from "@grpc/grpc-js";
import { pino } from "pino";
import { DEFAULT_LIMITS } from "../../core/limits.js";
import { createFeeds } from "../../server/rpc/feeds.js";
import { createGate } from "../../server/rpc/gate.js";
import { createRpcServer } from "../../server/rpc/server.js";
import type { TurnBudget } from "../../server/rpc/turn-budget.js";
import type { RpcWorld } from "../../server/rpc/world.js";
import { createGroupCommit } from "../../server/store/group-commit.js";
import type { Store } from "../../server/store/store.js";
import { type Api, createApi } from "./api.js";
import { connect } from "./harness.js";

/** The services on a store of the test's choice. */
export interface BareServer {
  readonly client: Client;
  readonly api: Api;
  /** What was logged as an error, as JSON lines. */
  readonly errors: readonly string[];
  stop(): void;
}

/** Puts the services on a store, on a free port. */
export async function startBareServer(store: Store, budget?: TurnBudget): Promise<BareServer> {
  const errors: string[] = [];
  const world: RpcWorld = {
    store,
    write: createGroupCommit(store).write,
    newUid: () => randomBytes(16),
    nowUs: () => Date.now() * 1000,
    limits: DEFAULT_LIMITS,
    skewUs: 60e6,
    stepTimeoutUs: 60e6,
    heartbeatUs: 30e6,
    feeds: createFeeds(),
    gate: createGate(),
    log: pino({ level: "error" }, { write: (line: string) => void errors.push(line) }),
  };
  const { server } = createRpcServer(world, budget);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  const client = connect(`127.0.0.1:${port}`);
  return {
    client,
    api: createApi(client),
    errors,
    stop() {
      client.close();
      server.forceShutdown();
    },
  };
}
