import { existsSync, rmSync, statSync } from "node:fs";
import type { Replica, ReplicaStatus } from "../replica-handle.js";
import { CliError, checkFolder, fileError } from "./failure.js";

/** Which replica a command is about. */
export interface ReplicaArguments {
  readonly replica: string;
  /** Makes the file, if there is none; else must be the replica's. */
  readonly collection?: string | undefined;
}

/** Opens the replica for `work`, and closes it whatever happens. */
export async function withReplica<T>(argv: ReplicaArguments, work: (replica: Replica) => T): Promise<Awaited<T>> {
  const replica = await open(argv);
  try {
    return await work(replica);
  } finally {
    replica.close();
  }
}

/**
 * As `withReplica`; a replica file that was made for work that failed and brought nothing into it is removed. `hasCome`: a
 * server has sent something; the part of a large content that is there, where the next exchange goes on, is counted nowhere.
 */
export async function withNewReplica<T>(
  argv: ReplicaArguments,
  work: (replica: Replica) => Promise<T>,
  hasCome: () => boolean = () => false,
): Promise<T> {
  const made = !existsSync(argv.replica);
  let empty = false;
  try {
    return await withReplica(argv, async (replica) => {
      try {
        return await work(replica);
      } catch (error) {
        empty = made && !hasCome() && holdsNothing(replica.status());
        throw error;
      }
    });
  } finally {
    if (empty) for (const end of ["", "-wal", "-shm"]) rmSync(argv.replica + end, { force: true });
  }
}

/** No change, nothing of a server's, and no server that it belongs to: one that has met a server may have begun to take. */
function holdsNothing({ items, pending, conflicts, held, collectionUid }: ReplicaStatus): boolean {
  return items + pending + conflicts + held === 0 && collectionUid === "";
}

async function open({ replica: path, collection }: ReplicaArguments): Promise<Replica> {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats?.isDirectory() === true) throw fileError(path, "EISDIR");
  const missing = stats === undefined;
  if (missing && collection === undefined) {
    throw new CliError(
      `there is no replica at ${path}. Make one: tercet init --collection NAME --replica ${JSON.stringify(path)}`,
      { code: "NOT_FOUND", reason: "REPLICA_NOT_FOUND" },
    );
  }
  // Not by the public face, which loads gRPC too.
  const { createReplica, openReplica } = await import("../replica-handle.js");
  if (missing && collection !== undefined) {
    checkFolder(path);
    return createReplica(path, { collection });
  }
  const replica = openReplica(path);
  if (collection !== undefined && collection !== replica.collection) {
    replica.close();
    throw new CliError(`${path} is a replica of ${replica.collection}, not of ${collection}`, {
      code: "FAILED_PRECONDITION",
      reason: "OTHER_COLLECTION",
    });
  }
  return replica;
}
