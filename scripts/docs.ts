// Makes pages of the library's and the contract's comments in docs/api: `npm run docs`. It fails where a public export or
// an element of the contract has no text. typedoc needs an older TypeScript than the project, so its packages are in
// scripts/docs/tools, and are installed there the first time.

import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildDescriptorSet } from "./docs/descriptor-set.js";
import { buildLibraryPages } from "./docs/library.js";
import { protoPages } from "./docs/proto-page.js";

const root = fileURLToPath(new URL("../../", import.meta.url));
const folder = join(root, "docs", "api");

const contract = protoPages(await buildDescriptorSet(root), "tercet.v1");
if (contract.undocumented.length > 0) {
  process.stderr.write(`these have no comment in proto/: ${contract.undocumented.join(", ")}\n`);
  process.exit(1);
}
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
writeFileSync(join(folder, "proto.md"), contract.text);
await buildLibraryPages(root, join(folder, "library"));
process.stdout.write("docs/api/proto.md is the contract, docs/api/library/index.html the library\n");
