import {
  closeSync,
  constants,
  copyFileSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
} from "node:fs";
import { join } from "node:path";
import { connect, METHODS } from "../../client/index.js";
import { runJob, withServer } from "./processes.js";

/** Name of the collection. */
export const COLLECTION = "figures";

/** Files of a situation: a server's data, the replica that will be measured, and another one. */
export interface Site {
  readonly directory: string;
  readonly server: string;
  readonly replica: string;
  readonly other: string;
}

/** Where a site's files are. */
export function siteIn(directory: string): Site {
  return {
    directory,
    server: join(directory, "server"),
    replica: join(directory, "replica.sqlite"),
    other: join(directory, "other.sqlite"),
  };
}

/** A server and two replicas that all hold the same: the other one made it and pushed, the measured one pulled. */
export async function makeBase(directory: string, items: number): Promise<Site> {
  const site = siteIn(directory);
  mkdirSync(site.directory, { recursive: true });
  await withServer(site.server, async (server) => {
    await runJob({ kind: "make", file: site.other, collection: COLLECTION, server, items });
    await runJob({ kind: "make", file: site.replica, collection: COLLECTION, server });
  });
  return site;
}

/** Copies files of a site whose processes have ended. */
export function copySite(from: Site, directory: string, parts: readonly (keyof Site)[]): Site {
  const to = siteIn(directory);
  mkdirSync(directory, { recursive: true });
  for (const part of parts) copy(from[part], to[part]);
  return to;
}

/** On the disk before it returns: writing a copy back must not get in the way of what is measured. */
function copy(from: string, to: string): void {
  if (statSync(from).isDirectory()) {
    mkdirSync(to, { recursive: true });
    for (const name of readdirSync(from)) copy(join(from, name), join(to, name));
    return;
  }
  copyFileSync(from, to, constants.COPYFILE_FICLONE);
  const file = openSync(to, "r+");
  fsyncSync(file);
  closeSync(file);
}

/** Removes a directory with all that is in it. */
export function remove(directory: string): void {
  // A server that was killed a moment ago may still be writing.
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
}

/** Forgets deletions up to the server's head: checkpoints before it are refused from now on. */
export async function compactThroughHead(server: string): Promise<void> {
  const connection = connect(server);
  try {
    const horizon = { $case: "throughRevision", value: Number.MAX_SAFE_INTEGER } as const;
    await connection.unary(METHODS.compactCollection, { collection: COLLECTION, horizon });
  } finally {
    await connection.close();
  }
}
