import { type Content, contentSize } from "../../core/content.js";
import { fingerprintOf, sameFingerprint } from "../../core/fingerprint.js";
import { checkId } from "../../core/id.js";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import type { LocalConflict } from "./local-conflicts.js";
import { contentReader } from "./sqlite-rebuild-content.js";
import type { Salvage } from "./sqlite-rebuild-read.js";
import type { Row } from "./sqlite-rebuild-record.js";
import { FAR, isBytes, isStandard, timeOf } from "./sqlite-rebuild-values.js";

/** A conflict record that was found, without its content. */
export interface FoundRecord extends Omit<LocalConflict, "content" | "text"> {
  readonly content: () => Content | undefined;
}

/** Column of `conflicts`. */
const CONTENT = 8;

/** Reads the conflict records whose contents are what they were, in the order of their numbers. */
export function readConflicts(salvage: Salvage, nowUs: number): FoundRecord[] {
  const records = new Map<number, FoundRecord>();
  const table = salvage.tree("conflicts");
  const large = contentReader(salvage);
  table.visit((row, place) => {
    if (row.key === 0 || row.key >= FAR || records.has(row.key)) return;
    const record = toRecord(row, nowUs, () => large(table.at(place)?.value(CONTENT)));
    if (record !== undefined) records.set(row.key, record);
  });
  return [...records.values()].sort((a, b) => a.number - b.number);
}

function toRecord(row: Row, nowUs: number, read: () => Content | undefined): FoundRecord | undefined {
  const [id, fingerprint, prevailed, standard, recordTimeUs, modifyTimeUs] = [1, 2, 3, 4, 5, 6].map(row.value);
  if (typeof id !== "string" || checkId(id) !== undefined) return undefined;
  const version = read();
  if (version === undefined && fingerprint !== null) return undefined;
  const actual = version === undefined ? undefined : fingerprintOf(id, version);
  if (actual !== undefined && !(isBytes(fingerprint, 32) && sameFingerprint(actual, fingerprint))) return undefined;
  return {
    number: row.key,
    id,
    fingerprint: actual,
    prevailed: isBytes(prevailed, 32) ? prevailed : undefined,
    standard: isStandard(standard) ? standard : ChangeStandard.CHANGE_STANDARD_UNSPECIFIED,
    recordTimeUs: timeOf(recordTimeUs, nowUs) || nowUs,
    modifyTimeUs: timeOf(modifyTimeUs, nowUs),
    size: version === undefined ? 0 : contentSize(version),
    content: read,
  };
}
