import { existsSync } from "node:fs";
import { dirname } from "node:path";
import type { StorageErrorKind } from "../../core/storage-error.js";
import type { CanonicalCode } from "../error.js";

/** Exit status: done. */
export const DONE = 0;
/** Exit status: failed. */
export const FAILED = 1;
/** Exit status: not a command, or not its arguments. */
export const USAGE = 2;
/** Exit status: done, but conflicts or rejections remain. */
export const REMAINS = 3;
/** Exit status: ended by Ctrl-C, as shells say it. */
export const INTERRUPTED = 130;

/** What the command line itself refuses or fails with. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly code: CanonicalCode;
  readonly reason: string;
  readonly status: number;
  /** For people: lines below the message. */
  readonly lines: readonly string[];
  /** For programs: more fields of the error object. */
  readonly facts: Readonly<Record<string, unknown>>;

  constructor(
    message: string,
    facts: {
      readonly code: CanonicalCode;
      readonly reason: string;
      readonly status?: number;
      readonly lines?: readonly string[];
      readonly facts?: Readonly<Record<string, unknown>>;
    },
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.code = facts.code;
    this.reason = facts.reason;
    this.status = facts.status ?? FAILED;
    this.lines = facts.lines ?? [];
    this.facts = facts.facts ?? {};
  }
}

/** What was typed is not a command, or not its arguments. */
export function usageError(message: string, options?: ErrorOptions): CliError {
  return new CliError(message, { code: "INVALID_ARGUMENT", reason: "USAGE", status: USAGE }, options);
}

/** Refuses a file that is to be made where there is no directory for it. */
export function checkFolder(path: string): void {
  const folder = dirname(path);
  if (existsSync(folder)) return;
  const message = `can't make ${path}: there is no directory ${folder}`;
  throw new CliError(message, { code: "NOT_FOUND", reason: "FILE_NOT_FOUND" });
}

/** A file that can't be used, for the reason that Node would give by this code. */
export function fileError(path: string, code: "EISDIR"): Error {
  return Object.assign(new Error(`${path}: ${code}`), { code, path });
}

/** An error as the command line tells it: in words, and as the object of `--json`. */
export interface Failure {
  readonly status: number;
  readonly message: string;
  readonly lines: readonly string[];
  readonly error: Readonly<Record<string, unknown>>;
}

const STORAGE: Readonly<Record<StorageErrorKind, readonly [CanonicalCode, string]>> = {
  full: ["RESOURCE_EXHAUSTED", "STORAGE_FULL"],
  busy: ["UNAVAILABLE", "REPLICA_IN_USE"],
  exists: ["ALREADY_EXISTS", "REPLICA_EXISTS"],
  foreign: ["FAILED_PRECONDITION", "REPLICA_FOREIGN"],
  damaged: ["DATA_LOSS", "REPLICA_DAMAGED"],
  failed: ["UNAVAILABLE", "STORAGE_FAILED"],
};

const STORAGE_HINTS: Readonly<Record<StorageErrorKind, string>> = {
  full: ". Make room and run it again: nothing of the transaction was stored",
  busy: ". Wait until that one is done, or end it: `tercet watch` holds its replica for as long as it runs",
  exists: "",
  foreign: ". Name a replica file, or make one: tercet init --collection NAME --replica FILE",
  damaged: ". What can be read of it can be saved: tercet rebuild FILE",
  failed: "",
};

/** What to do about a refusal of the server's, where the command line knows better than the server. */
const HINTS: Readonly<Record<string, string>> = {
  COLLECTION_NOT_FOUND: ". Create it with `tercet sync --create` or `tercet collections create NAME`",
};

const FILE_ERRORS: Readonly<Record<string, readonly [CanonicalCode, string, string]>> = {
  ENOENT: ["NOT_FOUND", "FILE_NOT_FOUND", "there is no such file or directory"],
  EISDIR: ["INVALID_ARGUMENT", "FILE_UNUSABLE", "it is a directory"],
  ENOTDIR: ["INVALID_ARGUMENT", "FILE_UNUSABLE", "a part of the path is not a directory"],
  EACCES: ["PERMISSION_DENIED", "FILE_UNUSABLE", "this user may not"],
  EPERM: ["PERMISSION_DENIED", "FILE_UNUSABLE", "this user may not"],
  EROFS: ["PERMISSION_DENIED", "FILE_UNUSABLE", "the file system is read-only"],
  ENOSPC: ["RESOURCE_EXHAUSTED", "STORAGE_FULL", "there is no room left"],
};

/** What to say of whatever was thrown. Errors are told apart by name, so that nothing heavy is loaded for it. */
export function toFailure(thrown: unknown): Failure {
  if (thrown instanceof CliError) {
    const { message, lines, code, reason, facts, status } = thrown;
    return failure(message, code, reason, facts, status, lines);
  }
  if (!(thrown instanceof Error)) return failure(String(thrown), "INTERNAL", "INTERNAL");
  if (thrown.name === "TercetError") return ofTercet(thrown as import("../error.js").TercetError);
  if (thrown.name === "StorageError") return ofStorage(thrown as import("../../core/storage-error.js").StorageError);
  const { code, path } = thrown as NodeJS.ErrnoException;
  const known = code === undefined ? undefined : FILE_ERRORS[code];
  if (known !== undefined) return failure(`can't use ${path ?? "the file"}: ${known[2]}`, known[0], known[1]);
  return failure(`${thrown.message} (TERCET_DEBUG=1 shows more)`, "INTERNAL", "INTERNAL");
}

function ofTercet(error: import("../error.js").TercetError): Failure {
  const { code, reason } = error;
  return failure(error.message + (HINTS[reason] ?? ""), code, reason, tercetFacts(error));
}

/** What an error of the library says for programs besides code and reason. */
export function tercetFacts({ fields, metadata, retryAfterMs }: import("../error.js").TercetError) {
  return {
    ...(fields.length === 0 ? {} : { fields }),
    ...(Object.keys(metadata).length === 0 ? {} : { metadata }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  };
}

function ofStorage({ kind, message }: import("../../core/storage-error.js").StorageError): Failure {
  const hint = message.includes("schema version") ? "" : STORAGE_HINTS[kind];
  const was = message.includes("is not a SQLite file") ? ". If it was a replica: tercet rebuild FILE" : "";
  return failure(message + hint + was, ...STORAGE[kind]);
}

function failure(
  text: string,
  code: CanonicalCode,
  given: string,
  facts: Readonly<Record<string, unknown>> = {},
  status = FAILED,
  lines: readonly string[] = [],
): Failure {
  const message = oneLine(text);
  const reason = given === "" ? code : given;
  return { status, message, lines: lines.map(oneLine), error: { code, reason, message, ...facts } };
}

const CONTROL = /\p{Cc}+/gu;

/** Text from elsewhere without what a terminal would obey. */
export function oneLine(text: string): string {
  return text.trim().replace(CONTROL, " ");
}
