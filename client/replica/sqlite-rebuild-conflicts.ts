import { type Content, contentSize } from "../../core/content.js";
import { fingerprintOf, sameFingerprint } from "../../core/fingerprint.js";
import { checkId } from "../../core/id.js";
import type { Database } from "../../core/sqlite.js";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import type { LocalConflict } from "./local-conflicts.js";
import { contentReader } from "./sqlite-rebuild-content.js";
import { attempt, lastKey, readTable } from "./sqlite-rebuild-read.js";
import { isBytes, isStandard, timeOf } from "./sqlite-rebuild-values.js";

/** A conflict record that was found, without its content. */
export interface FoundRecord extends Omit<LocalConflict, "content" | "text"> {
  readonly content: () => Content | undefined;
}

/** Reads the conflict records whose contents are what they were. */
export function readConflicts(db: Database, nowUs: number): FoundRecord[] {
  const columns = "id, fingerprint, prevailed, standard, record_time_us, modify_time_us";
  const query = { table: "conflicts", key: "conflicts.number", columns };
  const content = db.prepare<[number], unknown>("SELECT content FROM conflicts WHERE number = ?").pluck();
  const large = contentReader(db);
  return readTable(db, query, lastKey(db, "conflicts", "number")).rows.flatMap((row): FoundRecord[] => {
    const [number, id, fingerprint, prevailed, standard, recordTimeUs, modifyTimeUs] = row;
    if (typeof id !== "string" || checkId(id) !== undefined) return [];
    const read = (): Content | undefined => large(attempt(() => content.get(number)));
    const version = read();
    if (version === undefined && fingerprint !== null) return [];
    const actual = version === undefined ? undefined : fingerprintOf(id, version);
    if (actual !== undefined && !(isBytes(fingerprint, 32) && sameFingerprint(actual, fingerprint))) return [];
    return [
      {
        number,
        id,
        fingerprint: actual,
        prevailed: isBytes(prevailed, 32) ? prevailed : undefined,
        standard: isStandard(standard) ? standard : ChangeStandard.CHANGE_STANDARD_UNSPECIFIED,
        recordTimeUs: timeOf(recordTimeUs, nowUs) || nowUs,
        modifyTimeUs: timeOf(modifyTimeUs, nowUs),
        size: version === undefined ? 0 : contentSize(version),
        content: read,
      },
    ];
  });
}
