import { existsSync } from "node:fs";
import { join } from "node:path";
import { run } from "../cookbook/tools.js";

/** Settings of an outer npm that must not reach an inner one: the folder that it was started in is another. */
const OUTER_NPM =
  /^npm_(lifecycle|package)_|^npm_config_(local_prefix|prefix|global_prefix|ignore_scripts|omit|include)$/i;

/**
 * Makes HTML pages of what the library and the server export, with typedoc; installs it the first time.
 *
 * @throws Error with what typedoc says, where an export has no text, or a link leads nowhere.
 */
export async function buildLibraryPages(root: string, out: string): Promise<void> {
  const folder = join(root, "scripts", "docs", "tools");
  if (!existsSync(join(folder, "node_modules", ".package-lock.json"))) {
    const outer = Object.keys(process.env).filter((name) => OUTER_NPM.test(name));
    const env = Object.fromEntries(outer.map((name) => [name, undefined]));
    const args = ["ci", "--prefix", folder, "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"];
    await run("npm", args, env);
  }
  const typedoc = join(folder, "node_modules", "typedoc", "bin", "typedoc");
  const options = ["--options", join(folder, "typedoc.json"), "--out", out];
  await run(process.execPath, [typedoc, ...options]);
}
