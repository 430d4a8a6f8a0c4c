import { mkdirSync, readdirSync, rmdirSync, rmSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { StorageError } from "../../core/storage-error.js";

/**
 * Creates a data directory with its parents where it is missing. Answers which directories it made, parents first.
 *
 * Not by mkdir's own `recursive`: Node's never ends where a parent is there and refuses children with ENOENT, as /proc does.
 *
 * @throws StorageError `failed`
 */
export function createDirectory(directory: string): string[] {
  const path = resolve(directory);
  const missing: string[] = [];
  let parent = path;
  try {
    while (!isDirectory(parent)) {
      missing.unshift(parent);
      parent = dirname(parent);
    }
    return missing.filter(make);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new StorageError("failed", `cannot create the data directory ${directory}: ${reason}`, { cause });
  }
}

/**
 * Takes back what `createDirectory` made for something that failed, unless there is more in it than files whose names begin
 * with `own`.
 */
export function removeCreated(made: readonly string[], own: string): void {
  const last = made.at(-1);
  try {
    const names = last === undefined ? [] : readdirSync(last);
    if (last === undefined || !names.every((name) => name.startsWith(own))) return;
    for (const name of names) rmSync(join(last, name), { force: true });
    for (const each of made.toReversed()) rmdirSync(each);
  } catch {
    // What failed before is what is to be told.
  }
}

/** False where nothing is there; throws where it is anything but a directory. */
function isDirectory(path: string): boolean {
  const found = lookUp(path);
  if (found === undefined) return false;
  if (found.isDirectory()) return true;
  throw new Error(`${path} is not a directory`);
}

function lookUp(path: string): ReturnType<typeof statSync> {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    // Below a file: the walk up comes to it.
    if (codeOf(error) === "ENOTDIR") return undefined;
    throw error;
  }
}

/** False where somebody else was faster. */
function make(path: string): boolean {
  try {
    mkdirSync(path);
    return true;
  } catch (error) {
    if (codeOf(error) !== "EEXIST" || !isDirectory(path)) throw error;
    return false;
  }
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown }).code;
}
