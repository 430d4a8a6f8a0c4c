import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";

/** Builds what is tested, where it has changed: `npx vitest` must not test what was built before. */
export function setup(): void {
  execFileSync(process.execPath, [fileURLToPath(new URL("../scripts/setup.js", import.meta.url))], {
    stdio: ["ignore", 2, 2],
  });
}
