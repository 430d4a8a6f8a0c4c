// Puts what `npm run bench` has measured into the README's table: `npm run bench:table`, or `-- FILE` for other results.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { readmeTable, withTable } from "./bench/readme-table.js";
import type { Measured } from "./bench/summary.js";

const results = process.argv[2] ?? "bench-results/bench.json";
if (!existsSync(results)) {
  console.error(`there are no results at ${results}; \`npm run bench\` writes them`);
  process.exit(2);
}
const { measured } = JSON.parse(readFileSync(results, "utf8")) as { readonly measured: readonly Measured[] };
const readme = fileURLToPath(new URL("../../README.md", import.meta.url));
writeFileSync(readme, withTable(readFileSync(readme, "utf8"), readmeTable(measured)));
