// Writes the conformance vectors of test/conformance/vectors anew. The same sources give the same files.

import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { buildVectors } from "./vectors/build.js";

const folder = process.argv[2] ?? join("test", "conformance", "vectors");
const files = buildVectors();
for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
  if (name.endsWith(".json") && !files.has(name.replaceAll("\\", "/"))) rmSync(join(folder, name));
}
for (const [name, text] of files) {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}
process.stdout.write(`${files.size} files of vectors are in ${folder}\n`);
