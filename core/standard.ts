import { ChangeStandard } from "../gen/tercet/v1/item.js";

/** Whose change prevails. */
export type Prevailing = "mine" | "theirs";

/** Standards that this version can judge by. */
export const SUPPORTED_STANDARDS: readonly ChangeStandard[] = [
  ChangeStandard.CHANGE_STANDARD_SERVER,
  ChangeStandard.CHANGE_STANDARD_CLIENT,
];

/** Whose change of a conflict prevails at the client; `standard` is one of SUPPORTED_STANDARDS. */
export function judge(standard: ChangeStandard): Prevailing {
  return standard === ChangeStandard.CHANGE_STANDARD_CLIENT ? "mine" : "theirs";
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
