import type { Wanted } from "./applications.js";
import type { Told } from "./model-contents.js";
import type { Happenings } from "./model-events.js";
import type { Setup } from "./plan.js";
import type { Random } from "./random.js";

/** What somebody may want items to be. */
export interface Wishes {
  /** A content that nobody has written before. */
  newContent(random: Random, by: string): string;
  /** Changes of some of these items: mostly to something new, at times to what it has been before, or to nothing. */
  changes(random: Random, by: string, from: readonly string[]): readonly Wanted[];
}

/** The wishes of everybody in a history. */
export function createWishes({ largeShare }: Pick<Setup, "largeShare">, happenings: Happenings): Wishes {
  let contents = 0;

  function newContent(random: Random, by: string): string {
    contents += 1;
    const padding = random.chance(largeShare) ? random.int(2000, 7000) : random.pick([0, 0, 20, 60, 400]);
    return `${by}#${contents}|${"x".repeat(padding)}`;
  }

  /** What somebody may want an item to be: mostly something new, at times what it has been before. */
  function wantedContent(random: Random, id: string, by: string): Told {
    if (random.chance(0.25)) return undefined;
    const earlier = random.chance(0.12) ? happenings.all.filter((each) => each.id === id) : [];
    return earlier.length > 0 ? random.pick(earlier).content : newContent(random, by);
  }

  function changes(random: Random, by: string, from: readonly string[]): readonly Wanted[] {
    const count = random.weighted([
      [6, 1],
      [2, 2],
      [1, 3],
      [0.5, 5],
    ] as const);
    return random.some(from, count).map((id) => ({ id, content: wantedContent(random, id, by) }));
  }

  return { newContent, changes };
}

/** Changes as a trace shows them. */
export function showWanted(changes: readonly Wanted[]): string {
  return changes
    .map(({ id, content }) => `"${id}"=${content === undefined ? "nothing" : content.slice(0, content.indexOf("|"))}`)
    .join(", ");
}
