import { readFileSync } from "node:fs";
import type { Collection } from "../../gen/tercet/v1/collection.js";
import { tlsFault } from "../check-tls.js";
import type { CallBounds, Connection, ConnectOptions } from "../connection.js";
import type { CanonicalCode } from "../error.js";
import type { ReplicaStatus } from "../replica-handle.js";
import { CliError, type Failure, toFailure, USAGE, usageError } from "./failure.js";
import { explainRefusal } from "./sync-failure.js";

/** Which server, and how to reach it. */
export interface ServerArguments {
  readonly server: string;
  readonly timeout?: number | undefined;
  readonly tls?: boolean | undefined;
  readonly tlsCa?: string | undefined;
  readonly tlsCert?: string | undefined;
  readonly tlsKey?: string | undefined;
}

/** Seconds for a plain call where nothing else is said. */
const CALL_SECONDS = 20;

/** A connection to the server for `work`, closed whatever happens. `bounds` are for each of its calls. */
export async function withServer<T>(
  argv: ServerArguments,
  work: (connection: Connection, bounds: CallBounds) => Promise<T>,
): Promise<T> {
  const { connection, bounds } = await open(argv);
  try {
    return await work(connection, bounds);
  } finally {
    await connection.close();
  }
}

/** Refuses what is no address of a server before anything is done. */
export function checkAddress(address: string): void {
  const [, host, port] = /^(\[[\da-fA-F:.]+\]|[^:/\s]+)(?::(\d+))?$/.exec(address) ?? [];
  if (host === undefined) {
    throw usageError(`"${address}" is no address of a server: HOST:PORT, for example 127.0.0.1:7727`);
  }
  if (port !== undefined && !(Number(port) >= 1 && Number(port) <= 65535)) {
    throw usageError(`"${address}": a port is a number from 1 to 65535`);
  }
}

async function open(argv: ServerArguments): Promise<{ connection: Connection; bounds: CallBounds }> {
  checkAddress(argv.server);
  const timeoutMs = (timeoutOf(argv) ?? CALL_SECONDS) * 1000;
  const options = connectOptions(argv);
  const { connect } = await import("../index.js");
  return { connection: connect(argv.server, options), bounds: { timeoutMs } };
}

/** The pages of a list that the server gives in pages. */
export async function* pagesFrom<P extends { readonly nextPageToken: string }>(
  argv: ServerArguments,
  read: (connection: Connection, pageToken: string, bounds: CallBounds) => Promise<P>,
): AsyncGenerator<P> {
  const { connection, bounds } = await open(argv);
  try {
    let page = await read(connection, "", bounds);
    yield page;
    while (page.nextPageToken !== "") {
      page = await read(connection, page.nextPageToken, bounds);
      yield page;
    }
  } finally {
    await connection.close();
  }
}

/** The time limit in seconds, if there is one. */
export function timeoutOf({ timeout }: ServerArguments): number | undefined {
  if (timeout !== undefined && !(timeout > 0)) throw usageError("--timeout must be a number of seconds above 0");
  return timeout;
}

/** TLS as the flags say. */
export function connectOptions({ tls, tlsCa, tlsCert, tlsKey }: ServerArguments): ConnectOptions {
  if (tlsCa === undefined && tlsCert === undefined) return tls === true ? { tls: true } : {};
  const paths = { ca: tlsCa, cert: tlsCert, key: tlsKey };
  const read = Object.entries(paths).flatMap(([part, path]) =>
    path === undefined ? [] : [[part, readPem(part, path)]],
  );
  const options: ConnectOptions = { tls: Object.fromEntries(read) };
  const fault = tlsFault(options.tls);
  if (fault === undefined || fault.part === "") return options;
  throw usageError(`--tls-${fault.part}: ${paths[fault.part]} ${fault.description}`);
}

function readPem(part: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    const { message, error: facts } = toFailure(error);
    const { code, reason } = facts as { readonly code: CanonicalCode; readonly reason: string };
    throw new CliError(`--tls-${part}: ${message}`, { code, reason }, { cause: error });
  }
}

/** A server that was asked for and can't be compared with: why, as the object of `--json` and in words. */
export interface Unreachable {
  readonly error: Failure["error"];
  readonly words: string;
}

/** What the server says of the collection of a replica, or why it says nothing. Bad arguments are thrown. */
export async function askServer(
  argv: ServerArguments,
  status: ReplicaStatus,
): Promise<{ readonly theirs: CollectionView } | { readonly unreachable: Unreachable }> {
  try {
    return { theirs: await getCollection(argv, status.collection) };
  } catch (thrown) {
    const { status: exit, error, message } = toFailure(explainRefusal(thrown, status, argv.server));
    if (exit === USAGE) throw thrown;
    const why = message.replace(/^can't reach a Tercet server at \S+: /, "");
    const silent = error["code"] === "UNAVAILABLE" || error["code"] === "DEADLINE_EXCEEDED";
    const words = `${argv.server} ${silent ? "unreachable" : "can't be compared"}: ${why}`;
    return { unreachable: { error, words } };
  }
}

/** What the server says of a collection. */
export function getCollection(argv: ServerArguments, name: string): Promise<CollectionView> {
  return withServer(argv, async (connection, bounds) => {
    const { METHODS } = await import("../index.js");
    const { collection } = await connection.unary(METHODS.getCollection, { collection: name }, bounds);
    if (collection === undefined) throw new Error(`${connection.address} did not say anything of ${name}`);
    return toView(collection);
  });
}

/** A collection in the words of `--json`. */
export interface CollectionView {
  readonly name: string;
  readonly uid: string;
  /** Null: each client chooses. */
  readonly standard: string | null;
  readonly revision: number;
  readonly count: number;
  readonly fingerprint: string;
  readonly createTime: string;
  readonly compactedRevision: number;
  readonly conflicts: number;
}

/** The message as a view. */
export async function toView(collection: Collection): Promise<CollectionView> {
  const { standardName } = await import("../../core/standard.js");
  const { name, uid, standard, revision, fingerprint, createTimeUs, compactedRevision, conflicts } = collection;
  return {
    name,
    uid: uid.toString("hex"),
    standard: standard === 0 ? null : standardName(standard),
    revision,
    count: fingerprint?.count ?? 0,
    // No items: the sum travels as empty and is zero.
    fingerprint: (fingerprint?.sum.toString("hex") ?? "").padEnd(64, "0"),
    createTime: new Date(createTimeUs / 1000).toISOString(),
    compactedRevision,
    conflicts,
  };
}
