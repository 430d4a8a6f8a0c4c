import { CliError, usageError } from "./failure.js";
import { SERVER } from "./options.js";
import { withReplica } from "./replica.js";

/** Options of commands for conflict records, of the replica or of the server. */
export const PLACES = {
  replica: { type: "string", requiresArg: true, describe: "Replica file" },
  ...SERVER,
  server: {
    type: "string",
    requiresArg: true,
    describe: "HOST:PORT: the records that the server keeps (only as a flag)",
  },
  collection: { type: "string", requiresArg: true, describe: "With --server: of this collection; else the replica's" },
} as const;

/** Whose records are meant. */
export interface PlaceArguments {
  readonly replica: string | undefined;
  readonly collection: string | undefined;
}

/** The replica, which must be named. */
export function replicaOf({ replica }: PlaceArguments): { readonly replica: string } {
  if (replica === undefined) throw usageError("name the replica file by --replica FILE or TERCET_REPLICA");
  return { replica };
}

/** The collection that is named, else the replica's. */
export function collectionOf(argv: PlaceArguments): Promise<string> {
  const { collection } = argv;
  if (collection !== undefined) return Promise.resolve(collection);
  if (argv.replica === undefined) throw usageError("say of which collection by --collection NAME, or --replica FILE");
  return withReplica(replicaOf(argv), (replica) => replica.collection);
}

/** Refuses what is no number of a record. */
export function checkNumber(number: number): number {
  if (!Number.isSafeInteger(number) || number < 1) throw usageError("the number of a record is 1 or more");
  return number;
}

/** There is no such record. */
export function noRecord(number: number): CliError {
  const message = `there is no conflict record ${number}; \`tercet conflicts list\` lists them`;
  return new CliError(message, { code: "NOT_FOUND", reason: "CONFLICT_NOT_FOUND" });
}
