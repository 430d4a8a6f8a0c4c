import type { ReplicaStatus } from "../replica-handle.js";
import type { CollectionView } from "./server.js";

/**
 * How a replica stands to the server's collection, by count, revision and fingerprint: `equal` but for what is pending
 * here; `behind` where the server went on since; `different` where it has not, has another history, or is another
 * collection of that name; `recovering` where that is not known, as a recovery was cut.
 */
export type Standing = "equal" | "behind" | "different" | "recovering";

/** Compares without an exchange. */
export function compareSides(replica: ReplicaStatus, server: CollectionView): Standing {
  const { collectionUid, revision, recovering, agreed } = replica;
  if (collectionUid !== "" && collectionUid !== server.uid) return "different";
  if (recovering) return "recovering";
  if (server.count === agreed.count && server.fingerprint === agreed.fingerprint) return "equal";
  return server.revision > revision ? "behind" : "different";
}
