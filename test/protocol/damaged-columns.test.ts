import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { createSqliteReplica, openSqliteReplica } from "../../client/replica/sqlite.js";
import { openDatabase } from "../../core/sqlite.js";
import { ErrorReason } from "../../gen/tercet/v1/error.js";
import { exchange } from "./pair.js";
import { change, newStore, serverContents } from "./world.js";

const directory = mkdtempSync(join(tmpdir(), "tercet-damaged-"));
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const COUNT = 60;
const DAMAGED = "item-07";
const id = (at: number) => `item-${String(at).padStart(2, "0")}`;

test("a content that was damaged in the replica is rejected by itself, though the server rejects its batch first", () => {
  const path = join(directory, "a.replica");
  const items = Object.fromEntries(Array.from({ length: COUNT }, (_, at) => [id(at), `content ${at}`]));
  const made = createSqliteReplica(path, { collection: "things" });
  change(made, items);
  made.close();
  const db = openDatabase(path);
  db.prepare("UPDATE items SET content = 'damaged' WHERE id = ?").run(DAMAGED);
  db.close();

  const store = newStore();
  const replica = openSqliteReplica(path);
  try {
    const { report, fault, requests } = exchange({ store, replica });
    expect(fault).toBeUndefined();
    expect(report).toMatchObject({ sent: COUNT - 1, rejectedCount: 1, verified: true });
    expect(report.rejected).toMatchObject([{ id: DAMAGED, reason: ErrorReason.ERROR_REASON_FINGERPRINT_MISMATCH }]);
    const pushed = requests.flatMap(({ message }) => (message?.$case === "push" ? message.value.pushes.length : []));
    expect(pushed).toEqual([COUNT, COUNT]);
    const { [DAMAGED]: _damaged, ...whole } = items;
    expect(serverContents(store)).toEqual(whole);
    expect(replica.listPending(0, 10)).toMatchObject([
      { id: DAMAGED, rejected: { reason: report.rejected[0]?.reason } },
    ]);
    // Put once more, it goes.
    change(replica, { [DAMAGED]: "mended" });
    expect(exchange({ store, replica }).report).toMatchObject({ sent: 1, rejectedCount: 0, verified: true });
    expect(serverContents(store)).toEqual({ ...whole, [DAMAGED]: "mended" });
  } finally {
    replica.close();
  }
});
