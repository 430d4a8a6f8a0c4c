import { closeSync, fsyncSync, openSync, renameSync, rmSync, statSync, writeSync } from "node:fs";
import type { Item } from "../replica-views.js";
import { defineCommand } from "./command.js";
import { contentFields, WHOLE_CONTENT_BYTES } from "./content.js";
import { checkFolder } from "./failure.js";
import { tooLargeFor } from "./items.js";
import { compact } from "./judge-record.js";
import { REPLICA } from "./options.js";
import { formatCount, lineWriter, plural, print, printJson, printLine } from "./output.js";
import { startProgress } from "./progress.js";
import { withReplica } from "./replica.js";

/** `tercet export` */
export const exportCommand = defineCommand({
  options: (yargs) =>
    yargs
      .positional("file", { type: "string", default: "-", describe: "Where to, - for standard output" })
      .option("format", {
        choices: ["ndjson", "json"] as const,
        default: "ndjson" as const,
        describe: "Lines or an array",
      })
      .option("prefix", { type: "string", requiresArg: true, describe: "Only ids that begin with this" })
      .option("wrapped", {
        type: "boolean",
        default: false,
        describe:
          'Every item as {"id","text"} or {"id","data"}, so that `tercet import --wrapped` gives the same replica',
      })
      .options(REPLICA)
      .example("$0 export places.ndjson --replica a.replica  # for `import --id`", "")
      .example("$0 export backup.ndjson --wrapped --replica a.replica  # for `import --wrapped`", "")
      .epilogue(
        'A text that is a JSON object is written as it stands, other contents as {"id","text"} or, bytes, {"id","data"} in base64. One item at a time is in memory; with an item over 64 MiB it fails: `tercet get ID --raw` writes their bytes.',
      ),
  async run(argv) {
    const json = argv["json"] === true;
    const toFile = argv.file !== "-";
    const count = await withReplica(argv, async (replica) => {
      const progress = await startProgress(json || !toFile);
      const { items } = replica.status();
      const target = toFile ? fileTarget(argv.file) : { write: print, done: () => undefined, undo: () => undefined };
      try {
        const listed = replica.list(argv.prefix === undefined ? {} : { prefix: argv.prefix });
        const written = await writeRecords(listed, argv.format === "json", argv.wrapped, target.write, (done) => {
          if (done % 1024 === 0) progress.update(done, items, `${formatCount(done)} items`);
        });
        target.done();
        return written;
      } catch (error) {
        target.undo();
        throw error;
      } finally {
        progress.stop();
      }
    });
    if (!toFile) return;
    if (json) await printJson({ exported: count, file: argv.file });
    else await printLine(`exported ${plural(count, "item")} to ${argv.file}`);
  },
});

async function writeRecords(
  items: Iterable<Item>,
  array: boolean,
  wrapped: boolean,
  write: (text: string) => void | Promise<void>,
  onItem: (done: number) => void,
): Promise<number> {
  const writer = lineWriter(write);
  let count = 0;
  let last: string | undefined;
  if (array) await writer.line("[");
  for (const item of items) {
    if (last !== undefined) await writer.line(array ? `${last},` : last);
    last = recordOf(item, wrapped);
    count += 1;
    onItem(count);
  }
  if (last !== undefined) await writer.line(last);
  if (array) await writer.line("]");
  await writer.flush();
  return count;
}

function recordOf(item: Item, wrapped: boolean): string {
  if (item.size > WHOLE_CONTENT_BYTES) throw tooLargeFor("export", item);
  const { id, content } = item;
  const text = wrapped || typeof content !== "string" ? undefined : objectText(content);
  return text ?? JSON.stringify({ id, ...contentFields(content) });
}

/** The text on one line, if it is a JSON object. */
function objectText(content: string): string | undefined {
  if (!/^\s*\{/.test(content)) return undefined;
  try {
    JSON.parse(content);
  } catch {
    return undefined;
  }
  // As it stands, unless it has line ends, which only stand between tokens.
  return /[\r\n]/.test(content) ? compact(content) : content;
}

/** A file that appears whole or not at all; a pipe or a device is written as it is. */
function fileTarget(path: string) {
  const special = statSync(path, { throwIfNoEntry: false })?.isFile() === false;
  checkFolder(path);
  const draft = special ? path : `${path}.${process.pid}.part`;
  const file = openSync(draft, special ? "w" : "wx");
  let open = true;
  function close(): void {
    if (open) closeSync(file);
    open = false;
  }
  return {
    write(text: string): void {
      const bytes = Buffer.from(text);
      for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
    },
    done(): void {
      if (!special) fsyncSync(file);
      close();
      if (!special) renameSync(draft, path);
    },
    undo(): void {
      close();
      if (!special) rmSync(draft, { force: true });
    },
  };
}
