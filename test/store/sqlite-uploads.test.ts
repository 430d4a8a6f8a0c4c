import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { fingerprintOf } from "../../core/fingerprint.js";
import { openSqliteStore } from "../../server/store/sqlite.js";
import { backupDataFile, restoreDataFile } from "../../server/store/sqlite-backup.js";
import {
  batchOf,
  bytesOf,
  createCollection,
  EPOCH,
  NOW,
  pieceOf,
  put,
  remove,
  type TestUpload,
  UID,
  UPLOAD_ID,
  uploaded,
  writeOne,
} from "./build.js";
import { checkContents, countContents } from "./sqlite-leaks.js";

const BYTES = Buffer.alloc(1000, "chunks");
const UPLOAD: TestUpload = { id: "a", bytes: BYTES, pieceBytes: 100 };

describe("uploads in the file of a SQLite store", () => {
  let directory: string;
  let path: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "tercet-store-"));
    path = join(directory, "tercet.db");
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  const open = (maxPages?: number) =>
    openSqliteStore({ directory, epoch: EPOCH, ...(maxPages === undefined ? {} : { maxPages }) });

  it("leave nothing behind, whatever becomes of them", async () => {
    const store = open();
    await createCollection(store);
    await writeOne(store, await uploaded(store, UPLOAD));
    expect(countContents(path)).toEqual([1, 10, 0]);
    // Overwritten, kept as a conflict, deleted, dropped, pruned.
    await writeOne(store, await uploaded(store, { ...UPLOAD, bytes: BYTES.subarray(100) }));
    expect(countContents(path)).toEqual([1, 9, 0]);
    await writeOne(store, await uploaded(store, UPLOAD, { overrides: 2 }));
    await uploaded(store, { ...UPLOAD, uploadId: bytesOf(16, 1) });
    await uploaded(store, { ...UPLOAD, uploadId: bytesOf(16, 2) });
    await store.upload(pieceOf({ ...UPLOAD, uploadId: bytesOf(16, 3) }, 0, 500));
    expect(countContents(path)).toEqual([5, 40, 3]);
    checkContents(path);
    store.dropUpload(UID, bytesOf(16, 1));
    expect(countContents(path)).toEqual([4, 30, 2]);
    store.pruneUploads(NOW + 1, 10);
    expect(countContents(path)).toEqual([2, 19, 0]);
    await writeOne(store, remove("a"));
    expect(countContents(path)).toEqual([1, 9, 0]);
    store.pruneConflicts(NOW + 1, 10);
    expect(countContents(path)).toEqual([0, 0, 0]);
    store.close();
  });

  it("go with their collection, in slices and over a restart", async () => {
    const store = open();
    const kept = bytesOf(16, 8);
    await createCollection(store);
    await createCollection(store, "kept", kept);
    await store.upload(pieceOf({ ...UPLOAD, uid: kept }, 0, 100));
    await writeOne(store, await uploaded(store, UPLOAD));
    await writeOne(store, await uploaded(store, { ...UPLOAD, bytes: BYTES.subarray(1) }, { overrides: 2 }));
    await uploaded(store, UPLOAD);
    expect(countContents(path)).toEqual([4, 31, 2]);
    store.deleteCollection(UID);
    // Those of deleted collections are the purge's alone.
    expect(store.pruneUploads(NOW, 10)).toBe(0);
    store.close();
    const again = open();
    for (let turns = 0; turns < 100 && countContents(path)[1] !== 1; turns++) await new Promise(setImmediate);
    expect(countContents(path)).toEqual([1, 1, 1]);
    checkContents(path);
    again.close();
  });

  it("stay as they are where there is no room for a piece, or for the write", async () => {
    const store = open(70);
    await createCollection(store);
    await writeOne(store, put("other", "1"));
    const large = { id: "a", bytes: Buffer.alloc(300_000, "large") };
    await store.upload(pieceOf(large, 0, 100_000));
    expect(() => store.upload(pieceOf(large, 100_000, 200_000))).toThrow(expect.objectContaining({ kind: "full" }));
    expect(store.upload(pieceOf(large, 0, 0))).toMatchObject({ offset: 100_000, added: false });
    const small = await uploaded(store, { ...UPLOAD, uploadId: bytesOf(16, 1) });
    const filling = put("b", "x".repeat(300_000));
    expect(() => store.write([batchOf([small]), batchOf([filling])])).toThrow(
      expect.objectContaining({ kind: "full" }),
    );
    expect(store.readUpload(UID, bytesOf(16, 1), 0, 2000)).toEqual(BYTES);
    checkContents(path);
    expect(await writeOne(store, small)).toMatchObject([{ kind: "applied" }]);
    checkContents(path);
    store.close();
  });

  it("are in a backup, begun ones too", async () => {
    const store = open();
    await createCollection(store);
    await writeOne(store, await uploaded(store, UPLOAD));
    const begun = { ...UPLOAD, id: "b" };
    await store.upload(pieceOf(begun, 0, 300));
    const backup = join(directory, "backup.db");
    backupDataFile(directory, backup);
    store.close();
    const other = join(directory, "restored");
    restoreDataFile(backup, other);
    const restored = openSqliteStore({ directory: other, epoch: bytesOf(8, 2) });
    expect(restored.readPart({ uid: UID, id: "a", offset: 0, length: 2000 })?.data).toEqual(BYTES);
    const read = restored.upload(pieceOf(begun, 300, 700));
    expect(read).toMatchObject({ offset: 1000, added: true });
    const upload = { uploadId: UPLOAD_ID, serial: read?.serial ?? 0 };
    const upsert = { content: undefined, upload, fingerprint: fingerprintOf("b", BYTES), size: 1000 };
    expect(await writeOne(restored, { ...put("b", ""), upsert })).toMatchObject([{ kind: "applied" }]);
    restored.close();
    checkContents(join(other, "tercet.db"));
  });
});
