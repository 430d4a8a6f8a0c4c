import { DEFAULT_LIMITS } from "../../core/limits.js";
import type { ChangeStandard } from "../../gen/tercet/v1/item.js";
import { type Faults, NO_FAULTS } from "./faults.js";
import type { Setup } from "./plan.js";
import type { Random } from "./random.js";
import type { SessionConfig } from "./session.js";

/** How long each side waits for the other, in microseconds. */
export const STEP_TIMEOUT_US = 60_000_000;

/** What an exchange of this kind is opened with: limits and wishes as they come. */
export function configOf(
  setup: Setup,
  standard: ChangeStandard,
  random: Random,
  faults: Faults,
  stays = false,
): SessionConfig {
  const eager = random.pick([undefined, undefined, 1, 300]);
  const inline = random.pick([undefined, undefined, 1, 100]);
  const limits = {
    ...(eager === undefined ? {} : { eagerBytes: eager }),
    ...(inline === undefined ? {} : { inlineBytes: inline }),
  };
  const plain = faults === NO_FAULTS;
  const onHistoryChange = !plain && random.chance(0.15) ? "follow" : "offer";
  const wishes = { standard, create: true, recreate: true, client: "simulation", limits };
  const ways = { mode: "sync", onHistoryChange, resolves: !plain && random.chance(0.1) } as const;
  return {
    client: { live: stays, ...wishes, ...ways, stepTimeoutUs: STEP_TIMEOUT_US },
    serverLimits: { ...DEFAULT_LIMITS, ...setup.serverLimits },
    gathers: setup.gathers,
    skewUs: 60_000_000,
    stepTimeoutUs: STEP_TIMEOUT_US,
    heartbeatUs: STEP_TIMEOUT_US / 2,
  };
}
