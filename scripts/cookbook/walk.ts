import { spawn } from "node:child_process";
import { delimiter } from "node:path";
import { sameExchange } from "./same-exchange.js";

/** Where the commands of a page are run. */
export interface Place {
  /** The server's address, which stands for `PAGE_ADDRESS`. */
  readonly address: string;
  /** The folder of grpcurl. */
  readonly tools: string;
  /** The folder to run in: the repository's. */
  readonly directory: string;
}

/** The address that pages have in their commands. */
export const PAGE_ADDRESS = "127.0.0.1:7727";

/** A fenced block of a page. */
interface Block {
  readonly language: string;
  readonly text: string;
  /** Lines of the page, from the one with the opening fence up to the one behind the closing fence. */
  readonly from: number;
  readonly to: number;
}

/** Blocks in these languages, right behind a block of commands, show what it prints. */
const OUTPUTS: readonly string[] = ["json", "text", "proto"];
const MARK = "--- end of block, status";

/** What came of a walk through a page. */
export interface Walked {
  /** The page with what its commands print now. */
  readonly page: string;
  /** Blocks of commands that were run. */
  readonly blocks: number;
  /** Lines of the page that was given, from 1, where another output begins than it showed. */
  readonly changed: readonly number[];
}

/**
 * Runs all commands of a page, one block of `sh` after the other in one shell, and answers the page with what they print
 * now. What is another thing each time stands as a placeholder in it, so that a page that is up to date comes back as it is.
 *
 * @throws Error where a block ends with another status than 0, or prints something that the page does not show.
 */
export async function walkPage(page: string, place: Place): Promise<Walked> {
  const lines = page.split("\n");
  const blocks = blocksOf(lines);
  const commands = blocks.filter(({ language }) => language === "sh");
  const printed = await runBlocks(commands, place);
  const renewed = [...lines];
  const changed: number[] = [];
  for (const [at, block] of [...commands.entries()].reverse()) {
    const shown = blocks.find(({ language, from }) => from === block.to && OUTPUTS.includes(language));
    const text = normalized(printed[at] ?? "", place);
    if (shown === undefined) {
      if (text === "") continue;
      throw new Error(`the page does not show what this prints:\n${block.text}\n\n${text}`);
    }
    if (shown.text === text || sameExchange(shown.text, text)) continue;
    renewed.splice(shown.from + 1, shown.to - shown.from - 2, ...text.split("\n"));
    changed.unshift(shown.from + 2);
  }
  return { page: renewed.join("\n"), blocks: commands.length, changed };
}

function blocksOf(lines: readonly string[]): Block[] {
  const blocks: Block[] = [];
  let begun: { readonly language: string; readonly from: number } | undefined;
  for (const [at, line] of lines.entries()) {
    if (begun === undefined && line.startsWith("```")) begun = { language: line.slice(3), from: at };
    else if (begun !== undefined && line === "```") {
      blocks.push({ ...begun, text: lines.slice(begun.from + 1, at).join("\n"), to: at + 1 });
      begun = undefined;
    }
  }
  return blocks;
}

/** What each block prints, errors included. */
async function runBlocks(blocks: readonly Block[], { address, tools, directory }: Place): Promise<string[]> {
  const script = blocks.map(({ text }) => `{\n${text}\n} 2>&1\necho "${MARK} $?"\n`).join("");
  const out = await runShell(script.replaceAll(PAGE_ADDRESS, address), tools, directory);
  const texts = out.split(new RegExp(`^${MARK} `, "m"));
  // Each part but the first begins with the status of the block before it.
  const statuses = texts.slice(1).map((text) => Number.parseInt(text, 10));
  const printed = texts.map((text, at) => (at === 0 ? text : text.slice(text.indexOf("\n") + 1)));
  for (const [at, { text }] of blocks.entries()) {
    if (statuses[at] !== 0) throw new Error(`status ${statuses[at]}, not 0, of\n${text}\n\n${printed[at]}`);
  }
  return printed;
}

function runShell(script: string, tools: string, directory: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, PATH: `${tools}${delimiter}${process.env["PATH"] ?? ""}`, LC_ALL: "C" };
    const child = spawn("bash", ["-c", script], { cwd: directory, env, stdio: ["ignore", "pipe", "pipe"] });
    let out = "";
    let errors = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      out += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      errors += text;
    });
    child.on("error", reject);
    child.on("close", () => (errors === "" ? resolve(out) : reject(new Error(`the shell said:\n${errors}`))));
  });
}

/** What is random or a time, as the page shows it. */
const PLACEHOLDERS: readonly (readonly [RegExp, string])[] = [
  [/("(?:uid|collectionUid)": )"[^"]*"/g, '$1"<uid>"'],
  [/("token": )"[^"]*"/g, '$1"<token>"'],
  // Names the uid, too.
  [/("tag": )"[^"]*"/g, '$1"<tag>"'],
  [/("\w+TimeUs": )"\d{10,}"/g, '$1"<time>"'],
  [/("id": )"[A-Za-z0-9+/]{11}="/g, '$1"<epoch>"'],
];

function normalized(text: string, { address }: Place): string {
  const normal = PLACEHOLDERS.reduce((rest, [pattern, by]) => rest.replace(pattern, by), text);
  const lines = normal.replaceAll(address, PAGE_ADDRESS).split("\n");
  return lines
    .map((line) => line.trimEnd())
    .join("\n")
    .trim();
}
