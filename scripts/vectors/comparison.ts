import { fingerprint, hex } from "./independent.js";
import type { Json } from "./json-text.js";

/** A state by the name of its content; null: no item, or deleted. */
type Content = "old" | "mine" | "theirs" | "sent" | null;

interface Base {
  readonly content: Content;
  readonly revision: number;
}

interface Case {
  readonly base: Base | undefined;
  /** Undefined: no change of its own. */
  readonly pending: Content | undefined;
  readonly sendings: readonly Content[];
  readonly server: Base;
  readonly fork?: number;
}

/** What is found, and why. The rules are those of the protocol, from the first that fits on. */
interface Found {
  readonly comparison: string;
  readonly because: string;
}

/** What a pending change finds that the server's state is newer than the base of. */
function pendingCase({ pending, base, sendings, server }: Case): Found {
  if (pending === server.content) return { comparison: "agreed", because: "both sides made the same of it" };
  if (sendings.includes(server.content)) {
    return {
      comparison: "arrived",
      because: "the server has what this client sent earlier, and it was changed here since",
    };
  }
  if (server.content === null && base === undefined && sendings.length === 0) {
    return { comparison: "new", because: "created here; what was deleted there this client never had" };
  }
  return { comparison: "conflict", because: "changed on both sides, into different things" };
}

/** In an exchange that goes on from a checkpoint. */
function ordinary(each: Case): Found {
  const { base, pending, server } = each;
  if (base !== undefined && server.revision <= base.revision) {
    return { comparison: "known", because: "the base is of this revision or a later one" };
  }
  if (pending !== undefined) return pendingCase(each);
  if ((base?.content ?? null) !== server.content) return { comparison: "theirs", because: "changed only there" };
  if (server.content === null) return { comparison: "known", because: "deleted there, and not here either" };
  return { comparison: "same", because: "unchanged here, and a new revision of the same content there" };
}

/** In recovery. */
function recovered(each: Case): Found {
  const { base, pending, server, fork = 0 } = each;
  if (base === undefined) return ordinary(each);
  const equal = base.content === server.content;
  if (base.revision <= fork) {
    if (server.revision > base.revision) return ordinary(each);
    if (equal) return { comparison: "known", because: "the base is what the server holds" };
    if (pending !== undefined) return pendingCase(each);
    return {
      comparison: "theirs",
      because: "the base is of the common history and not what the server held: a fault here",
    };
  }
  if (equal)
    return { comparison: "same", because: "agreed on after the fork, and the server has it like this all the same" };
  const found = pending === undefined ? undefined : pendingCase(each);
  if (found !== undefined && found.comparison !== "conflict") return found;
  if (server.revision <= fork) {
    return { comparison: "lost", because: "the server lost what was agreed on; its own state is from before the fork" };
  }
  return {
    comparison: "conflict",
    because: "the server lost what was agreed on, and has changed the item since the fork",
  };
}

const PENDINGS: readonly (Content | undefined)[] = [undefined, "mine", "old", null];
const STATES: readonly Content[] = ["old", "mine", "theirs", "sent", null];

/** Every cell that makes sense, for a base at 5. */
function cases(bases: readonly (Base | undefined)[], revisions: readonly number[], fork?: number): Case[] {
  return bases.flatMap((base) =>
    PENDINGS.flatMap((pending) => {
      // Without a sending in the air there is nothing pending that is what the base is; nor is a deletion of nothing.
      const sendingsOf: readonly (readonly Content[])[] =
        pending === undefined
          ? [[]]
          : pending === (base?.content ?? null)
            ? [["sent"]]
            : [[], ["sent"], ["sent", null]];
      return sendingsOf.flatMap((sendings) =>
        revisions.flatMap((revision) =>
          STATES.map((content): Case => {
            const server = { content, revision };
            return { base, pending, sendings, server, ...(fork === undefined ? {} : { fork }) };
          }),
        ),
      );
    }),
  );
}

function toJson(each: Case, found: Found): Json {
  const { base, pending, sendings, server, fork } = each;
  return {
    client: {
      ...(base === undefined ? {} : { base: { ...base } }),
      ...(pending === undefined ? {} : { pending: { content: pending } }),
      sendings,
    },
    server: { ...server },
    ...(fork === undefined ? {} : { fork }),
    comparison: found.comparison,
    because: found.because,
  };
}

/** comparison.json */
export function comparisonVectors(): Json {
  const FORK = 5;
  const plain = cases([undefined, { content: "old", revision: 5 }, { content: null, revision: 5 }], [4, 5, 6]);
  const before = { content: "old", revision: 4 } as const;
  const after = { content: "old", revision: 9 } as const;
  const gone = { content: null, revision: 9 } as const;
  const forked = cases([undefined, before, after, gone], [3, 4, 6, 12], FORK);
  const names = ["old", "mine", "theirs", "sent"];
  return {
    description: "Step 2: what the client finds for one item whose server's state it was told.",
    format: [
      "contents: what the names of contents below stand for, as fingerprints in hex of the item `x`. null is no item, or a",
      "deleted one; two nulls are equal.",
      "cases: `client.base`: what the client last agreed on, and as of which revision of the server (left out: it knows of",
      "nothing). `client.pending`: what its own change made of the item (left out: it has none). `client.sendings`: what it",
      "sent and had no verdict on. `server`: the state that was told. `fork`: in recovery only, the last revision that both",
      "histories share. `comparison` is what is found, `because` says why in words.",
      "comparisons: what they mean, and what the client does.",
    ],
    contents: Object.fromEntries(names.map((name) => [name, hex(fingerprint("x", name))])),
    comparisons: {
      known: "nothing to do",
      same: "the base moves to the told revision",
      theirs: "the client takes the server's state",
      agreed: "the pending change is settled at the told revision, nothing moves",
      arrived: "the told state becomes the base, and the pending change is sent on it",
      new: "the pending change is sent as a creation on the told revision",
      lost: "the client offers its own state again (or follows the server, or stops, as the user chose)",
      conflict: "the change standard decides",
    },
    cases: plain.map((each) => toJson(each, ordinary(each))),
    recoveryCases: forked.map((each) => toJson(each, recovered(each))),
  };
}
