import type { Outsider } from "./outsider.js";
import type { Random } from "./random.js";
import type { ServerSide } from "./server-side.js";
import { showWanted, type Wishes } from "./wishes.js";

/** What somebody without a replica does at the server. */
export interface OutsiderActs {
  /** Writes something to all of these items. */
  fill(random: Random, from: readonly string[]): void;
  /** Reads, and writes of what was read, now or earlier. */
  act(random: Random): void;
  /** There and back: an item is deleted, and is there again as it was. */
  goAndReturn(random: Random): void;
}

/** What an outsider needs of the world around it. */
export interface OutsiderWorld {
  readonly ids: readonly string[];
  readonly outsider: Outsider;
  readonly server: ServerSide;
  readonly wishes: Wishes;
  readonly clock: { readonly nowUs: number };
  readonly trace: ((line: string) => void) | undefined;
}

/** The acts of an outsider. */
export function createOutsiderActs({ ids, outsider, server, wishes, clock, trace }: OutsiderWorld): OutsiderActs {
  function fill(random: Random, from: readonly string[]): void {
    const { uid } = server;
    if (uid === undefined) return;
    outsider.read(server.store, uid, from, server.history);
    const wanted = from.map((id) => ({ id, content: wishes.newContent(random, "o") }));
    for (const each of wanted) outsider.write(server.store, uid, [each], clock.nowUs);
  }

  function act(random: Random): void {
    const { uid } = server;
    if (uid === undefined) return;
    if (random.chance(0.4)) outsider.read(server.store, uid, random.some(ids, 4), server.history);
    const wanted = wishes.changes(random, "o", ids);
    if (random.chance(0.6))
      outsider.read(
        server.store,
        uid,
        wanted.map(({ id }) => id),
        server.history,
      );
    trace?.(`  the outsider wants ${showWanted(wanted)}`);
    outsider.write(server.store, uid, wanted, clock.nowUs);
  }

  function goAndReturn(random: Random): void {
    const { uid } = server;
    const id = random.pick(ids);
    const content = server.history.latest(id)?.content;
    if (uid === undefined || content === undefined) return act(random);
    for (const wanted of [undefined, content]) {
      outsider.read(server.store, uid, [id], server.history);
      outsider.write(server.store, uid, [{ id, content: wanted }], clock.nowUs);
    }
  }

  return { fill, act, goAndReturn };
}
