// Generates gen/ from proto/: the stubs with ts-proto, and the descriptor set that the server's reflection serves.
// With --check it changes nothing and fails if gen/ is not exactly what the protos generate.

import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const check = process.argv.includes("--check");

/** @param {string[]} args */
function buf(args) {
  const binary = join(root, "node_modules", ".bin", "buf");
  const { status, error } = spawnSync(binary, args, {
    cwd: root,
    stdio: "inherit",
    shell: process.platform === "win32",
  });
  if (status !== 0) {
    throw new Error(`buf ${args[0]} failed${error ? `: ${error.message}` : ""}`);
  }
}

/**
 * @param {string} folder
 * @returns {Map<string, Buffer>} the content of every file in it, by relative path
 */
function readFolder(folder) {
  const files = existsSync(folder) ? readdirSync(folder, { recursive: true, encoding: "utf8" }) : [];
  const paths = files.filter((file) => statSync(join(folder, file)).isFile()).sort();
  return new Map(paths.map((file) => [file, readFileSync(join(folder, file))]));
}

/** @returns {Map<string, Buffer>} what gen/ should hold */
function generate() {
  const scratch = mkdtempSync(join(tmpdir(), "tercet-gen-"));
  try {
    buf(["generate", "--output", scratch]);
    buf([
      "build",
      "--as-file-descriptor-set",
      "--exclude-source-info",
      "--output",
      join(scratch, "gen", "descriptor.binpb"),
    ]);
    return readFolder(join(scratch, "gen"));
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

const wanted = generate();
const present = readFolder(join(root, "gen"));
const changed = [...wanted].filter(([file, content]) => !present.get(file)?.equals(content));
const extra = [...present.keys()].filter((file) => !wanted.has(file));

if (check) {
  for (const [file] of changed) {
    process.stderr.write(
      `gen/${file} ${present.has(file) ? "differs from" : "is missing, it is in"} what proto/ generates\n`,
    );
  }
  for (const file of extra) {
    process.stderr.write(`gen/${file} is not generated from proto/\n`);
  }
  if (changed.length + extra.length > 0) {
    process.stderr.write("Run `npm run gen` and commit gen/.\n");
    process.exitCode = 1;
  }
} else {
  // Unchanged files keep their modify time, so that only what changed is compiled again.
  for (const [file, content] of changed) {
    mkdirSync(dirname(join(root, "gen", file)), { recursive: true });
    writeFileSync(join(root, "gen", file), content);
  }
  for (const file of extra) {
    rmSync(join(root, "gen", file));
  }
  process.stderr.write(`gen/: ${wanted.size} files, ${changed.length} written, ${extra.length} removed\n`);
}
