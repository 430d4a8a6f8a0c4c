// What a contender is: two modules, one for the server's process and one for the client's, that do the same work each in its
// own way. The plain JavaScript ones in contenders/ implement the same interfaces.
import type { openDatabase } from "../../core/sqlite.js";
import type { IdKind } from "./items.js";

/** What a sync is about. Those that find out by themselves what is to be done do not need to know. */
export type Action =
  | "pull"
  | "push"
  | "changes"
  | "nothing"
  | "recover"
  | "large-pull"
  | "large-push"
  | "other-changes";

/** What both sides are started with. */
export interface Place {
  /** Where the files go; there, and theirs alone. */
  readonly directory: string;
  readonly ids: IdKind;
  /** For contenders that are measured in more than one way, for example `full`. */
  readonly variant: string;
  /** Items that the collection will have: for those that must say so beforehand. */
  readonly items: number;
  /** SQLite, the same for all. */
  readonly openDatabase: typeof openDatabase;
}

/** What a client is started with, besides. */
export interface ClientPlace extends Place {
  /** `host:port` of the server; undefined while items are only put. */
  readonly address: string | undefined;
}

/** A contender's server. */
export interface ContenderServer {
  /** `host:port` */
  readonly address: string;
  /** The process that does the work, where it is another one than this. */
  readonly pid?: number;
  stop(): Promise<void>;
}

/** What a sync moved, as far as the contender can tell. */
export interface Moved {
  readonly sent: number;
  readonly received: number;
}

/** A contender's client with its replica. */
export interface ContenderClient {
  /** Puts items into the replica alone. Called with thousands at a time. */
  put(items: readonly (readonly [id: string, content: string])[]): void | Promise<void>;
  /** Makes the connection ready, without exchanging items. */
  warm(): Promise<void>;
  /** Makes both sides equal, in both directions. */
  sync(action: Action): Promise<Moved>;
  /** Takes from the replica, or makes the server refuse, what tells from where to go on. */
  forget?(): void | Promise<void>;
  /** Puts one large item, from a file. */
  putLarge?(id: string, path: string): Promise<void>;
  /** Bytes of a large item. */
  sizeOf?(id: string): number | Promise<number>;
  /** Items in the replica. */
  count(): number | Promise<number>;
  get(id: string): string | undefined | Promise<string | undefined>;
  close(): void | Promise<void>;
}

/** What a server's module exports. */
export interface ServerModule {
  startContender(place: Place): Promise<ContenderServer>;
}

/** What a client's module exports. */
export interface ClientModule {
  openContender(place: ClientPlace): ContenderClient | Promise<ContenderClient>;
}
