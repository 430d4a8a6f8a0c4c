import { FINGERPRINT_BYTES } from "../../core/fingerprint.js";
import { compareIds } from "../../core/id.js";
import type { Database } from "../../core/sqlite.js";
import { type Creations, type ItemColumns, idAt, sizeAt } from "./creations.js";

/** Makes items out of columns. Runs in its caller's transaction. */
export interface CreationRows {
  /** Whether nothing is held of any of the ids, neither item nor tombstone. */
  areNew(key: number, items: ItemColumns): boolean;
  /** Puts the items in; the first gets the revision after this one, and so on. */
  insert(key: number, creations: Creations, revision: number): void;
}

/** Places in a number: where an item begins, counted from 1, the bytes of its id, and those of its content. */
const BITS = 10;
const STEP = 2 ** BITS;
/** Digits of a time in microseconds, up to 2^53. */
const TIME_DIGITS = 16;

interface Values {
  readonly key: number;
  readonly places: string;
  readonly bytes: Buffer;
}

interface RowValues extends Values {
  readonly revision: number;
  readonly fingerprints: Buffer;
  /** The one time of all, or one behind the other. */
  readonly times: number | string;
}

/**
 * Prepares the statements: SQLite cuts the rows out of a few long values, as most of what a row costs is to bind its own.
 * `value` is an item's place and `key` its index.
 */
export function prepareCreations(database: Database): CreationRows {
  const start = `(value >> ${2 * BITS})`;
  const idBytes = `((value >> ${BITS}) & ${STEP - 1})`;
  const size = `(value & ${STEP - 1})`;
  const id = `CAST(substr(@bytes, ${start}, ${idBytes}) AS TEXT)`;
  const content = `substr(@bytes, ${start} + ${idBytes} + 1, ${size})`;
  const insertInto = (time: string, cell: string) =>
    database.prepare<[RowValues]>(
      `INSERT INTO items (collection, revision, id, fingerprint, size, modify_time_us, group_revision, content_key, content)
        SELECT @key, @revision + 1 + key, ${id}, substr(@fingerprints, key * ${FINGERPRINT_BYTES} + 1, ${FINGERPRINT_BYTES}),
          ${size}, ${time}, 0, NULL, ${cell}
        FROM json_each(@places)`,
    );
  const inserts = (time: string) => ({
    text: insertInto(time, `CAST(${content} AS TEXT)`),
    data: insertInto(time, content),
  });
  const withOneTime = inserts("@times");
  const withTimes = inserts(`CAST(substr(@times, key * ${TIME_DIGITS} + 1, ${TIME_DIGITS}) AS INTEGER)`);
  const selectHeld = database
    .prepare<[Values], number>(
      `SELECT 1 FROM json_each(@places) CROSS JOIN items INDEXED BY items_by_id
        WHERE collection = @key AND items.id = ${id} LIMIT 1`,
    )
    .pluck();
  const selectGreatest = database
    .prepare<[number], string>(
      "SELECT id FROM items INDEXED BY items_by_id WHERE collection = ? ORDER BY id DESC LIMIT 1",
    )
    .pluck();
  return {
    areNew(key, items) {
      const greatest = selectGreatest.get(key);
      // As they come in a first push.
      if (greatest === undefined || (items.isAscending && compareIds(idAt(items, 0), greatest) > 0)) return true;
      return selectHeld.get({ key, places: placesOf(items), bytes: items.bytes }) === undefined;
    },
    insert(key, { items, fingerprints, timesUs }, revision) {
      const first = timesUs[0] as number;
      const isOneTime = timesUs.every((timeUs) => timeUs === first);
      const statements = isOneTime ? withOneTime : withTimes;
      const statement = items.isText ? statements.text : statements.data;
      const times = isOneTime ? first : Array.from(timesUs, toDigits).join("");
      statement.run({ key, revision, places: placesOf(items), bytes: items.bytes, fingerprints, times });
    },
  };
}

function toDigits(timeUs: number): string {
  return String(timeUs).padStart(TIME_DIGITS, "0");
}

/** A JSON array of numbers, which SQLite makes rows of. */
function placesOf(items: ItemColumns): string {
  const { count, starts, idBytes } = items;
  const places: number[] = new Array(count);
  for (let index = 0; index < count; index++) {
    const start = (starts[index] as number) + 1;
    places[index] = (start * STEP + (idBytes[index] as number)) * STEP + sizeAt(items, index);
  }
  return `[${places.join(",")}]`;
}
