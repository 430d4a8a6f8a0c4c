import type { MemoryReplica } from "../../client/replica/memory.js";
import type { Content } from "../../core/content.js";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import { fingerprint } from "./independent.js";
import type { Json } from "./json-text.js";
import { type OnTheWay, record } from "./record.js";
import { newReplica } from "./replica-state.js";
import { createServerWorld, emptyServer, type ServerEvent, type ServerWorld } from "./server-world.js";
import { CLOCK_US } from "./sides.js";

/** A transcript: a story of one exchange or several. */
export interface Scenario {
  /** Name of its file. */
  readonly name: string;
  readonly description: string;
  /** Records its exchanges. */
  readonly exchanges: () => readonly Json[];
}

export const SERVER = ChangeStandard.CHANGE_STANDARD_SERVER;
export const CLIENT = ChangeStandard.CHANGE_STANDARD_CLIENT;
export const NEWEST = ChangeStandard.CHANGE_STANDARD_NEWEST;
export const MANUAL = ChangeStandard.CHANGE_STANDARD_MANUAL;

/** Ids with contents; null deletes. */
export type Changes = Readonly<Record<string, Content | null>>;

const GROUP_LIMITS = { items: 1000, bytes: 1024 * 1024 };

/** A server and a replica of it, and what may happen to them. Times grow with everything that happens. */
export interface World {
  readonly server: ServerWorld;
  readonly replica: MemoryReplica;
  /** The application changes items, each by itself; with `group` as an atomic group. */
  change(changes: Changes, group?: "group"): void;
  /** Somebody else changes items at the server: a commit for each; with `group` one for all. */
  elsewhere(changes: Changes, group?: "group"): void;
  /** An exchange that is not recorded. */
  sync(options?: OnTheWay): void;
  /** An exchange that is recorded. */
  record(options?: OnTheWay): Json;
}

/** Begins a world; `history` that of the server, else an empty collection. */
export function world(server: ServerWorld = emptyServer(START_US), replica = newReplica()): World {
  let clock = START_US;
  const tick = (): number => {
    clock += 1_000_000;
    return clock;
  };
  return {
    server,
    replica,
    change(changes, group) {
      const writes = Object.entries(changes).map(([id, content]) => {
        return { id, upsert: content === null ? undefined : { content, fingerprint: fingerprint(id, content) } };
      });
      if (group !== undefined) replica.write(writes, tick(), GROUP_LIMITS);
      else for (const write of writes) replica.write([write], tick());
    },
    elsewhere(changes, group) {
      if (group !== undefined) server.commit(changes, tick());
      else for (const [id, content] of Object.entries(changes)) server.commit({ [id]: content }, tick());
    },
    sync: (options = {}) => void record(server, replica, options),
    record: (options = {}) => record(server, replica, options),
  };
}

/** Everything begins an hour before the exchanges. */
const START_US = CLOCK_US - 3_600_000_000;

/** A world in which both sides hold these items. */
export function equalWorld(items: Readonly<Record<string, Content>>): World {
  const made = world();
  made.elsewhere(items, Object.keys(items).length > 20 ? "group" : undefined);
  made.sync();
  return made;
}

/** So many items with small contents. */
export function numbered(count: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, at) => [`item-${String(at).padStart(4, "0")}`, `${at}`]));
}

/** The server as its history made it up to now, started anew: from a backup, or after a restart. */
export function copyOf(server: ServerWorld, epoch: number): ServerWorld {
  const start: ServerEvent = { kind: "start", epoch: Buffer.alloc(8, epoch) };
  return createServerWorld([...server.history, start]);
}

/** Moves the tombstone horizon to the server's head. */
export function compact(server: ServerWorld): void {
  const revisions = server.history.map((event) => (event.kind === "commit" ? event.revision : 0));
  server.happen({ kind: "compact", revision: Math.max(0, ...revisions) });
}
