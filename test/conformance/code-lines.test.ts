import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { codeLinesOf, codeLinesTable } from "../../scripts/conformance/code-lines.js";

test("the page says how long the reference clients are", () => {
  const page = readFileSync(new URL("README.md", import.meta.url), "utf8");
  expect(page, "`npm run conformance -- --lines` writes the table").toContain(codeLinesTable());
});

test.each([
  ["blank lines", "\n\na\n\n", 1],
  ["comments of C's kind", "// a\n/* b */\n/*\n * c\n */\n/** d */\ncode(); // e\n", 1],
  ["comments of Python", "# a\ncode()  # b\n", 1],
  ["docstrings", '"""A module."""\n\ndef f():\n    """Does.\n\n    More.\n    """\n    return """text"""\n', 2],
  ["attributes of Rust", "#[derive(Clone)]\nstruct A;\n", 2],
])("of %s nothing is counted", (_, text, count) => {
  expect(codeLinesOf(text)).toBe(count);
});
