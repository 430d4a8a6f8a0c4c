import type { Case } from "./case.js";
import { contentCases } from "./cases/contents.js";
import { cutCases } from "./cases/cuts.js";
import { groupCases } from "./cases/groups.js";
import { heldCases } from "./cases/held.js";
import { historyCases } from "./cases/histories.js";
import { idCases } from "./cases/ids.js";
import { raceCases } from "./cases/races.js";
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
  ...idCases,
  ...contentCases,
  ...groupCases,
  ...heldCases,
  ...raceCases,
];
