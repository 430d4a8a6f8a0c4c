import type { Told } from "./model-contents.js";

/** A change that some application made: a content it put, or a deletion. */
export interface Happening {
  readonly number: number;
  readonly id: string;
  /** Undefined: a deletion. */
  readonly content: Told;
  /** Who made it. */
  readonly by: string;
  /** What it replaced of the same replica that was still pending: its own earlier change. */
  readonly previous: Happening | undefined;
  /** Everything up to this commit the one who made it may be taken to have seen (History: serial). */
  readonly seen: number;
  /** The commit and content that it was put on top of, by the first of its chain; undefined: on nothing. */
  readonly base: { readonly serial: number; readonly content: Told } | undefined;
  /** The first of this chain of own changes put an item where there was none. */
  creation: boolean;
  readonly modifyTimeUs: number;
  /** Number of the transaction if it was an atomic group of several, else 0. */
  readonly group: number;
  /**
   * A recovery that took everything up to this commit found the item as it was put on top of. It compares states and not
   * what lay between: an item that was there and back in between is to it what it was.
   */
  sameUpTo: number;
  /** It was put on top of this commit, which the server has lost: what was before that had been overcome already. */
  rebased: number;
  /** The content that it was put on top of once more, by a comparison; undefined: by none. */
  onto: { readonly content: Told } | undefined;
  /** In which line of history a replica has heard that the server has it; 0: in none. */
  settled: number;
  /** The application replaced or deleted it, having seen it. */
  superseded: boolean;
  /** It lay unsent in a replica file that was copied or restored: it may be sent once more as if it was new. */
  copied: boolean;
  /** It was pending in a file that was copied or restored: there are two files that may send it, or what replaced it. */
  shared: boolean;
  /** It gave way, and is in a conflict record. */
  recorded: boolean;
  /** The application went back to what was there before: nothing of it is to be sent. */
  withdrawn: boolean;
}

/** A change as it is made. */
export type NewHappening = Omit<
  Happening,
  "number" | "sameUpTo" | "rebased" | "onto" | "settled" | "superseded" | "copied" | "shared" | "recorded" | "withdrawn"
>;

/** All that applications ever did. */
export interface Happenings {
  readonly all: readonly Happening[];
  add(made: NewHappening): Happening;
  /** What a stored state may go back to: by time where that tells, else everything with this content. */
  matching(id: string, content: Told, modifyTimeUs: number | undefined): readonly Happening[];
  /** The changes of a group. */
  ofGroup(group: number): readonly Happening[];
  /** Whether anybody ever put this. */
  exists(id: string, content: Told): boolean;
}

/** Nothing has happened. */
export function createHappenings(): Happenings {
  const all: Happening[] = [];
  const byContent = new Map<string, Happening[]>();
  const byGroup = new Map<number, Happening[]>();

  function keyOf(id: string, content: Told): string {
    return content === undefined ? `-${id}` : `+${id}\0${content}`;
  }

  return {
    all,
    add(made) {
      const happening = {
        ...made,
        number: all.length + 1,
        sameUpTo: 0,
        rebased: 0,
        onto: undefined,
        settled: 0,
        superseded: false,
        copied: false,
        shared: false,
        recorded: false,
        withdrawn: false,
      };
      all.push(happening);
      push(byContent, keyOf(made.id, made.content), happening);
      if (made.group !== 0) push(byGroup, made.group, happening);
      return happening;
    },
    matching(id, content, modifyTimeUs) {
      const found = byContent.get(keyOf(id, content)) ?? [];
      const exact = found.filter((each) => each.modifyTimeUs === modifyTimeUs);
      return exact.length > 0 ? exact : found;
    },
    ofGroup: (group) => byGroup.get(group) ?? [],
    exists: (id, content) => content === undefined || byContent.has(keyOf(id, content)),
  };
}

function push<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}

/** A change and the own earlier changes that it replaced while they were pending, the latest first. */
export function chainOf(happening: Happening): readonly Happening[] {
  const chain: Happening[] = [];
  for (let each: Happening | undefined = happening; each !== undefined; each = each.previous) chain.push(each);
  return chain;
}

/** Whether one is the other, or an own later change on top of it. */
export function descendsFrom(later: Happening, earlier: Happening): boolean {
  return chainOf(later).includes(earlier);
}
