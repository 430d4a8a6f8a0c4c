import type { Resolution } from "../../client/protocol/operation.js";
import type { ServerOperation, ServerResult } from "../../server/protocol/operation.js";
import type { CommitJudge } from "./judge-commit.js";
import type { Setup } from "./plan.js";
import type { Random } from "./random.js";
import type { Sabotage } from "./sabotage.js";
import type { ServerSide } from "./server-side.js";
import type { Slot } from "./slot.js";
import type { Statistics } from "./statistics.js";

/** The time, everywhere. */
export interface Clock {
  nowUs: number;
  /** How often it has jumped: whoever looks at it after that may find that it waited for too long. */
  jumps: number;
}

/** What an exchange needs of the world around it. */
export interface ExchangeWorld {
  readonly ids: readonly string[];
  readonly setup: Setup;
  readonly judge: CommitJudge;
  readonly server: ServerSide;
  readonly clock: Clock;
  readonly sabotage: Sabotage | undefined;
  readonly statistics: Statistics;
  readonly trace: ((line: string) => void) | undefined;
  readonly sqlite: boolean;
  applicationWrites(slot: Slot, random: Random): void;
  /** How the application ends a conflict that it is asked to judge. */
  resolve(slot: Slot, id: string, random: Random): Resolution;
  runOnServer(operation: ServerOperation): ServerResult;
  serverCrashed(): void;
}

/** How one exchange goes that is under way. */
export interface Progress {
  /** It has ended, or one side is gone. */
  over: boolean;
  /** Something befell it after which it may end with a fault. */
  disturbed: boolean;
  /** The head when the server was asked to compare ranges, until what it found is stored. */
  answeredFrom: number | undefined;
}
