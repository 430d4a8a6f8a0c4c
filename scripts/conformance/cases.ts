import type { Case } from "./case.js";
import { tableCases } from "./cases/table.js";

/** All cases for clients, in the order in which they are run. */
export const clientCases: readonly Case[] = [...tableCases];
