import { readFileSync } from "node:fs";

/** Whether a case's name has a pattern in it: `*` stands for anything, everything else for itself. */
export function matches(name: string, pattern: string): boolean {
  const parts = pattern.split("*");
  let at = 0;
  for (const part of parts) {
    const found = name.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return true;
}

/**
 * Names or patterns of cases that are known to fail: one a line, `#` begins a comment. A name stands for itself, not for
 * what contains it.
 *
 * @throws Error where the file can't be read.
 */
export function readKnownFailing(path: string): (name: string) => boolean {
  const lines = readFileSync(path, "utf8")
    .split("\n")
    .map((line) => line.replace(/#.*/, "").trim());
  const known = lines.filter((line) => line !== "");
  const exact = new Set(known.filter((line) => !line.includes("*")));
  const expressions = known.filter((line) => line.includes("*")).map(wholeName);
  return (name) => exact.has(name) || expressions.some((expression) => expression.test(name));
}

function wholeName(pattern: string): RegExp {
  const parts = pattern.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`);
}
