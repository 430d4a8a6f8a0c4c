import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { openReplica } from "../../client/index.js";
import type { Action } from "../../client/replica/action.js";
import { LOST_REVISION } from "../../client/replica/apply-batch.js";
import { createSqliteReplica, openSqliteReplica } from "../../client/replica/sqlite.js";
import { rebuildReplica } from "../../client/replica/sqlite-rebuild.js";
import { fingerprintOf } from "../../core/fingerprint.js";
import { SCRATCH } from "../scratch.js";
import { put, UID } from "./drive.js";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(SCRATCH, "tercet-rebuild-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

function taken(id: string, content: string, revision: number): Action {
  const upsert = { content, fingerprint: fingerprintOf(id, content) };
  return { kind: "take", id, sequence: 0, upsert, revision, modifyTimeUs: 5, conflict: undefined };
}

it("a replica that was recovering is rebuilt with what the server has lost, which it offers", () => {
  const path = join(directory, "a.replica");
  const replica = createSqliteReplica(path, { collection: "c", replicaId: Buffer.alloc(16, 1) });
  const checkpoint = { token: Buffer.from("t"), revision: 9 };
  const actions = [taken("kept", "1", 3), taken("lost", "2", 8), taken("changed", "3", 9)];
  replica.apply({ actions, nowUs: 10, checkpoint });
  replica.write([put("changed", "4"), put("new", "5")], 11);
  const opened = { collectionUid: UID, lineage: [{ id: Buffer.alloc(8, 3), firstRevision: 1 }], settings: Buffer.of() };
  const recovering = { lostAfter: 5, why: "history" } as const;
  const witness = { token: Buffer.from("w"), revision: 7 };
  replica.apply({ actions: [taken("theirs", "6", 7)], nowUs: 12, opened, parted: { fork: 5, ...recovering }, witness });
  replica.close();
  const handle = openReplica(path);
  expect(handle.status()).toMatchObject({ recovering: true, revision: 0, agreed: { count: 4 } });
  handle.close();
  const bytes = readFileSync(path);
  bytes.fill(0xff, 0, 24);
  writeFileSync(path, bytes);
  const rebuilt = join(directory, "b.replica");
  expect(rebuildReplica(path, rebuilt)).toMatchObject({ pending: 3, lost: [], missingPending: 0 });
  const store = openSqliteReplica(rebuilt);
  expect(store.state()).toMatchObject({ recovering, pending: 3, items: 3 });
  const states = store.lookup(["changed", "lost", "new", "kept", "theirs"]);
  const bases = states.map(({ id, base, pending }) => [id, base?.revision, pending !== undefined]);
  expect(bases).toEqual([
    ["changed", LOST_REVISION, true],
    ["lost", LOST_REVISION, true],
    ["new", undefined, true],
    ["kept", undefined, false],
    ["theirs", undefined, false],
  ]);
  expect(store.get("lost")?.content).toBe("2");
  expect(store.audit()).toBeUndefined();
  store.close();
});
