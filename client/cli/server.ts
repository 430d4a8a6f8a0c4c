import { readFileSync } from "node:fs";
import type { Collection } from "../../gen/tercet/v1/collection.js";
import type { CallBounds, Connection, ConnectOptions } from "../connection.js";
import { usageError } from "./failure.js";

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

async function open(argv: ServerArguments): Promise<{ connection: Connection; bounds: CallBounds }> {
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
  return {
    tls: {
      ...(tlsCa === undefined ? {} : { ca: readFileSync(tlsCa) }),
      ...(tlsCert === undefined || tlsKey === undefined
        ? {}
        : { cert: readFileSync(tlsCert), key: readFileSync(tlsKey) }),
    },
  };
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
