import { closeSync, constants, copyFileSync, fsyncSync, mkdirSync, openSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";

/** Folders of a situation: the server's and the client's files. */
export interface Site {
  readonly directory: string;
  readonly server: string;
  readonly client: string;
}

/** Makes the folders of a site. */
export function makeSite(directory: string): Site {
  const site = { directory, server: join(directory, "server"), client: join(directory, "client") };
  mkdirSync(site.server, { recursive: true });
  mkdirSync(site.client, { recursive: true });
  return site;
}

/** Copies a site whose processes have ended. */
export function copySite(from: Site, directory: string): Site {
  const to = makeSite(directory);
  copyTree(from.server, to.server);
  copyTree(from.client, to.client);
  return to;
}

/** Copies a folder. On the disk before it returns: writing a copy back must not get in the way of what is measured. */
export function copyTree(from: string, to: string): void {
  if (statSync(from).isDirectory()) {
    mkdirSync(to, { recursive: true });
    for (const name of readdirSync(from)) copyTree(join(from, name), join(to, name));
    return;
  }
  copyFileSync(from, to, constants.COPYFILE_FICLONE);
  const file = openSync(to, "r+");
  fsyncSync(file);
  closeSync(file);
}
