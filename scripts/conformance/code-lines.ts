import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "./root.js";

/** Files that are the client: not its testee, its tests, and what its build makes. */
const CLIENTS: Readonly<Record<string, { readonly folder: string; readonly source: RegExp; readonly except: RegExp }>> =
  {
    python: { folder: "python/tercet_client", source: /\.py$/, except: /^$/ },
    typescript: { folder: "typescript", source: /\.ts$/, except: /^testee\.ts$/ },
    go: { folder: "go/client", source: /\.go$/, except: /_test\.go$/ },
    java: { folder: "java/src/main/java/tercet/client", source: /\.java$/, except: /^$/ },
    rust: { folder: "rust/src", source: /\.rs$/, except: /^$/ },
  };

/** Lines of a reference client. */
export interface CodeLines {
  readonly language: string;
  /** Files of the client itself. */
  readonly files: number;
  /** All of their lines. */
  readonly lines: number;
  /** Those that are neither blank nor nothing but a comment. */
  readonly code: number;
}

/** Counts the lines of each reference client, without its testee, its tests and generated code. */
export function countClients(): CodeLines[] {
  return Object.entries(CLIENTS).map(([language, { folder, source, except }]) => {
    const path = join(ROOT, "test/conformance", folder);
    const names = readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isFile());
    const files = names.map(({ name }) => name).filter((name) => source.test(name) && !except.test(name));
    const texts = files.map((name) => readFileSync(join(path, name), "utf8"));
    const sum = (count: (text: string) => number): number => texts.reduce((total, text) => total + count(text), 0);
    return { language, files: files.length, lines: sum(linesOf), code: sum(codeLinesOf) };
  });
}

/** The table of the page, in Markdown; in round numbers. */
export function codeLinesTable(): string {
  const rows = countClients().map(({ language, files, lines, code }) => {
    return `| ${language} | ${files} | ${rounded(lines)} | ${rounded(code)} |`;
  });
  return ["| client | files | lines | of code |", "| --- | ---: | ---: | ---: |", ...rows].join("\n");
}

/** To the next 50, so that not every change of a client changes the page. */
function rounded(count: number): string {
  return (Math.round(count / 50) * 50).toLocaleString("en-US");
}

function linesOf(text: string): number {
  return text.split("\n").length - 1;
}

/** Lines of code: blank ones, comments and docstrings are none. */
export function codeLinesOf(text: string): number {
  let end: string | undefined;
  let count = 0;
  for (const line of text.split("\n").map((each) => each.trim())) {
    if (end !== undefined) {
      if (line.includes(end)) end = undefined;
      continue;
    }
    if (line.startsWith("/*") && !line.includes("*/")) end = "*/";
    if (line.startsWith('"""') && !line.slice(3).includes('"""')) end = '"""';
    if (line !== "" && !/^(\/\/|\/\*|"""|# |#$)/.test(line)) count += 1;
  }
  return count;
}
