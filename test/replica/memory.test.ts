import { createMemoryReplica } from "../../client/replica/memory.js";
import { describeReplica } from "./contract.js";
import { describeExchange } from "./contract-exchange.js";
import { describeLarge } from "./contract-large.js";
import { type Harness, LARGE } from "./drive.js";

function open(): Harness {
  let replica = createMemoryReplica({ collection: "c", replicaId: Buffer.alloc(16, 1), ...LARGE });
  return {
    replica: () => replica,
    // A copy must be as good as the original, and a change of the original must not show in it.
    reopen() {
      const original = replica;
      replica = original.clone();
      original.write([{ id: "a", upsert: undefined }], 1);
    },
    dispose: () => replica.close(),
  };
}

describeReplica("a replica in memory", open);
describeExchange("an exchange with a replica in memory", open);
describeLarge("large contents in memory", open);
