import type { TercetError } from "../error.js";
import { defineCommand } from "./command.js";
import { CliError, usageError } from "./failure.js";
import { SERVER_NEEDED, standardOption } from "./options.js";
import { formatCount, print, printJson, printLine, printList, shortHex } from "./output.js";
import { type CollectionView, getCollection, pagesFrom, type ServerArguments, toView, withServer } from "./server.js";

const PAGE = 500;

/** `tercet collections list` */
export const listCollectionsCommand = defineCommand({
  options: (yargs) => yargs.options(SERVER_NEEDED),
  async run(argv) {
    await printList(collectionsOf(argv), {
      json: argv["json"] === true,
      toJson: (collection) => collection,
      columns: ["NAME", "ITEMS", "REVISION", "STANDARD", "FINGERPRINT"],
      toRow: ({ name, count, revision, standard, fingerprint }) => [
        name,
        formatCount(count),
        formatCount(revision),
        standard ?? "-",
        shortHex(fingerprint),
      ],
      empty: "no collections",
    });
  },
});

async function* collectionsOf(argv: ServerArguments): AsyncGenerator<CollectionView> {
  const { METHODS } = await import("../index.js");
  const pages = pagesFrom(argv, (connection, pageToken, bounds) =>
    connection.unary(METHODS.listCollections, { pageSize: PAGE, pageToken }, bounds),
  );
  for await (const { collections } of pages) {
    for (const collection of collections) yield toView(collection);
  }
}

/** `tercet collections get` */
export const getCollectionCommand = defineCommand({
  options: (yargs) =>
    yargs
      .positional("name", { type: "string", demandOption: true, describe: "Name of the collection" })
      .options(SERVER_NEEDED),
  async run(argv) {
    const collection = await getCollection(argv, argv.name);
    if (argv["json"] === true) return printJson(collection);
    await print(
      [
        collection.name,
        `  items        ${formatCount(collection.count)}`,
        `  revision     ${formatCount(collection.revision)}`,
        `  fingerprint  ${collection.fingerprint}`,
        `  standard     ${collection.standard ?? "none bound: each client chooses"}`,
        `  conflicts    ${formatCount(collection.conflicts)}`,
        `  uid          ${collection.uid}`,
        `  created      ${collection.createTime}`,
        "",
      ].join("\n"),
    );
  },
});

/** `tercet collections create` */
export const createCollectionCommand = defineCommand({
  options: (yargs) =>
    yargs
      .positional("name", { type: "string", demandOption: true, describe: "Name of the collection" })
      .option("standard", standardOption("Bind a change standard for every exchange; else each client chooses"))
      .options(SERVER_NEEDED)
      .example("$0 collections create places --standard CLIENT --server 127.0.0.1:7727", ""),
  async run(argv) {
    const { METHODS } = await import("../index.js");
    const { parseStandard } = await import("../../core/standard.js");
    const request = { collection: argv.name, standard: parseStandard(argv.standard ?? "") ?? 0 };
    const { collection, created } = await withServer(argv, async (connection, bounds) => {
      // The answer is the same whether it was there. If another one makes it in between, that is said to be this one.
      const created = await connection.unary(METHODS.getCollection, { collection: argv.name }, bounds).then(
        () => false,
        ({ reason }: TercetError) => reason === "COLLECTION_NOT_FOUND",
      );
      return { ...(await connection.unary(METHODS.createCollection, request, bounds)), created };
    });
    if (collection === undefined) throw new Error(`${argv.server} did not say anything of ${argv.name}`);
    if (argv["json"] === true) return printJson({ ...(await toView(collection)), created });
    const bound = argv.standard === undefined ? "" : `, bound to ${argv.standard}`;
    await printLine(`${created ? "created" : "was there:"} ${collection.name}${bound}`);
  },
});

/** `tercet collections delete` */
export const deleteCollectionCommand = defineCommand({
  options: (yargs) =>
    yargs
      .positional("name", { type: "string", demandOption: true, describe: "Name of the collection" })
      .option("yes", { type: "boolean", default: false, describe: "Do not ask" })
      .options(SERVER_NEEDED),
  async run(argv) {
    const { name, uid, count } = await getCollection(argv, argv.name);
    if (!argv.yes) await confirm(name, count);
    const { METHODS } = await import("../index.js");
    // By its uid: the one that was looked at, and no later one of that name.
    const request = { collection: name, uid: Buffer.from(uid, "hex") };
    await withServer(argv, (connection, bounds) => connection.unary(METHODS.deleteCollection, request, bounds));
    if (argv["json"] === true) return printJson({ deleted: name, uid, count });
    await printLine(`deleted ${name} (${formatCount(count)} items)`);
  },
});

async function confirm(name: string, count: number): Promise<void> {
  if (process.stdin.isTTY !== true || process.stderr.isTTY !== true) {
    throw usageError(`deleting ${name} (${formatCount(count)} items) can't be undone; say --yes`);
  }
  const { createInterface } = await import("node:readline/promises");
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await lines.question(
      `Delete ${name} with its ${formatCount(count)} items for ever? Type its name: `,
    );
    if (answer.trim() === name) return;
  } finally {
    lines.close();
  }
  throw new CliError("nothing was deleted", { code: "CANCELLED", reason: "NOT_CONFIRMED" });
}
