// Tercet's server, as `tercet serve` runs it.
import { startServer } from "../../../server/index.js";
import type { ContenderServer, Place } from "../contender.js";

/** Starts it on a data directory, with default options. */
export async function startContender(place: Place): Promise<ContenderServer> {
  const server = await startServer({ directory: place.directory, port: 0 });
  return { address: server.address, stop: () => server.drain() };
}
