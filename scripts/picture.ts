// Draws docs/exchange.svg anew. The same sources give the same file.

import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { buildPicture } from "./picture/build.js";

const file = fileURLToPath(new URL("../../docs/exchange.svg", import.meta.url));
writeFileSync(file, buildPicture());
process.stdout.write(`${file}\n`);
