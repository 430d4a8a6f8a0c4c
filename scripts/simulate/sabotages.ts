import type { Sabotage } from "./sabotage.js";
import { CLIENT_SABOTAGES } from "./sabotages-client.js";
import { SERVER_SABOTAGES } from "./sabotages-server.js";

/** Every protection that can be switched off, to show that the simulation would find it missing. */
export const SABOTAGES: readonly Sabotage[] = [...SERVER_SABOTAGES, ...CLIENT_SABOTAGES];

/** The sabotage of that name. */
export function sabotageOf(name: string): Sabotage | undefined {
  return SABOTAGES.find((each) => each.name === name);
}
