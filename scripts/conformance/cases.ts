import type { Case } from "./case.js";
import { contentCases } from "./cases/contents.js";
import { cutCases } from "./cases/cuts.js";
import { errorCases } from "./cases/errors.js";
import { groupChangeCases } from "./cases/group-changes.js";
import { groupCases } from "./cases/groups.js";
import { heldCases } from "./cases/held.js";
import { historyCases } from "./cases/histories.js";
import { hostileCases } from "./cases/hostile.js";
import { idCases } from "./cases/ids.js";
import { largeCases } from "./cases/large.js";
import { localCases } from "./cases/locals.js";
import { meanwhileCases } from "./cases/meanwhile.js";
import { raceCases } from "./cases/races.js";
import { recoveryCases } from "./cases/recovery.js";
import { replayCases } from "./cases/replays.js";
import { tableCases } from "./cases/table.js";
import { timeCases } from "./cases/times.js";
import { tripCases } from "./cases/trips.js";
import { windowCases } from "./cases/windows.js";

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
  ...groupChangeCases,
  ...heldCases,
  ...raceCases,
  ...timeCases,
  ...localCases,
  ...meanwhileCases,
  ...largeCases,
  ...windowCases,
  ...errorCases,
  ...hostileCases,
];
