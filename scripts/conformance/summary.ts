import type { Outcome } from "./run-cases.js";

/** Outcomes of a suite, held against what is known to fail. */
export interface Summary {
  readonly suite: string;
  readonly outcomes: readonly Outcome[];
  readonly passed: number;
  readonly skipped: number;
  /** Failures that are not known. */
  readonly failed: readonly Outcome[];
  readonly knownFailed: readonly Outcome[];
  /** Known failures that passed: the list is to be mended. */
  readonly unexpected: readonly Outcome[];
}

/** Counts outcomes. */
export function summarize(suite: string, outcomes: readonly Outcome[], isKnown: (name: string) => boolean): Summary {
  const failures = outcomes.filter(({ result }) => result === "failed");
  return {
    suite,
    outcomes,
    passed: outcomes.filter(({ result }) => result === "passed").length,
    skipped: outcomes.filter(({ result }) => result === "skipped").length,
    failed: failures.filter(({ name }) => !isKnown(name)),
    knownFailed: failures.filter(({ name }) => isKnown(name)),
    unexpected: outcomes.filter(({ name, result }) => result === "passed" && isKnown(name)),
  };
}

/** A failure, for people: its name, one line of why, and what the testee wrote. */
export function describeFailure({ name, why, stderr }: Outcome): string {
  const lines = stderr.trimEnd() === "" ? [] : stderr.trimEnd().split("\n").slice(-20);
  return [`FAILED ${name}`, `    ${why}`, ...lines.map((line) => `    stderr: ${line}`)].join("\n");
}

/** The end of a suite, for people. */
export function describeSummary(summary: Summary): string {
  const { suite, passed, failed, skipped, knownFailed, unexpected } = summary;
  const known = knownFailed.length === 0 ? "" : `, ${knownFailed.length} known to fail`;
  const without = skipped === 0 ? "" : `, ${skipped} skipped for want of a feature`;
  const lines = unexpected.map(({ name }) => `${suite}: ${name} is known to fail, and passed`);
  return [...lines, `${suite}: ${passed} passed, ${failed.length} failed${known}${without}`].join("\n");
}

/** Suites as JUnit's XML, which CI systems read. Known failures are told as skipped. */
export function toJunit(summaries: readonly Summary[]): string {
  const suites = summaries.map(({ suite, outcomes, failed, knownFailed, skipped }) => {
    const known = new Set(knownFailed);
    const cases = outcomes.map((outcome) => junitCase(suite, outcome, known.has(outcome)));
    const counts = `tests="${outcomes.length}" failures="${failed.length}" skipped="${skipped + knownFailed.length}"`;
    return `  <testsuite name="${escaped(suite)}" ${counts}>\n${cases.join("")}  </testsuite>\n`;
  });
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n${suites.join("")}</testsuites>\n`;
}

function junitCase(suite: string, { name, result, why, stderr, ms }: Outcome, known: boolean): string {
  const head = `    <testcase classname="${escaped(suite)}" name="${escaped(name)}" time="${(ms / 1000).toFixed(3)}"`;
  if (result === "passed") return `${head}/>\n`;
  const said = `message="${escaped(why)}"`;
  if (result === "skipped" || known) return `${head}><skipped ${said}/></testcase>\n`;
  return `${head}><failure ${said}>${escaped(stderr)}</failure></testcase>\n`;
}

function escaped(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what XML can't carry
  const clean = text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "\ufffd").toWellFormed();
  const named: Readonly<Record<string, string>> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "\n": "&#10;",
  };
  return clean.replace(/[&<>"\n]/g, (character) => named[character] ?? character);
}
