import type { Case } from "../case.js";
import { changeLies, contentLies } from "./hostile-contents.js";
import { orderLies, proofLies, streamLies, unknowns } from "./hostile-order.js";
import { hostileRecoveryCases } from "./hostile-recovery.js";
import { hostileCase } from "./lies.js";

const exchanges = [...contentLies, ...changeLies, ...orderLies, ...proofLies, ...streamLies, ...unknowns];

/** Servers that lie, and servers that say more than this version knows. */
export const hostileCases: readonly Case[] = [...exchanges.map(hostileCase), ...hostileRecoveryCases];
