import { mkdirSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { StorageError } from "../../core/storage-error.js";

/**
 * Creates a data directory with its parents where it is missing.
 *
 * Not by mkdir's own `recursive`: Node's never ends where a parent is there and refuses children with ENOENT, as /proc does.
 *
 * @throws StorageError `failed`
 */
export function createDirectory(directory: string): void {
  const path = resolve(directory);
  const missing: string[] = [];
  let parent = path;
  try {
    while (!isDirectory(parent)) {
      missing.unshift(parent);
      parent = dirname(parent);
    }
    for (const each of missing) make(each);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new StorageError("failed", `cannot create the data directory ${directory}: ${reason}`, { cause });
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

function make(path: string): void {
  try {
    mkdirSync(path);
  } catch (error) {
    // Somebody else was faster.
    if (codeOf(error) !== "EEXIST" || !isDirectory(path)) throw error;
  }
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown }).code;
}
