import type { StandardName } from "../sync-options.js";

/** Standards that an exchange can be run by. */
export const STANDARDS: readonly StandardName[] = ["SERVER", "CLIENT", "NEWEST", "MANUAL"];

/** Where an option can also come from, behind its description. */
export const REPLICA = {
  replica: {
    type: "string",
    requiresArg: true,
    demandOption: "name the replica file by --replica FILE or TERCET_REPLICA",
    describe: "Replica file; one process at a time holds it",
  },
} as const;

/** For commands that make the replica file where it is missing. */
export const MAKING = {
  collection: {
    type: "string",
    requiresArg: true,
    describe: "Collection of the replica; makes the file if it is not there",
  },
} as const;

const CONNECTION = {
  timeout: { type: "number", requiresArg: true, describe: "Seconds after which to give up" },
  tls: { type: "boolean", describe: "Connect by TLS" },
  "tls-ca": { type: "string", requiresArg: true, describe: "Trust these authorities only (PEM); turns TLS on" },
  "tls-cert": { type: "string", requiresArg: true, implies: "tls-key", describe: "Certificate to show (PEM)" },
  "tls-key": { type: "string", requiresArg: true, implies: "tls-cert", describe: "Its private key (PEM)" },
} as const;

/** For commands that may ask a server. */
export const SERVER = {
  server: { type: "string", requiresArg: true, describe: "HOST:PORT of the server" },
  ...CONNECTION,
} as const;

/** For commands that need a server. */
export const SERVER_NEEDED = {
  server: {
    type: "string",
    requiresArg: true,
    demandOption: "name the server by --server HOST:PORT or TERCET_SERVER",
    describe: "HOST:PORT of the server",
  },
  ...CONNECTION,
} as const;

/** The change standard by name, in any case. */
export function standardOption(describe: string) {
  return {
    type: "string",
    requiresArg: true,
    choices: STANDARDS,
    coerce: (name: string | undefined) => name?.toUpperCase() as StandardName | undefined,
    describe,
  } as const;
}
