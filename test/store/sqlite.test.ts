import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSqliteStore, type SqliteStore } from "../../server/store/sqlite.js";
import { createSyncedStore } from "../../server/store/sqlite-synced.js";
import type { Store } from "../../server/store/store.js";
import { bytesOf, EPOCH } from "./build.js";
import { describeStore, type OpenedStore } from "./contract.js";
import { checkContents } from "./sqlite-leaks.js";
import { checkSegments } from "./sqlite-segments.js";

/** Opens a store in a directory of its own; `as` makes of it what is tested. */
function openAs(as: (sqlite: SqliteStore) => Store): Promise<OpenedStore> {
  const directory = mkdtempSync(join(tmpdir(), "tercet-store-"));
  let store = openSqliteStore({ directory, epoch: EPOCH });
  let epochs = 1;
  return Promise.resolve({
    store: as(store),
    reopen() {
      store.close();
      epochs += 1;
      store = openSqliteStore({ directory, epoch: bytesOf(8, epochs) });
      return Promise.resolve(as(store));
    },
    check() {
      checkSegments(join(directory, "tercet.db"));
      checkContents(join(directory, "tercet.db"));
    },
    cleanup() {
      store.close();
      rmSync(directory, { recursive: true });
      return Promise.resolve();
    },
  });
}

describeStore("SQLite", () => openAs((store) => store));
describeStore("synced SQLite", () => openAs(createSyncedStore));
