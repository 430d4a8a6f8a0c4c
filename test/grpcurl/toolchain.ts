import { existsSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { isInstalled, run, toolsDirectory } from "../../scripts/cookbook/tools.js";

/** The repository. */
export const root: string = fileURLToPath(new URL("../../", import.meta.url));

/** Installing a tool may take minutes, the first time. */
export const INSTALL_MS = 600_000;

/**
 * Whether what needs this program is to be left out: only where it is missing and nobody said that all has to be there. In a
 * continuous integration it is tried, and fails.
 */
export function isLeftOut(command: string): boolean {
  return !isInstalled(command) && process.env["CI"] === undefined;
}

/** What pip is given. */
const PACKAGES = ["grpcio==1.85.1", "grpcio-reflection==1.85.1"];

/** A Python that has grpcio and its reflection client, in an environment of its own; answers its path. */
export async function installPython(): Promise<string> {
  const directory = join(toolsDirectory(root), "python");
  const python = join(directory, "bin", "python");
  const ready = join(directory, PACKAGES.join(" "));
  if (existsSync(ready)) return python;
  await mkdir(toolsDirectory(root), { recursive: true });
  await rm(directory, { recursive: true, force: true });
  await run("python3", ["-m", "venv", directory]);
  await run(python, ["-m", "pip", "install", "--quiet", ...PACKAGES]);
  await writeFile(ready, "");
  return python;
}
