// Compares proto/ with the contract as it was released last (proto/released/), and fails where a client or server of that
// release would not get on with it any more: buf's FILE rules. With --release it keeps proto/ as the contract of the version
// in package.json, which is to be done once for each release (docs/compatibility.md).

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const folder = join("proto", "released");

/** @param {string[]} args */
function buf(args) {
  const binary = join(root, "node_modules", ".bin", "buf");
  const { status, error } = spawnSync(binary, args, {
    cwd: root,
    stdio: "inherit",
    shell: process.platform === "win32",
  });
  if (error) {
    process.stderr.write(`buf could not be started: ${error.message}\n`);
  }
  return status === 0;
}

/** @param {string} name of a file, v1.2.3.binpb */
function versionOf(name) {
  const found = /^v(\d+)\.(\d+)\.(\d+)\.binpb$/.exec(name);
  return found?.slice(1).map(Number);
}

/** @returns {string | undefined} the file of the latest release */
function latest() {
  const names = existsSync(join(root, folder)) ? readdirSync(join(root, folder)) : [];
  const releases = names.flatMap((name) => {
    const version = versionOf(name);
    return version === undefined ? [] : [{ name, version }];
  });
  releases.sort(
    (a, b) => a.version.map((n, at) => n - (b.version[at] ?? 0)).find((difference) => difference !== 0) ?? 0,
  );
  return releases.at(-1)?.name;
}

if (process.argv.includes("--release")) {
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const file = join(folder, `v${version}.binpb`);
  mkdirSync(join(root, folder), { recursive: true });
  if (!buf(["build", "--as-file-descriptor-set", "--exclude-source-info", "--output", file])) {
    process.exit(1);
  }
  process.stderr.write(`${file} is the contract of ${version}\n`);
} else {
  const name = latest();
  if (name === undefined) {
    process.stderr.write(`there is no release in ${folder}: npm run breaking -- --release makes one\n`);
    process.exit(1);
  }
  if (!buf(["breaking", "--against", join(folder, name)])) {
    process.stderr.write(
      `proto/ breaks the contract of ${name.replace(".binpb", "")}, see above and docs/compatibility.md; while that version is not released yet, renew it: npm run breaking -- --release\n`,
    );
    process.exit(1);
  }
}
