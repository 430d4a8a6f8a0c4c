import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type ChangeColumns, columnsOf } from "../../server/store/change-columns.js";
import { openSqliteStore, type SqliteStore } from "../../server/store/sqlite.js";
import { ALL, createCollection, EPOCH, ids, put, remove, writeOne } from "./build.js";

let directory: string;
let store: SqliteStore;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "tercet-columns-"));
  store = openSqliteStore({ directory, epoch: EPOCH });
  await createCollection(store);
});
afterEach(() => {
  store.close();
  rmSync(directory, { recursive: true, force: true });
});

function columns(inlineBytes: number): ChangeColumns | undefined {
  const read = store.readChanges({ ...ALL, inlineBytes });
  return read === undefined ? undefined : columnsOf(read);
}

test("reads pages of items that are alike as columns, wherever they end", async () => {
  const names = Array.from({ length: 40 }, (_, index) => `é\u{1f600}${index}`);
  await writeOne(store, ...names.map((id, index) => put(id, "x\0é".repeat(index % 7))));
  for (const maxBytes of [1, 64, 100, 500, 2000, 100_000]) {
    for (const maxChanges of [1, 3, 39, 40, 41]) {
      const found: string[] = [];
      for (let after = 0, end = false; !end; ) {
        const read = store.readChanges({ ...ALL, after, maxBytes, maxChanges });
        if (read === undefined) throw new Error("no such collection");
        found.push(...(ids(read.changes) ?? []));
        after = read.through;
        end = read.end;
      }
      expect(found).toEqual(names);
    }
  }
  expect(columns(1e9)?.count).toBe(40);
});

test("reads others one by one: tombstones, groups, large contents, text among bytes", async () => {
  const many = Array.from({ length: 40 }, (_, index) => put(`a${index}`, "1"));
  await writeOne(store, ...many);
  expect(columns(1000)).toBeDefined();
  await writeOne(store, put("b", Buffer.from("1")));
  expect(columns(1000)).toBeUndefined();
  for (const write of [
    remove("a1"),
    put("g", "1", { group: 1 }),
    put("l", "x".repeat(900)),
    put("m", "x".repeat(1001)),
  ]) {
    store.close();
    rmSync(directory, { recursive: true, force: true });
    store = openSqliteStore({ directory, epoch: EPOCH });
    await createCollection(store);
    await writeOne(store, ...many);
    await writeOne(store, write);
    expect(columns(1000)).toBeUndefined();
  }
});
