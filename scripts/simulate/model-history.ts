import type { Told } from "./model-contents.js";
import type { Happening } from "./model-events.js";

/** A change of one item that the server committed. */
export interface Committed {
  /** Counts all commits of all histories, so that a later one has a greater number also after a restore. */
  readonly serial: number;
  readonly revision: number;
  readonly id: string;
  readonly content: Told;
  /** Which changes of applications it may be: one of these. */
  readonly happenings: readonly Happening[];
  /** What was there before. */
  readonly before: Committed | undefined;
}

/** All that the server committed, in one line from the first commit to the present state: what a restore lost is not in it. */
export interface History {
  /** Another number after every restore. */
  readonly line: number;
  readonly commits: readonly Committed[];
  /** Revision of the last commit. */
  readonly head: number;
  /** Tombstones up to here are gone. */
  compacted: number;
  /** Adds what one transaction did. */
  add(committed: Omit<Committed, "before">): void;
  /** The latest change of an item. */
  latest(id: string): Committed | undefined;
  /** The change that the item had at a revision. */
  at(id: string, revision: number): Committed | undefined;
  /** The serial of the last commit up to a revision; 0 where there is none. */
  serialAt(revision: number): number;
  /** Whether it is part of this history. */
  has(serial: number): boolean;
  /** Whether an item ever had this content. */
  held(id: string, content: Told): boolean;
  /** Another line from here on. */
  copy(line: number): History;
}

/** A history that begins with these commits. */
export function createHistory(line: number, begin: readonly Committed[] = [], compactedRevision = 0): History {
  const commits = [...begin];
  const ofId = new Map<string, Committed[]>();
  const serials = new Set<number>();
  let compacted = compactedRevision;

  function enter(committed: Committed): void {
    serials.add(committed.serial);
    const list = ofId.get(committed.id);
    if (list === undefined) ofId.set(committed.id, [committed]);
    else list.push(committed);
  }
  for (const each of commits) enter(each);

  return {
    line,
    commits,
    get head() {
      return commits.at(-1)?.revision ?? 0;
    },
    get compacted() {
      return compacted;
    },
    set compacted(revision) {
      compacted = Math.max(compacted, revision);
    },
    add(made) {
      const committed = { ...made, before: ofId.get(made.id)?.at(-1) };
      commits.push(committed);
      enter(committed);
    },
    latest: (id) => ofId.get(id)?.at(-1),
    at: (id, revision) => ofId.get(id)?.findLast((each) => each.revision <= revision),
    serialAt: (revision) => commits.findLast((each) => each.revision <= revision)?.serial ?? 0,
    has: (serial) => serials.has(serial),
    held: (id, content) => (ofId.get(id) ?? []).some((each) => each.content === content),
    copy: (other) => createHistory(other, commits, compacted),
  };
}
