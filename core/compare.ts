import { sameFingerprint } from "./fingerprint.js";

/** What one side last agreed on, or now holds: a fingerprint (undefined: no item), as of a revision of the server. */
export interface KnownState {
  readonly fingerprint: Uint8Array | undefined;
  readonly revision: number;
}

/** What the client knows of an item. */
export interface ClientFace {
  /** Its own change, if it has one: what the item is now (undefined: deleted). */
  readonly pending: { readonly fingerprint: Uint8Array | undefined } | undefined;
  /** What it last agreed on with the server; undefined: it knows of nothing. */
  readonly base: KnownState | undefined;
  /** What it sent and had no verdict on. */
  readonly sendings: readonly (Uint8Array | undefined)[];
}

/**
 * What step 2 finds for one item whose server's state is told:
 *
 *   - `known`: the client has been there already, or the deletion is of an item that it never had;
 *   - `same`: unchanged here, and there a new revision of the same content;
 *   - `theirs`: changed only there; the client takes it;
 *   - `agreed`: changed on both sides, into the same; nothing moves;
 *   - `arrived`: what is there is what this client sent earlier (R5), changed here again since; the client sends its own;
 *   - `new`: created here, and all that is there is the deletion of an item that this client never had;
 *   - `lost`: what the client had agreed on was lost by the server with its history, and the server's state dates from
 *     before; the client offers its own again (recovery only);
 *   - `conflict`: changed on both sides, into different things; the change standard decides.
 */
export type Comparison = "known" | "same" | "theirs" | "agreed" | "arrived" | "new" | "lost" | "conflict";

/** The comparison table of the protocol, for an item that the server told of. One that it did not tell of is unchanged there. */
export function compare(client: ClientFace, server: KnownState): Comparison {
  if (client.base !== undefined && server.revision <= client.base.revision) return "known";
  if (client.pending === undefined) {
    if (!sameFingerprint(client.base?.fingerprint, server.fingerprint)) return "theirs";
    return server.fingerprint === undefined ? "known" : "same";
  }
  const found = pendingAgainst(client, client.pending, server);
  if (found !== "conflict") return found;
  // A deletion of an item that this side never had is nothing to tell. But a creation that may have arrived may be what
  // was deleted.
  const neverHad = client.base === undefined && client.sendings.length === 0;
  return neverHad && server.fingerprint === undefined ? "new" : "conflict";
}

/**
 * The same in recovery. `fork` is the last revision that the histories of both sides share. What the client agreed on up
 * to it is as real as the server's state; what it agreed on later the server lost, and numbers of revisions say nothing then.
 * `lostAfter`: the server's states up to it are older than what it lost, where a recovery had been begun at an earlier fork.
 */
export function compareRecovered(client: ClientFace, server: KnownState, fork: number, lostAfter = fork): Comparison {
  const { base, pending } = client;
  if (base === undefined) return compare(client, server);
  if (base.revision <= fork) {
    if (server.revision > base.revision) return compare(client, server);
    if (sameFingerprint(base.fingerprint, server.fingerprint)) return "known";
    // The base is not what the server ever held at that revision: a fault of this side's.
    return pending === undefined ? "theirs" : pendingAgainst(client, pending, server);
  }
  if (sameFingerprint(base.fingerprint, server.fingerprint)) return "same";
  const found = pending === undefined ? "conflict" : pendingAgainst(client, pending, server);
  return found === "conflict" && server.revision <= lostAfter ? "lost" : found;
}

function pendingAgainst(
  client: ClientFace,
  pending: NonNullable<ClientFace["pending"]>,
  server: KnownState,
): "agreed" | "arrived" | "conflict" {
  if (sameFingerprint(pending.fingerprint, server.fingerprint)) return "agreed";
  return client.sendings.some((sent) => sameFingerprint(sent, server.fingerprint)) ? "arrived" : "conflict";
}
