import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createSqliteReplica, openSqliteReplica } from "../../client/replica/sqlite.js";
import { SCRATCH } from "../scratch.js";
import { describeReplica } from "./contract.js";
import { type Harness, LARGE } from "./drive.js";
import { expectNoLeaks } from "./leaks.js";

function open(): Harness {
  const directory = mkdtempSync(join(SCRATCH, "tercet-replica-"));
  const path = join(directory, "replica.db");
  let replica = createSqliteReplica(path, { collection: "c", replicaId: Buffer.alloc(16, 1), ...LARGE });
  return {
    replica: () => replica,
    reopen() {
      replica.close();
      replica = openSqliteReplica(path, LARGE);
    },
    dispose() {
      replica.close();
      // What leaks once is there in the end.
      expectNoLeaks(path);
      rmSync(directory, { recursive: true });
    },
  };
}

describeReplica("in SQLite", open);
