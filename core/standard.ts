import { ChangeStandard } from "../gen/tercet/v1/item.js";

/** Whose change of a conflict prevails; `held`: nobody's yet. */
export type Prevailing = "mine" | "theirs" | "held";

/** A version of an item as a standard sees it. */
export interface Version {
  /** Undefined: deleted. */
  readonly fingerprint: Uint8Array | undefined;
  readonly modifyTimeUs: number;
}

/** Whose change of a conflict prevails at the client, by a standard that is in force. Unknown ones must not come here. */
export function judge(standard: ChangeStandard, mine: Version, theirs: Version): Prevailing {
  switch (standard) {
    case ChangeStandard.CHANGE_STANDARD_CLIENT:
      return "mine";
    case ChangeStandard.CHANGE_STANDARD_NEWEST:
      return isNewer(mine, theirs) ? "mine" : "theirs";
    case ChangeStandard.CHANGE_STANDARD_MANUAL:
      return "held";
    default:
      return "theirs";
  }
}

/** Whether this client can judge by a standard. */
export function isKnownStandard(standard: ChangeStandard): boolean {
  return Object.values(NAMES).includes(standard);
}

/** The later time prevails; on a tie the greater fingerprint, and a deletion is less than any. */
function isNewer(mine: Version, theirs: Version): boolean {
  if (mine.modifyTimeUs !== theirs.modifyTimeUs) return mine.modifyTimeUs > theirs.modifyTimeUs;
  if (mine.fingerprint === undefined) return false;
  return theirs.fingerprint === undefined || Buffer.compare(mine.fingerprint, theirs.fingerprint) > 0;
}

const NAMES: Readonly<Record<string, ChangeStandard>> = {
  SERVER: ChangeStandard.CHANGE_STANDARD_SERVER,
  CLIENT: ChangeStandard.CHANGE_STANDARD_CLIENT,
  NEWEST: ChangeStandard.CHANGE_STANDARD_NEWEST,
  MANUAL: ChangeStandard.CHANGE_STANDARD_MANUAL,
};

/** A standard by its name in any case, undefined for another word. */
export function parseStandard(name: string): ChangeStandard | undefined {
  const key = name.toUpperCase();
  return Object.hasOwn(NAMES, key) ? NAMES[key] : undefined;
}

/** A standard's name: `SERVER`; `UNSPECIFIED` for none, its number for one that this version does not know. */
export function standardName(standard: ChangeStandard): string {
  if (standard === ChangeStandard.CHANGE_STANDARD_UNSPECIFIED) return "UNSPECIFIED";
  return Object.keys(NAMES).find((name) => NAMES[name] === standard) ?? String(standard);
}
