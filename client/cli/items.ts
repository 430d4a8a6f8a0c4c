import { readFileSync, statSync } from "node:fs";
import { type Content, contentSize } from "../../core/content.js";
import type { OpenContent } from "../large-content.js";
import type { Replica } from "../replica-handle.js";
import type { Item } from "../replica-views.js";
import { defineCommand } from "./command.js";
import { contentFields, decodeText, WHOLE_CONTENT_BYTES } from "./content.js";
import { CliError, FAILED, fileError, oneLine, usageError } from "./failure.js";
import { MAKING, REPLICA } from "./options.js";
import { formatCount, plural, print, printJson, printLine, printList, remark } from "./output.js";
import { withNewReplica, withReplica } from "./replica.js";

/** `tercet put` */
export const putCommand = defineCommand({
  options: (yargs) =>
    yargs
      .positional("id", { type: "string", demandOption: true, describe: "Id of the item" })
      .positional("content", { type: "string", describe: "Its content, as text" })
      .option("file", {
        type: "string",
        requiresArg: true,
        describe: "Read the content from a file, - for standard input",
      })
      .option("bytes", {
        type: "boolean",
        default: false,
        describe: "Keep the content as bytes, which need not be text",
      })
      .options(REPLICA)
      .options(MAKING)
      .example('$0 put zrh \'{"name":"Zürich"}\' --replica a.replica  # text', "")
      .example("$0 put logo --file logo.png --bytes --replica a.replica  # bytes", "")
      .epilogue(
        "A file is never in memory as a whole: it may be as large as an item may be, 64 MiB or what the server said last. " +
          "Where the server takes more (`serve --item-limit`), a sync tells a new replica so.",
      ),
  async run(argv) {
    const size = await put(argv);
    if (argv["json"] === true) await printJson({ id: argv.id, size });
    else await printLine(`put ${argv.id} (${plural(size, "byte")})`);
  },
});

interface PutArguments {
  readonly id: string;
  readonly content: string | undefined;
  readonly file: string | undefined;
  readonly bytes: boolean;
  readonly replica: string;
  readonly collection?: string | undefined;
}

/** Puts the item, and answers how many bytes it has. */
async function put(argv: PutArguments): Promise<number> {
  const { id, content, file, bytes } = argv;
  if ((content === undefined) === (file === undefined)) {
    throw usageError(
      content === undefined
        ? "the content is missing: give it as an argument or by --file FILE"
        : "the content is given twice: as an argument and by --file; leave one out",
    );
  }
  if (content !== undefined) {
    await withNewReplica(argv, async (replica) => replica.put(id, bytes ? Buffer.from(content) : content));
    return contentSize(content);
  }
  const path = String(file);
  // Before a replica is made for it.
  if (path !== "-" && statSync(path).isDirectory()) throw fileError(path, "EISDIR");
  return await withNewReplica(argv, (replica) => putFile(replica, id, path, bytes));
}

async function putFile(replica: Replica, id: string, path: string, bytes: boolean): Promise<number> {
  const options = { text: !bytes };
  try {
    if (path === "-") await replica.putStream(id, process.stdin, options);
    else await replica.putFile(id, path, options);
  } catch (error) {
    const { reason, fields = [] } = error as Partial<import("../error.js").TercetError>;
    const isText = reason !== "INVALID_FIELD" || !fields.some(({ field }) => field === "content");
    throw isText ? error : notText(path);
  }
  return replica.openContent(id)?.size ?? 0;
}

function notText(file: string): CliError {
  const message = `${file === "-" ? "standard input" : file} is not UTF-8 text. With --bytes it is kept as bytes`;
  return new CliError(message, { code: "INVALID_ARGUMENT", reason: "NOT_TEXT" });
}

/** A file's content, of standard input for "-": as text, or with `bytes` as it is. */
export function readContentFile(file: string, bytes: boolean): Content {
  const read = readFileSync(file === "-" ? 0 : file);
  if (bytes) return read;
  const text = decodeText(read);
  if (text !== undefined) return text;
  throw notText(file);
}

/** `tercet get` */
export const getCommand = defineCommand({
  options: (yargs) =>
    yargs
      .positional("id", { type: "string", demandOption: true, describe: "Id of the item" })
      .option("raw", { type: "boolean", default: false, describe: "Exactly its bytes, without a line end added" })
      .options(REPLICA)
      .example("$0 get zrh --replica a.replica  # its content", "")
      .example("$0 get logo --raw --replica a.replica > logo.png  # its bytes", "")
      .epilogue(
        "The content is printed piece by piece, however large it is; --json holds it in memory, and takes items up to 64 MiB.",
      ),
  async run(argv) {
    const { id } = argv;
    await withReplica(argv, async (replica) => {
      const item = replica.get(id);
      const content = replica.openContent(id);
      if (item === undefined || content === undefined) throw noItem([id], argv.replica);
      if (argv["json"] !== true) return await printPieces(content, argv.raw);
      if (item.size > WHOLE_CONTENT_BYTES) throw tooLargeFor("--json", item);
      await printJson({ ...itemView(item), ...contentFields(item.content) });
    });
  },
});

/** As `printContent`, but a piece at a time. */
async function printPieces(content: OpenContent, raw: boolean): Promise<void> {
  const text = !raw && (content.text || (await isText(content)));
  if (!raw && !text && process.stdout.isTTY === true) throw noTextForTerminal(content.size);
  for await (const piece of content) await print(piece);
  if (text) await print("\n");
}

async function isText(content: OpenContent): Promise<boolean> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  try {
    for await (const piece of content) decoder.decode(piece, { stream: true });
    decoder.decode();
  } catch (error) {
    if (error instanceof TypeError) return false;
    throw error;
  }
  return true;
}

/** An item is larger than what can be written as JSON. */
export function tooLargeFor(what: string, { id, size }: Pick<Item, "id" | "size">): CliError {
  const message = `${JSON.stringify(id)} has ${plural(size, "byte")}, and ${what} takes items up to ${formatCount(WHOLE_CONTENT_BYTES)}; its bytes alone: tercet get ID --raw > FILE`;
  return new CliError(message, { code: "FAILED_PRECONDITION", reason: "ITEM_TOO_LARGE", facts: { id, size } });
}

/** A content for people: as it is, with a line end, unless `raw`; bytes that are no text are kept off a terminal. */
export async function printContent(content: Content, raw: boolean): Promise<void> {
  if (raw) return await print(content);
  const text = typeof content === "string" ? content : decodeText(Buffer.from(content));
  if (text !== undefined) return printLine(text);
  if (process.stdout.isTTY !== true) return print(content);
  throw noTextForTerminal(contentSize(content));
}

function noTextForTerminal(size: number): CliError {
  const message = `${plural(size, "byte")} that are not text. With --raw they are printed all the same`;
  return new CliError(message, { code: "FAILED_PRECONDITION", reason: "NOT_TEXT" });
}

/** `tercet list` */
export const listCommand = defineCommand({
  options: (yargs) =>
    yargs
      .option("prefix", { type: "string", requiresArg: true, describe: "Only ids that begin with this" })
      .option("after", { type: "string", requiresArg: true, describe: "Only ids after this one" })
      .option("limit", { type: "number", requiresArg: true, describe: "Most items" })
      .options(REPLICA)
      .example("$0 list --prefix ch- --limit 20 --replica a.replica  # the first twenty that begin with ch-", ""),
  async run(argv) {
    const { prefix, after, limit, json } = { json: argv["json"] === true, ...argv };
    if (limit !== undefined && !(Number.isInteger(limit) && limit >= 0)) {
      throw usageError("--limit must be a whole number that is not negative");
    }
    const options = {
      ...(prefix === undefined ? {} : { prefix }),
      ...(after === undefined ? {} : { after }),
      ...(limit === undefined ? {} : { limit }),
    };
    await withReplica(argv, (replica) =>
      printList(replica.list(options), {
        json,
        toJson: itemView,
        columns: ["ID", "BYTES", "MODIFIED", ""],
        toRow: (item) => [
          cutId(item.id),
          formatCount(item.size),
          item.modifyTime.toISOString(),
          item.pending ? "pending" : "",
        ],
        empty: "no items",
      }),
    );
  },
});

/** A long id on a terminal is cut, so that a line stays a line; elsewhere it is whole. */
function cutId(id: string): string {
  const { isTTY, columns = 80 } = process.stdout;
  const room = Math.max(columns - 50, 20);
  return isTTY === true && id.length > room ? `${id.slice(0, room - 1)}…` : id;
}

/** An item in the words of `--json`, without its content. */
function itemView({ id, size, fingerprint, modifyTime, pending }: Item) {
  return { id, size, fingerprint, modifyTime: modifyTime.toISOString(), pending };
}

/** `tercet delete` */
export const deleteCommand = defineCommand({
  options: (yargs) =>
    yargs
      .positional("id", { type: "string", array: true, demandOption: true, describe: "Ids of the items" })
      .options(REPLICA)
      .example("$0 delete zrh gva --replica a.replica  # two items", "")
      .epilogue("Exit status 1 where one of the ids is not there; the others are deleted all the same."),
  async run(argv) {
    const ids = [...new Set(argv.id)];
    const deleted = await withReplica(argv, (replica) => ids.filter((id) => replica.delete(id)));
    const missing = ids.filter((id) => !deleted.includes(id));
    if (deleted.length === 0) throw noItem(missing, argv.replica);
    if (missing.length > 0) process.exitCode = FAILED;
    if (argv["json"] === true) return printJson({ deleted, missing });
    await printLine(`deleted ${plural(deleted.length, "item")}`);
    if (missing.length > 0) remark(oneLine(`tercet: ${noItem(missing, argv.replica).message}`));
  },
});

function noItem(ids: readonly string[], replica: string): CliError {
  const message = `there is no item ${ids.map((id) => JSON.stringify(id)).join(", ")} in ${replica}`;
  return new CliError(message, { code: "NOT_FOUND", reason: "ITEM_NOT_FOUND", facts: { ids } });
}
