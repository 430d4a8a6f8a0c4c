import { isUtf8 } from "node:buffer";
import { readFileSync } from "node:fs";
import { CliError, USAGE } from "./failure.js";

/** What stands for bytes that are no UTF-8 in `process.argv`, and may be meant, too. */
const REPLACEMENT = "\ufffd";

/**
 * Refuses arguments that were not UTF-8: Node replaces what it can't read, and another item than the one that was meant
 * would be written, or two would become one. Where the bytes can't be seen, one that may be replaced is refused.
 *
 * @param bytes The command line as it was given, with a zero byte behind each argument; undefined where it can't be had.
 */
export function checkArguments(args: readonly string[], bytes: () => Uint8Array | undefined = givenBytes): void {
  const damaged = args.find((arg) => arg.includes(REPLACEMENT));
  if (damaged === undefined) return;
  const given = bytes();
  if (given !== undefined && isUtf8(given)) return;
  const what = given === undefined ? "has a U+FFFD, which stands for bytes that are not UTF-8" : "is not UTF-8";
  const message =
    `the argument ${JSON.stringify(damaged)} ${what}, and can't be taken as it is. ` +
    "A content is read by --file FILE; ids are taken from records, too: `tercet import FILE --id FIELD`";
  throw new CliError(message, { code: "INVALID_ARGUMENT", reason: "NOT_TEXT", status: USAGE });
}

/** Linux tells it. */
function givenBytes(): Uint8Array | undefined {
  try {
    return readFileSync("/proc/self/cmdline");
  } catch {
    return undefined;
  }
}
