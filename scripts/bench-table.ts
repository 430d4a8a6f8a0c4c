// Puts what `npm run bench` has measured into the README's table: `npm run bench:table`, or `-- FILE` for other results.

import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { readmeTable, withTable } from "./bench/readme-table.js";
import type { Measured } from "./bench/summary.js";

const results = process.argv[2] ?? "bench-results/bench.json";
const { measured } = JSON.parse(readFileSync(results, "utf8")) as { readonly measured: readonly Measured[] };
const readme = fileURLToPath(new URL("../../README.md", import.meta.url));
writeFileSync(readme, withTable(readFileSync(readme, "utf8"), readmeTable(measured)));
