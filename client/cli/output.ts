import { once } from "node:events";
import pc from "picocolors";

type Colors = ReturnType<typeof pc.createColors>;

/** Colours for a stream: none where NO_COLOR is set, or where it is no terminal and FORCE_COLOR is not set. */
export function colorsFor(stream: { readonly isTTY?: boolean }, env: NodeJS.ProcessEnv = process.env): Colors {
  const forced = !["", "0", "false"].includes(env["FORCE_COLOR"] ?? "");
  const terminal = stream.isTTY === true && env["TERM"] !== "dumb";
  return pc.createColors((env["NO_COLOR"] ?? "") === "" && (forced || terminal));
}

/** Writes to standard output, and waits where the reader is slower. */
export async function print(text: string | Uint8Array): Promise<void> {
  if (text.length > 0 && !process.stdout.write(text)) await once(process.stdout, "drain");
}

/** A line of standard output. */
export function printLine(text: string): Promise<void> {
  return print(`${text}\n`);
}

/** One JSON object, on a line of standard output. */
export function printJson(value: object): Promise<void> {
  return printLine(JSON.stringify(value));
}

/** A remark for people, on standard error. */
export function remark(text: string): void {
  process.stderr.write(`${text}\n`);
}

const FLUSH_CHARS = 64 * 1024;

/** Writes many lines in few writes. */
export function lineWriter(write: (text: string) => void | Promise<void> = print) {
  let waiting: string[] = [];
  let chars = 0;
  async function flush(): Promise<void> {
    const text = waiting.join("");
    waiting = [];
    chars = 0;
    await write(text);
  }
  return {
    /** Resolves at once, unless it is time to write. */
    line(text: string): void | Promise<void> {
      waiting.push(text, "\n");
      chars += text.length + 1;
      return chars < FLUSH_CHARS ? undefined : flush();
    },
    flush,
  };
}

const TABLE_ROWS = 200;

/** What a list shows of an element: NDJSON of `toJson`, or a table whose columns are aligned 200 rows at a time. */
export interface ListView<T> {
  readonly json: boolean;
  readonly toJson: (element: T) => object;
  readonly columns: readonly string[];
  readonly toRow: (element: T) => readonly string[];
  /** What to say to people where there is nothing. */
  readonly empty: string;
}

/** Prints a list, of any length. */
export async function printList<T>(elements: Iterable<T> | AsyncIterable<T>, view: ListView<T>): Promise<void> {
  const writer = lineWriter();
  let widths = view.columns.map((name) => name.length);
  let rows: (readonly string[])[] = [];
  let count = 0;
  const colors = colorsFor(process.stdout);

  async function writeRows(): Promise<void> {
    widths = widths.map((width, column) => rows.reduce((most, row) => Math.max(most, row[column]?.length ?? 0), width));
    if (count <= TABLE_ROWS) await writer.line(colors.dim(align(view.columns, widths)));
    for (const row of rows) await writer.line(align(row, widths));
    rows = [];
  }

  for await (const element of elements) {
    count += 1;
    if (view.json) await writer.line(JSON.stringify(view.toJson(element)));
    else if (rows.push(view.toRow(element)) === TABLE_ROWS) await writeRows();
  }
  if (rows.length > 0) await writeRows();
  await writer.flush();
  if (count === 0 && !view.json) remark(view.empty);
}

function align(row: readonly string[], widths: readonly number[]): string {
  return row
    .map((cell, column) => cell.padEnd(widths[column] ?? 0))
    .join("  ")
    .trimEnd();
}

/** A number for people: 150,000. */
export function formatCount(count: number): string {
  return count.toLocaleString("en-US");
}

/** A number of things: `1 item`, `2 items`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}

/** Bytes for people: 1.5 KB. */
export function formatBytes(bytes: number): string {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 2 : 1)} ${units[unit]}`;
}

/** The first 12 hex digits of a fingerprint. */
export function shortHex(fingerprint: string | undefined): string {
  return fingerprint === undefined ? "-" : fingerprint.slice(0, 12);
}
