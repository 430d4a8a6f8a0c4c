import { closeSync, createReadStream, createWriteStream, fstatSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { Replica } from "../replica-handle.js";
import {
  type BadRecord,
  type Checked,
  checkRecords,
  goodBatches,
  placeName,
  type RecordFile,
} from "./check-records.js";
import { defineCommand } from "./command.js";
import { CliError, fileError, oneLine, REMAINS, usageError } from "./failure.js";
import { judgeByField, judgeWrapped } from "./judge-record.js";
import { MAKING, REPLICA } from "./options.js";
import { formatCount, plural, printJson, printLine, remark } from "./output.js";
import { type Progress, startProgress } from "./progress.js";
import { detectFormat, type RecordFormat } from "./records.js";
import { withNewReplica } from "./replica.js";

/** `tercet import` */
export const importCommand = defineCommand({
  options: (yargs) =>
    yargs
      .positional("file", { type: "string", demandOption: true, describe: "The file, - for standard input" })
      .option("id", {
        type: "string",
        requiresArg: true,
        conflicts: "wrapped",
        describe: "Field of a record that is its id, a.b for a nested one; the record's JSON text is the content",
      })
      .option("wrapped", { type: "boolean", describe: "Records are what `tercet export --wrapped` writes" })
      .option("skip-bad", {
        type: "boolean",
        default: false,
        describe: "Import the others where records are bad (exit status 3); else nothing is imported",
      })
      .options(REPLICA)
      .options(MAKING)
      .example("$0 import places.ndjson --id id --replica a.replica --collection places  # makes it, too", "")
      .example("curl -s $URL | $0 import - --id key.name --replica a.replica  # from standard input", ""),
  async run(argv) {
    if (argv.id === undefined && argv.wrapped !== true) {
      throw usageError(
        "say which field is the id by --id FIELD, or --wrapped for what `tercet export --wrapped` wrote",
      );
    }
    const json = argv["json"] === true;
    const judge = argv.id === undefined ? judgeWrapped : judgeByField(argv.id);
    const result = await withFile(argv.file, (file) =>
      withNewReplica(argv, async (replica) => {
        const records = { file, format: detectFormat(file), bytes: fstatSync(file).size, judge };
        const progress = await startProgress(json);
        try {
          return { ...importRecords(records, replica, argv.skipBad, progress), format: records.format };
        } finally {
          progress.stop();
        }
      }),
    );
    const { imported, badCount, bad, format } = result;
    if (badCount > 0) process.exitCode = REMAINS;
    if (json) return printJson({ imported, skipped: badCount, records: bad.map((record) => placed(record, format)) });
    await printLine(`imported ${plural(imported, "item")}${badCount > 0 ? `, skipped ${formatCount(badCount)}` : ""}`);
    for (const line of tellBad(result, format)) remark(`  ${line}`);
  },
});

interface Imported {
  readonly imported: number;
  readonly badCount: number;
  readonly bad: readonly BadRecord[];
}

function importRecords(records: RecordFile, replica: Replica, skipBad: boolean, progress: Progress): Imported {
  const before = fstatSync(records.file);
  const checked = checkRecords(records, replica, progress);
  if (checked.badCount > 0 && !skipBad) throw refusal(checked, records.format);
  const after = fstatSync(records.file);
  if (after.mtimeMs !== before.mtimeMs || after.size !== before.size) {
    throw new CliError("the file was changed while it was read; nothing was imported", {
      code: "ABORTED",
      reason: "FILE_CHANGED",
    });
  }
  let imported = 0;
  try {
    for (const { items, offset } of goodBatches(records, replica, checked)) {
      replica.putMany(items);
      imported += items.length;
      progress.update(records.bytes + offset, records.bytes * 2, `${formatCount(imported)} items`);
    }
  } catch (error) {
    if (imported > 0)
      remark(`tercet: ${plural(imported, "item")} had been imported; run the import again for the rest`);
    throw error;
  }
  return { imported, badCount: checked.badCount, bad: checked.bad };
}

const SHOWN = 20;

function refusal(checked: Checked, format: RecordFormat): CliError {
  const { badCount, bad, good } = checked;
  const [first] = bad;
  const what = first === undefined ? "" : `${placeName(format)} ${first.place} ${first.message}`;
  const more = badCount > 1 ? ` (and ${formatCount(badCount - 1)} more)` : "";
  const other = good === 0 ? ": no record is good" : `; --skip-bad imports the other ${formatCount(good)}`;
  const message = `${what}${more}. Nothing was imported${other}`;
  return new CliError(message, {
    code: "INVALID_ARGUMENT",
    reason: "BAD_RECORDS",
    lines: badCount > 1 ? tellBad(checked, format) : [],
    facts: { bad: badCount, good, records: bad.map((record) => placed(record, format)) },
  });
}

function placed({ place, reason, message }: BadRecord, format: RecordFormat): object {
  return { [placeName(format)]: place, reason, message: oneLine(message) };
}

function tellBad({ bad, badCount }: Pick<Checked, "bad" | "badCount">, format: RecordFormat): string[] {
  const lines = bad.slice(0, SHOWN).map(({ place, message }) => oneLine(`${placeName(format)} ${place} ${message}`));
  return badCount > SHOWN ? [...lines, `and ${formatCount(badCount - SHOWN)} more`] : lines;
}

/** The file for `work`, which reads it more than once: what can't be read twice is copied to a temporary file. */
async function withFile<T>(path: string, work: (file: number) => Promise<T>): Promise<T> {
  const source = path === "-" ? 0 : openSync(path, "r");
  const stats = fstatSync(source);
  // Standard input may be a file that was read in part; its copy begins where it is.
  if (path !== "-" && stats.isFile()) {
    try {
      return await work(source);
    } finally {
      closeSync(source);
    }
  }
  if (stats.isDirectory()) throw fileError(path, "EISDIR");
  const directory = mkdtempSync(join(tmpdir(), "tercet-import-"));
  try {
    const copy = join(directory, "records");
    const stream = path === "-" ? process.stdin : createReadStream(path, { fd: source });
    await pipeline(stream, createWriteStream(copy, { mode: 0o600 }));
    const file = openSync(copy, "r");
    try {
      return await work(file);
    } finally {
      closeSync(file);
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
