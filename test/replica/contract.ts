import { describeApplied } from "./contract-applied.js";
import { describeExchange } from "./contract-exchange.js";
import { describeItems } from "./contract-items.js";
import { describeLarge } from "./contract-large.js";
import { describeRecords } from "./contract-records.js";
import { describeRecovery } from "./contract-recovery.js";
import { describeSent } from "./contract-sent.js";
import type { Harness } from "./drive.js";

/** Everything that a replica must keep, whatever it is made of. `where`: what that is, as "in memory". */
export function describeReplica(where: string, open: () => Harness): void {
  describeItems(`items of a replica ${where}`, open);
  describeSent(`what a replica ${where} has sent`, open);
  describeRecords(`conflict records of a replica ${where}`, open);
  describeApplied(`what an exchange stores ${where}`, open);
  describeExchange(`an exchange with a replica ${where}`, open);
  describeRecovery(`a recovery of a replica ${where}`, open);
  describeLarge(`large contents ${where}`, open);
}
