import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSqliteStore } from "../../server/store/sqlite.js";
import { bytesOf, EPOCH } from "./build.js";
import { describeStore } from "./contract.js";
import { checkContents } from "./sqlite-leaks.js";
import { checkSegments } from "./sqlite-segments.js";

describeStore("SQLite", () => {
  const directory = mkdtempSync(join(tmpdir(), "tercet-store-"));
  let store = openSqliteStore({ directory, epoch: EPOCH });
  let epochs = 1;
  return Promise.resolve({
    store,
    reopen() {
      store.close();
      epochs += 1;
      store = openSqliteStore({ directory, epoch: bytesOf(8, epochs) });
      return Promise.resolve(store);
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
});
