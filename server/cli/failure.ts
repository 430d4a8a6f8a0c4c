import { StorageError } from "../../core/storage-error.js";

/** What failed: a command of the server's, and how its error object names a failure that is not of the storage. */
export interface FailedCommand {
  readonly command: string;
  readonly reason: string;
  readonly json: boolean;
}

/** Says on standard error why a command failed, as all commands do, and sets the exit status to 1. */
export function reportFailure(error: unknown, { command, reason, json }: FailedCommand): void {
  const failure = toFailure(error, reason);
  const words = json ? JSON.stringify({ error: failure }) : `tercet ${command}: ${failure.message} (${failure.reason})`;
  process.stderr.write(`${words}\n`);
  process.exitCode = 1;
}

/** In the shape that all commands give with --json. */
function toFailure(
  error: unknown,
  reason: string,
): { readonly code: string; readonly reason: string; readonly message: string } {
  const message = error instanceof Error ? error.message : String(error);
  if (!(error instanceof StorageError)) return { code: "UNAVAILABLE", reason, message };
  const codes = {
    full: "RESOURCE_EXHAUSTED",
    exists: "ALREADY_EXISTS",
    foreign: "FAILED_PRECONDITION",
    damaged: "DATA_LOSS",
  } as const;
  const code = error.kind === "busy" || error.kind === "failed" ? "UNAVAILABLE" : codes[error.kind];
  return { code, reason: `STORAGE_${error.kind.toUpperCase()}`, message };
}
