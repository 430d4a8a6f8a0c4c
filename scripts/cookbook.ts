// Runs the commands of proto/README.md against a server, writes what they print into the page, and says what that changed.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startServer } from "../server/index.js";
import { GRPCURL, installGoTool } from "./cookbook/tools.js";
import { walkPage } from "./cookbook/walk.js";

const root = fileURLToPath(new URL("../../", import.meta.url));
const name = "proto/README.md";
const file = join(root, name);

const directory = mkdtempSync(join(tmpdir(), "tercet-cookbook-"));
try {
  const tools = await installGoTool(GRPCURL, root);
  const server = await startServer({ directory, port: 0 });
  try {
    const before = readFileSync(file, "utf8");
    const { page, blocks, changed } = await walkPage(before, { address: server.address, tools, directory: root });
    const ran = `${name}: ran ${blocks} blocks of commands with ${GRPCURL.name} ${GRPCURL.version}`;
    if (changed.length === 0) console.log(`${ran}; they print what the page shows`);
    else {
      writeFileSync(file, page);
      const lines = changed.length === 1 ? `line ${changed[0]}` : `lines ${changed.join(", ")}`;
      console.log(`${ran}, and rewrote what the page showed from ${lines} on: read the difference`);
    }
  } finally {
    await server.close();
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}
