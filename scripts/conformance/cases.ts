import type { Case } from "./case.js";
import { cutCases } from "./cases/cuts.js";
import { historyCases } from "./cases/histories.js";
import { recoveryCases } from "./cases/recovery.js";
import { replayCases } from "./cases/replays.js";
import { tableCases } from "./cases/table.js";
import { tripCases } from "./cases/trips.js";

/** All cases for clients, in the order in which they are run. */
export const clientCases: readonly Case[] = [
  ...tableCases,
  ...tripCases,
  ...cutCases,
  ...replayCases,
  ...recoveryCases,
  ...historyCases,
];
