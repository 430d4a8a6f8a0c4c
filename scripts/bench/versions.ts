import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { thisMachine } from "../figures/machine.js";
import { type Contender, FOREIGN_DIRECTORY } from "./contenders.js";

const OWN = ["@grpc/grpc-js", "@bufbuild/protobuf"];

/** Versions of what is measured: Node's, SQLite's, and those of the packages and programs of the contenders. */
export function versionsOf(contenders: readonly Contender[]): Record<string, string> {
  const { node, sqlite } = thisMachine();
  const require = createRequire(import.meta.url);
  const own = OWN.map((name) => [name, versionIn(require.resolve.paths(name)?.map((path) => join(path, name)) ?? [])]);
  const packages = contenders.some(({ foreign }) => foreign) ? foreignPackages() : [];
  const programs = contenders.flatMap(({ binary }) =>
    binary === undefined ? [] : [[binary.command, programVersion(binary.command)]],
  );
  return Object.fromEntries([["Node", node], ["SQLite", sqlite], ...own, ...packages, ...programs]);
}

function foreignPackages(): [string, string][] {
  const manifest = JSON.parse(readFileSync(join(FOREIGN_DIRECTORY, "package.json"), "utf8")) as {
    readonly dependencies?: Readonly<Record<string, string>>;
  };
  const names = Object.keys(manifest.dependencies ?? {});
  return names.map((name) => [name, versionIn([join(FOREIGN_DIRECTORY, "node_modules", name)])]);
}

function versionIn(folders: readonly string[]): string {
  for (const folder of folders) {
    try {
      return (JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as { readonly version: string }).version;
    } catch {
      // Not in this one.
    }
  }
  return "unknown";
}

function programVersion(command: string): string {
  const { stdout } = spawnSync(command, ["--version"], { encoding: "utf8" });
  return /\d+\.\d+\.\d+/.exec(stdout ?? "")?.[0] ?? "unknown";
}
