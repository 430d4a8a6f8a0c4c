import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../../", import.meta.url));

/** Paths of what `npm pack` puts into the package. */
async function packed(): Promise<string[]> {
  const args = ["pack", "--dry-run", "--json", "--ignore-scripts"];
  const { stdout } = await run("npm", args, { cwd: root, maxBuffer: 1e7, shell: process.platform === "win32" });
  const [told] = Object.values(JSON.parse(stdout) as { readonly files: readonly { readonly path: string }[] }[]);
  return told?.files.map(({ path }) => path) ?? [];
}

test("the package has the pages and the contract that its README links to", async () => {
  const readme = readFileSync(join(root, "README.md"), "utf8");
  const links = [...readme.matchAll(/\]\(((?:docs|proto)\/[^)#]+)/g)].map(([, path]) => String(path));
  expect(links.length).toBeGreaterThan(4);
  const files = await packed();
  for (const link of links) expect(files.some((file) => file === link || file.startsWith(`${link}/`))).toBe(true);
  expect(files).toContain("dist/scripts/tercet.js");
  expect(files.filter((file) => /^(docs\/api|proto\/released|test|scripts)\//.test(file))).toEqual([]);
}, 60_000);
