import { type Content, contentSize } from "../core/content.js";
import { fingerprintOf } from "../core/fingerprint.js";
import { DEFAULT_LIMITS, WHOLE_BYTES } from "../core/limits.js";
import type { ConflictToResolve, Resolution } from "./protocol/operation.js";
import { decodeSettings } from "./protocol/settings.js";
import type { KeptContent } from "./replica/kept-content.js";
import type { ReplicaStore } from "./replica/store.js";
import { invalidField } from "./validate.js";

/**
 * An item that both sides changed. Contents of more than 1 MiB are not at hand: undefined, with their sizes. They can be
 * judged by those and by the times: a size that is undefined is what tells a deletion; `mine`, `theirs` and `hold` work as ever.
 */
export interface ConflictingVersions {
  readonly id: string;
  /** The content that both changed; undefined where there was no item, it is not known any more, or has more than 1 MiB. */
  readonly base: Content | undefined;
  /** What this replica has, and what the server has; undefined where that side deleted the item, or has more than 1 MiB. */
  readonly mine: Content | undefined;
  readonly theirs: Content | undefined;
  /** Bytes of them; undefined where there is none: so one that is set, of a content that is not, tells of a large one. */
  readonly baseSize?: number | undefined;
  readonly mineSize?: number | undefined;
  /** 0 for a large one whose size the server did not say. */
  readonly theirsSize?: number | undefined;
  readonly mineTime: Date;
  readonly theirsTime: Date;
}

/**
 * Judges a conflict: `mine` or `theirs` prevails; `hold` keeps both until somebody resolves it; `{ content }` is a version
 * made of both, and `{ deleted: true }` deletes the item. Versions that give way are kept in conflict records. Items of an
 * atomic group share one fate: held where one is held, else theirs where one is theirs.
 *
 * It is called again for an item that either side changes meanwhile; one that is changed each of eight times is held. It
 * may take its time: the server hears meanwhile that this side is there. It decides also where the collection binds a standard,
 * which is a convention among clients; records and reports name that standard then.
 */
export type Resolver = (conflict: ConflictingVersions) => ResolverAnswer | Promise<ResolverAnswer>;

/** How a resolver ends a conflict. */
export type ResolverAnswer = "mine" | "theirs" | "hold" | { readonly content: Content } | { readonly deleted: true };

/** The operation that asks a resolver about a conflict of this replica. */
export function createResolve(
  store: ReplicaStore,
  resolver: Resolver,
): (conflict: ConflictToResolve) => Promise<Resolution> {
  return async ({ id, theirs, theirsSize, mineTimeUs, theirsTimeUs }) => {
    const mine = store.get(id);
    const base = store.getBase(id);
    const answer: unknown = await resolver({
      id,
      base: smallContent(base),
      mine: smallContent(mine),
      theirs,
      baseSize: base?.size,
      mineSize: mine?.size,
      theirsSize: theirs === undefined ? theirsSize : contentSize(theirs),
      mineTime: new Date(mineTimeUs / 1000),
      theirsTime: new Date(theirsTimeUs / 1000),
    });
    return toResolution(id, answer as ResolverAnswer, itemLimit(store));
  };
}

/** A content that is not large; a large one is not read. */
function smallContent(kept: KeptContent | undefined): Content | undefined {
  return kept === undefined || kept.size > WHOLE_BYTES ? undefined : kept.content;
}

function itemLimit(store: ReplicaStore): number {
  return (decodeSettings(store.state().settings)?.limits ?? DEFAULT_LIMITS).itemBytes;
}

function toResolution(id: string, answer: ResolverAnswer, limit: number): Resolution {
  if (answer === "mine" || answer === "theirs") return { kind: answer };
  if (answer === "hold") return { kind: "held" };
  // What types say, programs in JavaScript may not know.
  const said = typeof answer === "object" && answer !== null ? answer : {};
  const { content, deleted } = said as { readonly content?: unknown; readonly deleted?: unknown };
  if (deleted === true && content === undefined) return { kind: "merged", upsert: undefined };
  const isText = typeof content === "string" && content.isWellFormed();
  if ((!isText && !(content instanceof Uint8Array)) || (deleted !== undefined && deleted !== false)) {
    throw invalidField("resolver", 'must answer "mine", "theirs", "hold", { content } or { deleted: true }');
  }
  if (contentSize(content) > limit) throw invalidField("resolver", `answered a content of over ${limit} bytes`);
  return { kind: "merged", upsert: { content, fingerprint: fingerprintOf(id, content) } };
}
