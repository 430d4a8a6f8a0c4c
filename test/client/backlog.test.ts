import { afterEach, beforeEach, expect, it } from "vitest";
import { connect } from "../../client/connection.js";
import { startExchange } from "../../client/connection-exchange.js";
import { createClientExchange } from "../../client/protocol/exchange.js";
import { createMemoryReplica } from "../../client/replica/memory.js";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import { type Place, startPlace } from "./harness.js";

let place: Place;
beforeEach(async () => {
  place = await startPlace();
});
afterEach(() => place.stop());

it("works off each message as it comes, however long it takes: what lies unread would grow with the collection", async () => {
  const source = place.replica();
  source.putMany(Array.from({ length: 5000 }, (_, at) => [`item-${at}`, `${at}`.padEnd(1000, ".")]));
  await source.sync({ server: place.server, create: true });
  const machine = createClientExchange({
    standard: ChangeStandard.CHANGE_STANDARD_SERVER,
    create: false,
    recreate: false,
    client: "slow",
    limits: {},
    stepTimeoutUs: 60_000_000,
    mode: "sync",
    live: false,
    onHistoryChange: "offer",
    resolves: false,
  });
  let unread = 0;
  let most = 0;
  const replica = createMemoryReplica({ collection: "c", replicaId: Buffer.alloc(16, 1) });
  const slow: typeof replica = {
    ...replica,
    apply(batch) {
      for (const began = performance.now(); performance.now() - began < 6; );
      unread = 0;
      return replica.apply(batch);
    },
  };
  const connection = connect(place.server);
  const exchange: typeof machine = {
    ...machine,
    receive(message, nowUs) {
      if (message.message?.$case === "page") unread += 1;
      most = Math.max(most, unread);
      machine.receive(message, nowUs);
    },
  };
  await startExchange(connection, slow, exchange, { stepTimeoutMs: 60_000 }).ended;
  await connection.close();
  expect(replica.state().items).toBe(5000);
  expect(most).toBe(1);
});
