import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, it } from "vitest";
import { createMemoryReplica } from "../../client/replica/memory.js";
import { createSqliteReplica, openSqliteReplica } from "../../client/replica/sqlite.js";
import type { ReplicaStore } from "../../client/replica/store.js";
import { runs } from "../runs.js";
import { SCRATCH } from "../scratch.js";
import { drive, IDS, LARGE, steps } from "./drive.js";
import { plain } from "./plain.js";

const OPTIONS = { collection: "c", replicaId: Buffer.alloc(16, 1), ...LARGE };

/** What a replica answers, bytes as hex, without the model between. */
function answers(replica: ReplicaStore): unknown {
  const everything = [
    replica.state(),
    replica.list({ prefix: "", after: "", limit: 1000 }),
    replica.listPending(0, 1000),
    replica.listConflicts(1000, 1000),
    replica.lookup(IDS),
  ];
  return plain(everything);
}

it("is the same in memory and in SQLite, in every answer", () => {
  const directory = mkdtempSync(join(SCRATCH, "tercet-replica-"));
  let files = 0;
  fc.assert(
    fc.property(steps, (script) => {
      files += 1;
      const path = join(directory, `${files}.db`);
      const memory = createMemoryReplica(OPTIONS);
      let sqlite = createSqliteReplica(path, OPTIONS);
      const reopen = () => {
        sqlite.close();
        sqlite = openSqliteReplica(path, LARGE);
      };
      const dispose = () => undefined;
      try {
        const both = [
          { replica: () => memory, reopen: dispose, dispose },
          { replica: () => sqlite, reopen, dispose },
        ];
        drive(script, both, 7);
        expect(answers(sqlite)).toEqual(answers(memory));
        expect(answers(memory.clone())).toEqual(answers(memory));
      } finally {
        sqlite.close();
      }
    }),
    { numRuns: runs(40) },
  );
  rmSync(directory, { recursive: true });
});
