import type { ChangeStandard } from "../../gen/tercet/v1/item.js";
import type { Limits } from "../../gen/tercet/v1/sync.js";

/** What the client's side of an exchange is given. */
export interface ClientExchangeConfig {
  /** The standard that the caller would like; UNSPECIFIED leaves it to the collection. */
  readonly standard: ChangeStandard;
  /** Create the collection if the server does not have it. */
  readonly create: boolean;
  /** Where the replica's collection was deleted: fill the one of its name, made anew if need be, with what the replica has. */
  readonly recreate: boolean;
  /** Who is calling, for the server's log. */
  readonly client: string;
  /** What the client would like; what is left out is no wish. */
  readonly limits: Partial<Limits>;
  /** How long the server may leave the client waiting, in microseconds. */
  readonly stepTimeoutUs: number;
  /**
   * `dry-run`: finds out what would move, and how conflicts would end, and changes nothing on either side. `verify`: compares
   * what the replica last agreed on with what the server has, range by range, and changes nothing either.
   */
  readonly mode: "sync" | "dry-run" | "verify";
  /**
   * The exchange stays open after its proof, with the mode `sync`: it takes changes as they come, and sends what the
   * application changes (`notify`), until `leave`.
   */
  readonly live: boolean;
  /**
   * What a change of the server's history does, which was restored to an earlier time: what it lost is offered to it again,
   * or goes into conflict records here (`follow`), or the exchange ends with TOKEN_OTHER_HISTORY (`stop`).
   */
  readonly onHistoryChange: "offer" | "follow" | "stop";
  /** The application judges conflicts by itself (the operation `resolve`), whatever the standard in force. */
  readonly resolves: boolean;
}
