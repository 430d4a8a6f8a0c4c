import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { delimiter, join } from "node:path";

/** A program of the Go module proxy, at one version. */
export interface GoTool {
  readonly name: string;
  /** What `go install` is given, without the version. */
  readonly path: string;
  readonly version: string;
}

/** The grpcurl that proto/README.md was written with. */
export const GRPCURL: GoTool = {
  name: "grpcurl",
  path: "github.com/fullstorydev/grpcurl/cmd/grpcurl",
  version: "v1.9.3",
};

/** Where programs are kept that only tests and scripts need, below the repository's root: no part of it. */
export function toolsDirectory(root: string): string {
  return join(root, "node_modules", ".cache", "tercet-tools");
}

/** Whether a program is on the path. */
export function isInstalled(command: string): boolean {
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  const names = process.platform === "win32" ? [`${command}.exe`, `${command}.cmd`] : [command];
  return folders.some((folder) => names.some((name) => existsSync(join(folder, name))));
}

/**
 * Installs a program where that was not done; answers the folder that it is in. Takes minutes the first time.
 *
 * @throws Error where Go is missing, or can't build it.
 */
export async function installGoTool({ name, path, version }: GoTool, root: string): Promise<string> {
  const directory = toolsDirectory(root);
  const folder = join(directory, `${name}-${version}`);
  if (existsSync(folder)) return folder;
  if (!isInstalled("go")) throw new Error(`${name} is built by Go, which is not installed: https://go.dev/dl`);
  await mkdir(directory, { recursive: true });
  // Two may install at once: each has a folder of its own, and the one that comes first prevails.
  const scratch = await mkdtemp(join(directory, `${name}-`));
  await run("go", ["install", `${path}@${version}`], { GOBIN: scratch, GOFLAGS: "" });
  await rename(scratch, folder).catch(() => rm(scratch, { recursive: true, force: true }));
  return folder;
}

/**
 * Runs a program to its end; what it says is shown only where it fails.
 *
 * @throws Error with all that it said, where it can't be started or its exit status is not 0.
 */
export function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
    const said = { out: "", all: "" };
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      said.out += text;
      said.all += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      said.all += text;
    });
    child.on("error", reject);
    child.on("close", (status) => {
      if (status === 0) resolve(said.out);
      else reject(new Error(`${command} ${args.join(" ")} ended with ${status}:\n${said.all}`));
    });
  });
}
