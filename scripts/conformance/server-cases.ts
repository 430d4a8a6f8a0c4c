import { exchangeCases } from "./server-cases/exchanges.js";
import { pushCases } from "./server-cases/pushes.js";
import { unaryCases } from "./server-cases/unary.js";
import { refusalCases } from "./server-cases/vectors.js";
import type { ServerCase } from "./server-place.js";

/** All cases for servers, in the order in which they are run. */
export const serverCases: readonly ServerCase[] = [...exchangeCases, ...pushCases, ...unaryCases, ...refusalCases()];
