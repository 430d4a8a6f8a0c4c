// Runs the commands of proto/README.md against a server, and writes what they print into the page.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startServer } from "../server/index.js";
import { GRPCURL, installGoTool } from "./cookbook/tools.js";
import { walkPage } from "./cookbook/walk.js";

const root = fileURLToPath(new URL("../../", import.meta.url));
const file = join(root, "proto", "README.md");

const directory = mkdtempSync(join(tmpdir(), "tercet-cookbook-"));
try {
  const tools = await installGoTool(GRPCURL, root);
  const server = await startServer({ directory, port: 0 });
  try {
    const page = readFileSync(file, "utf8");
    writeFileSync(file, await walkPage(page, { address: server.address, tools, directory: root }));
  } finally {
    await server.close();
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}
