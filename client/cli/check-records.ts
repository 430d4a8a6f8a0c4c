import type { Replica } from "../replica-handle.js";
import type { Judge } from "./judge-record.js";
import type { Progress } from "./progress.js";
import { type RawRecord, type RecordFormat, readRecords } from "./records.js";
import { createSeenIds } from "./seen-ids.js";

/** A record that can't be imported. */
export interface BadRecord {
  readonly place: number;
  readonly reason: string;
  readonly message: string;
}

/** What a look at the whole file found. */
export interface Checked {
  readonly good: number;
  /** Number of bad records, the first of them, and the places of those whose id was there before. */
  readonly badCount: number;
  readonly bad: readonly BadRecord[];
  readonly duplicates: ReadonlySet<number>;
}

/** A file of records that is read more than once. */
export interface RecordFile {
  readonly file: number;
  readonly format: RecordFormat;
  readonly bytes: number;
  readonly judge: Judge;
}

const LISTED = 100;
/** Thrown so that a transaction which only looks changes nothing. */
const ONLY_LOOKING = new Error("only looking");

/** Why a replica would not take an item, without giving it. */
function problemAt(replica: Replica, id: string, content: string | Uint8Array): BadRecord | undefined {
  try {
    replica.transaction((transaction) => {
      transaction.put(id, content);
      throw ONLY_LOOKING;
    });
  } catch (error) {
    if (error === ONLY_LOOKING) return undefined;
    if (!(error instanceof Error) || error.name !== "TercetError") throw error;
    const { reason, message } = error as import("../error.js").TercetError;
    return { place: 0, reason, message };
  }
  return undefined;
}

/** Reads the whole file and changes nothing: memory grows by some bytes a record, whatever the records are. */
export function checkRecords(records: RecordFile, replica: Replica, progress: Progress): Checked {
  const seen = createSeenIds();
  const suspects = new Set<string>();
  const bad: BadRecord[] = [];
  let badCount = 0;
  let good = 0;

  function refuse(record: BadRecord): void {
    badCount += 1;
    if (bad.length < LISTED) bad.push(record);
  }

  for (const record of readRecords(records.file, records.format)) {
    const judged = judgeRaw(record, records.judge);
    const { place } = record;
    const problem = judged.problem === undefined ? problemAt(replica, judged.id, judged.content) : undefined;
    if (judged.problem !== undefined) refuse({ place, reason: judged.reason, message: judged.problem });
    else if (problem !== undefined) refuse({ ...problem, place });
    else {
      good += 1;
      if (seen.add(judged.id)) suspects.add(judged.id);
    }
    if (place % 1024 === 0) progress.update(record.offset, records.bytes * 2, "reading");
  }
  const duplicates = findDuplicates(records, replica, suspects, refuse);
  bad.sort((a, b) => a.place - b.place);
  return { good: good - duplicates.size, badCount, bad, duplicates };
}

/** Which of the suspects really stand twice, and where. Reads the file again if there are any. */
function findDuplicates(
  records: RecordFile,
  replica: Replica,
  suspects: ReadonlySet<string>,
  refuse: (record: BadRecord) => void,
): Set<number> {
  const duplicates = new Set<number>();
  if (suspects.size === 0) return duplicates;
  const first = new Map<string, number>();
  for (const record of readRecords(records.file, records.format)) {
    const judged = judgeRaw(record, records.judge);
    if (judged.problem !== undefined || !suspects.has(judged.id)) continue;
    if (problemAt(replica, judged.id, judged.content) !== undefined) continue;
    const before = first.get(judged.id);
    if (before === undefined) {
      first.set(judged.id, record.place);
      continue;
    }
    duplicates.add(record.place);
    const where = `${placeName(records.format)} ${before}`;
    const message = `has the id ${JSON.stringify(judged.id)} of ${where} again`;
    refuse({ place: record.place, reason: "DUPLICATE_ID", message });
  }
  return duplicates;
}

/** The items of the file that `checked` found good, in batches that are each one transaction. */
export function* goodBatches(
  { file, format, judge }: RecordFile,
  replica: Replica,
  checked: Checked,
): Generator<{ readonly items: (readonly [string, string | Uint8Array])[]; readonly offset: number }> {
  let items: (readonly [string, string | Uint8Array])[] = [];
  let size = 0;
  let offset = 0;
  for (const record of readRecords(file, format)) {
    const judged = judgeRaw(record, judge);
    offset = record.offset;
    if (judged.problem !== undefined || checked.duplicates.has(record.place)) continue;
    if (checked.badCount > 0 && problemAt(replica, judged.id, judged.content) !== undefined) continue;
    items.push([judged.id, judged.content]);
    size += judged.content.length;
    if (items.length < BATCH_ITEMS && size < BATCH_BYTES) continue;
    yield { items, offset };
    items = [];
    size = 0;
  }
  if (items.length > 0) yield { items, offset };
}

const BATCH_ITEMS = 10_000;
const BATCH_BYTES = 8 * 1024 * 1024;

function judgeRaw({ text, problem }: RawRecord, judge: Judge): ReturnType<Judge> {
  if (text === undefined) return { reason: "MALFORMED_FILE", problem: problem ?? "can't be read" };
  if (text === "") return { reason: "MALFORMED_JSON", problem: "is empty: there is a comma too many" };
  return judge(text);
}

/** What a place in a file of this format is called. */
export function placeName(format: RecordFormat): "line" | "index" {
  return format === "array" ? "index" : "line";
}
