import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** A file that the linter sees: where it lies, and what it says. */
type Snippet = readonly [file: string, source: string];

const legal: readonly Snippet[] = [
  ["core/message.ts", 'export type { Item } from "../gen/tercet/v1/item.js";'],
  ["core/hash.ts", 'import { createHash } from "node:crypto";\nexport const hash = () => createHash("sha256");'],
  ["core/sqlite.ts", 'import type Database from "better-sqlite3";\nexport type { Database };'],
  [
    "server/protocol/exchange.ts",
    'export { a } from "../../core/a.js";\nexport type { Store } from "../store/store.js";',
  ],
  ["server/store/sqlite-feed.ts", 'export { openDatabase } from "../../core/sqlite.js";'],
  ["server/store/store.ts", 'export type { Item } from "../../gen/tercet/v1/item.js";'],
  ["server/rpc/sync.ts", 'export { SyncService } from "../../gen/tercet/v1/sync_service.js";'],
  ["server/rpc/pump.ts", 'export { status } from "@grpc/grpc-js";\nexport { a } from "../protocol/exchange.js";'],
  ["server/main.ts", 'export { Server } from "@grpc/grpc-js";\nexport { createStore } from "./store/sqlite.js";'],
  ["client/protocol/exchange.ts", 'export { a } from "../../core/a.js";'],
  ["client/replica/sqlite.ts", 'export { openDatabase } from "../../core/sqlite.js";'],
  ["client/connection-pool.ts", 'export { Client } from "@grpc/grpc-js";'],
  ["client/index.ts", 'export { openReplica } from "./replica/sqlite.js";\nexport { connect } from "./connection.js";'],
  ["scripts/tercet.ts", 'export { a } from "../server/main.js";\nexport { b } from "../client/cli.js";'],
  ["test/rpc/sync.test.ts", 'export { a } from "../../server/main.js";\nexport { Client } from "@grpc/grpc-js";'],
];

/** Every import or construct that the architecture rules out, each alone in its file. */
const illegal: readonly Snippet[] = [
  ["core/to-server.ts", 'export { a } from "../server/main.js";'],
  ["core/to-client.ts", 'export { a } from "../client/index.js";'],
  ["core/to-client-type.ts", 'export type { A } from "../client/index.js";'],
  ["core/to-scripts.ts", 'export { a } from "../scripts/demo.js";'],
  ["core/to-test.ts", 'export { a } from "../test/kit.js";'],
  ["core/to-grpc.ts", 'export { status } from "@grpc/grpc-js";'],
  ["core/to-service.ts", 'export type { SyncService } from "../gen/tercet/v1/sync_service.js";'],
  ["core/to-driver.ts", 'export type { Database } from "better-sqlite3";'],
  ["core/to-loader.ts", 'export { openDatabase } from "./sqlite.js";'],
  ["core/sqlite.ts", 'export { a } from "../server/main.js";'],
  ["core/to-files.ts", 'export { readFileSync } from "node:fs";'],
  ["core/to-files-dynamic.ts", 'export const load = () => import("node:fs/promises");'],
  ["core/clock.ts", "export const now = () => Date.now();"],
  ["core/timer.ts", "export const later = (f: () => void) => setTimeout(f, 1);"],
  ["server/to-client.ts", 'export { a } from "../client/index.js";'],
  ["server/to-itself.ts", 'export { a } from "tercet";'],
  ["server/to-grpc.ts", 'export { status } from "@grpc/grpc-js";'],
  ["server/main.ts", 'export { a } from "../client/index.js";'],
  ["server/protocol/to-client.ts", 'export { a } from "../../client/protocol/exchange.js";'],
  ["server/protocol/to-grpc.ts", 'export const load = () => import("@grpc/grpc-js");'],
  ["server/protocol/to-rpc.ts", 'export { a } from "../rpc/pump.js";'],
  ["server/protocol/to-service.ts", 'export { a } from "../../gen/tercet/v1/sync_service.js";'],
  ["server/protocol/to-sqlite.ts", 'export { a } from "../store/sqlite.js";'],
  ["server/protocol/to-driver.ts", 'export { a } from "better-sqlite3-node22";'],
  ["server/protocol/clock.ts", "export const now = () => performance.now();"],
  ["server/rpc/to-client.ts", 'export { a } from "../../client/connection.js";'],
  ["server/rpc/to-driver.ts", 'export type { Database } from "better-sqlite3";'],
  ["server/store/memory.ts", 'export { openDatabase } from "../../core/sqlite.js";'],
  ["server/store/sqlite-direct.ts", 'export type { Database } from "better-sqlite3";'],
  ["server/store/sqlite-grpc.ts", 'export { status } from "@grpc/grpc-js";'],
  ["client/to-server.ts", 'export { a } from "../server/index.js";'],
  ["client/cli.ts", 'export { a } from "../server/main.js";'],
  ["client/sync.ts", 'export { Client } from "@grpc/grpc-js";'],
  ["client/to-driver.ts", 'export { a } from "../core/sqlite.js";'],
  ["client/connection.ts", 'export { a } from "../server/rpc/pump.js";'],
  ["client/protocol/to-server.ts", 'export { a } from "../../server/protocol/exchange.js";'],
  ["client/protocol/to-connection.ts", 'export { a } from "../connection.js";'],
  ["client/protocol/to-replica.ts", 'export { a } from "../replica/sqlite.js";'],
  ["client/replica/to-grpc.ts", 'export { status } from "@grpc/grpc-js";'],
  ["client/replica/memory.ts", 'export { a } from "../../core/sqlite.js";'],
  ["scripts/to-driver.ts", 'export { a } from "better-sqlite3";'],
  ["client/default-export.ts", "export default 1;"],
  ["client/any.ts", "export const f = (a: any) => a;"],
  ["client/to-dev-dependency.ts", 'export { test } from "vitest";'],
];

/** Lints the snippets with the project's own configuration, and answers which rules each file breaks. */
function lint(snippets: readonly Snippet[]): Map<string, string[]> {
  const folder = mkdtempSync(join(tmpdir(), "tercet-lint-"));
  try {
    const configuration = JSON.parse(readFileSync(join(root, "biome.json"), "utf8"));
    writeFileSync(join(folder, "biome.json"), JSON.stringify({ ...configuration, vcs: { enabled: false } }));
    cpSync(join(root, "package.json"), join(folder, "package.json"));
    for (const [file, source] of snippets) {
      mkdirSync(dirname(join(folder, file)), { recursive: true });
      writeFileSync(join(folder, file), `${source}\n`);
    }
    const biome = join(root, "node_modules", "@biomejs", "biome", "bin", "biome");
    const args = [biome, "lint", "--reporter=json", "--max-diagnostics=none", ...snippets.map(([file]) => file)];
    const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: folder, encoding: "utf8" });
    expect(stdout, stderr).toMatch(/^\{/);
    const report: { diagnostics: { category: string; location: { path: string } }[] } = JSON.parse(stdout);
    const broken = new Map<string, string[]>(snippets.map(([file]) => [file, []]));
    for (const { category, location } of report.diagnostics) {
      broken.get(location.path.replaceAll("\\", "/"))?.push(category);
    }
    return broken;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

describe("the linter keeps the import directions", () => {
  const allowed = lint(legal);
  const refused = lint(illegal);

  test.each(legal)("allows %s: %s", (file) => {
    expect(allowed.get(file)).toEqual([]);
  });

  test.each(illegal)("refuses %s: %s", (file) => {
    expect(refused.get(file)).toHaveLength(1);
    expect(refused.get(file)?.[0]).toMatch(
      /noRestrictedImports|noRestrictedGlobals|noDefaultExport|noExplicitAny|noUndeclaredDependencies/,
    );
  });
});
