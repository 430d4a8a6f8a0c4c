import type { Conflict, Held, HeldVersions } from "../replica-views.js";
import { contentFields } from "./content.js";
import { formatCount, shortHex } from "./output.js";

/** An element of `tercet conflicts list`: an item that is held, or a record of what gave way. */
export type ListedConflict = { readonly held: Held } | { readonly record: Conflict };

/** What the columns of both are called: in a replica it is always its own version that gave way. */
export const CONFLICT_COLUMNS = ["NUMBER", "ID", "MINE", "BYTES", "FINGERPRINT", "THEIRS", "BY", "WHEN"];

/** What they are called of a server's records, whose versions are nobody's in particular. */
export const SERVER_COLUMNS = ["NUMBER", "ID", "GAVE WAY", "BYTES", "FINGERPRINT", "PREVAILED", "BY", "WHEN"];

/** As a row of a table. */
export function listedRow(listed: ListedConflict): string[] {
  if ("record" in listed) return recordRow(listed.record);
  const { id, mine, theirs, mineTime } = listed.held;
  const kind = mine === undefined ? "deleted" : "upserted";
  return ["HELD", id, kind, "-", shortHex(mine), versionName(theirs), "nobody yet", mineTime.toISOString()];
}

/** In the words of `--json`. */
export function listedView(listed: ListedConflict): object {
  return "record" in listed ? recordView(listed.record) : heldView(listed.held);
}

function recordRow({ number, id, kind, size, fingerprint, prevailed, standard, recordTime }: Conflict): string[] {
  const bytes = kind === "deleted" ? "-" : formatCount(size);
  const when = recordTime.toISOString();
  return [String(number), id, kind, bytes, shortHex(fingerprint), versionName(prevailed), standard, when];
}

function versionName(fingerprint: string | undefined): string {
  return fingerprint === undefined ? "a deletion" : shortHex(fingerprint);
}

/** A record in the words of `--json`, without its content. */
export function recordView({ content: _content, fingerprint, prevailed, recordTime, modifyTime, ...rest }: Conflict) {
  return {
    ...rest,
    fingerprint: fingerprint ?? null,
    prevailed: prevailed ?? null,
    recordTime: recordTime.toISOString(),
    modifyTime: modifyTime.toISOString(),
  };
}

/** A held item in the words of `--json`, without its contents. */
function heldView({ id, mine, theirs, mineTime, theirsTime, theirsRevision, group }: Held) {
  return {
    held: true,
    id,
    mine: mine ?? null,
    theirs: theirs ?? null,
    mineTime: mineTime.toISOString(),
    theirsTime: theirsTime.toISOString(),
    theirsRevision,
    group: group ?? null,
  };
}

/** The same with the contents of both versions; null where there is none, or it is not known. */
export function versionsView({ mineContent, theirsContent, ...held }: HeldVersions): object {
  return {
    ...heldView(held),
    mineContent: mineContent === undefined ? null : contentFields(mineContent),
    theirsContent: theirsContent === undefined ? null : contentFields(theirsContent),
  };
}
