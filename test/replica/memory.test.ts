import { createMemoryReplica } from "../../client/replica/memory.js";
import { describeReplica } from "./contract.js";
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

describeReplica("in memory", open);
