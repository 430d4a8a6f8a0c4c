import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Folder of this repository, from the compiled kit as from its source. */
export const ROOT = rootOf(fileURLToPath(new URL(".", import.meta.url)));

function rootOf(folder: string): string {
  return existsSync(join(folder, "package.json")) ? folder : rootOf(join(folder, ".."));
}
