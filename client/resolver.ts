import { type Content, contentSize } from "../core/content.js";
import { fingerprintOf } from "../core/fingerprint.js";
import { DEFAULT_LIMITS } from "../core/limits.js";
import { Limits } from "../gen/tercet/v1/sync.js";
import type { ConflictToResolve, Resolution } from "./protocol/operation.js";
import type { ReplicaStore } from "./replica/store.js";
import { invalidField } from "./validate.js";

/** An item that both sides changed. */
export interface ConflictingVersions {
  readonly id: string;
  /** The content that both changed; undefined where there was no item, or where it is not known any more. */
  readonly base: Content | undefined;
  /** What this replica has, and what the server has; undefined where that side deleted the item. */
  readonly mine: Content | undefined;
  readonly theirs: Content | undefined;
  readonly mineTime: Date;
  readonly theirsTime: Date;
}

/**
 * Judges a conflict: `mine` or `theirs` prevails; `hold` keeps both until somebody resolves it; `{ content }` is a version
 * made of both, and `{ deleted: true }` deletes the item. Versions that give way are kept in conflict records. Items of an
 * atomic group share one fate: held where one is held, else theirs where one is theirs.
 *
 * It is called again for an item that either side changes meanwhile.
 */
export type Resolver = (conflict: ConflictingVersions) => ResolverAnswer | Promise<ResolverAnswer>;

/** How a resolver ends a conflict. */
export type ResolverAnswer = "mine" | "theirs" | "hold" | { readonly content: Content } | { readonly deleted: true };

/** The operation that asks a resolver about a conflict of this replica. */
export function createResolve(
  store: ReplicaStore,
  resolver: Resolver,
): (conflict: ConflictToResolve) => Promise<Resolution> {
  return async ({ id, theirs, mineTimeUs, theirsTimeUs }) => {
    const answer: unknown = await resolver({
      id,
      base: store.getBaseContent(id),
      mine: store.get(id)?.content,
      theirs,
      mineTime: new Date(mineTimeUs / 1000),
      theirsTime: new Date(theirsTimeUs / 1000),
    });
    return toResolution(id, answer as ResolverAnswer, itemLimit(store));
  };
}

function itemLimit(store: ReplicaStore): number {
  const { limits } = store.state();
  return limits.length === 0 ? DEFAULT_LIMITS.itemBytes : Limits.decode(limits).itemBytes;
}

function toResolution(id: string, answer: ResolverAnswer, limit: number): Resolution {
  if (answer === "mine" || answer === "theirs") return { kind: answer };
  if (answer === "hold") return { kind: "held" };
  if (typeof answer === "object" && "deleted" in answer) return { kind: "merged", upsert: undefined };
  const content: unknown = typeof answer === "object" ? answer?.content : undefined;
  const isText = typeof content === "string" && content.isWellFormed();
  if (!isText && !(content instanceof Uint8Array)) {
    throw invalidField("resolver", 'must answer "mine", "theirs", "hold", { content } or { deleted: true }');
  }
  if (contentSize(content) > limit) throw invalidField("resolver", `answered a content of over ${limit} bytes`);
  return { kind: "merged", upsert: { content, fingerprint: fingerprintOf(id, content) } };
}
