import type { ReplicaStatus } from "../replica-handle.js";
import type { CollectionView } from "./server.js";

/**
 * How a replica stands to the server's collection, by count, revision and fingerprint: `equal` but for what is pending
 * here; `behind` where the server went on since; `different` where it has not, or has another history.
 */
export type Standing = "equal" | "behind" | "different";

/** Compares without an exchange. */
export function compareSides({ revision, agreed }: ReplicaStatus, server: CollectionView): Standing {
  if (server.count === agreed.count && server.fingerprint === agreed.fingerprint) return "equal";
  return server.revision > revision ? "behind" : "different";
}
