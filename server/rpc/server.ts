import { type ChannelOptions, Server } from "@grpc/grpc-js";
import { HealthImplementation } from "grpc-health-check";
import { CollectionServiceService } from "../../gen/tercet/v1/collection_service.js";
import { ItemServiceService } from "../../gen/tercet/v1/item_service.js";
import { SyncServiceService } from "../../gen/tercet/v1/sync_service.js";
import { createCollectionHandlers } from "./collections.js";
import { loadDescriptors } from "./descriptors.js";
import { createExchangeHandler } from "./exchange.js";
import { createItemHandlers } from "./items.js";
import { createReflectionHandlers, REFLECTION_SERVICES } from "./reflection.js";
import { createRequests } from "./requests.js";
import { rawService } from "./strict-decode.js";
import { createTicker } from "./ticker.js";
import type { TurnBudget } from "./turn-budget.js";
import type { RpcWorld } from "./world.js";

/** A gRPC server with every service on it, not bound to an address yet. */
export interface RpcServer {
  readonly server: Server;
  /** What grpc.health.v1 says from now on, of every service and of the whole ("" in the protocol). */
  setServing(serving: boolean): void;
}

/** Services of Tercet's own, by their full names. */
const SERVICES = ["tercet.v1.SyncService", "tercet.v1.ItemService", "tercet.v1.CollectionService"] as const;

const OTHER_SERVICES = [
  "grpc.health.v1.Health",
  "grpc.reflection.v1.ServerReflection",
  "grpc.reflection.v1alpha.ServerReflection",
] as const;

const MIB = 1024 * 1024;

/**
 * What grpc-js does not bound by itself. Keepalive finds connections whose other side is gone without a word; a silent
 * connection that answers pings stays.
 */
const OPTIONS: ChannelOptions = {
  "grpc.max_receive_message_length": 4 * MIB,
  "grpc.max_send_message_length": 4 * MIB,
  "grpc.max_concurrent_streams": 10_000,
  // MiB of one connection's queued frames and headers, above which it opens no more streams.
  "grpc-node.max_session_memory": 256,
  "grpc.keepalive_time_ms": 120_000,
  "grpc.keepalive_timeout_ms": 20_000,
  // Nobody asks what it counts, which takes a seventh of what a call takes. `forceShutdown` knows connections by it alone
  // (grpc-js 1.14) and leaves them open: see connections.ts.
  "grpc.enable_channelz": 0,
};

/** Puts all services on a new server. `budget` is for tests. */
export function createRpcServer(world: RpcWorld, budget?: TurnBudget): RpcServer {
  const server = new Server(OPTIONS);
  const exchange = createExchangeHandler(world, createTicker(), budget);
  server.addService(rawService(SyncServiceService), { exchange });
  // One for all services: a request id names one request of the server.
  const requests = createRequests(world.store);
  server.addService(rawService(ItemServiceService), createItemHandlers(world, requests));
  server.addService(rawService(CollectionServiceService), createCollectionHandlers(world, requests));
  const reflection = createReflectionHandlers(loadDescriptors(), [...SERVICES, ...OTHER_SERVICES], world.log);
  for (const service of REFLECTION_SERVICES) server.addService(rawService(service), reflection);
  const health = new HealthImplementation();
  health.addToServer(server);

  function setServing(serving: boolean): void {
    for (const name of ["", ...SERVICES]) health.setStatus(name, serving ? "SERVING" : "NOT_SERVING");
  }
  setServing(false);
  return { server, setServing };
}
