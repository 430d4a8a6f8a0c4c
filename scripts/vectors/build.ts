import { comparisonVectors } from "./comparison.js";
import { errorVectors } from "./errors.js";
import { fingerprintVectors, rangeFingerprintVectors } from "./fingerprints.js";
import { idVectors } from "./ids.js";
import { type Json, jsonText } from "./json-text.js";
import { pageVectors } from "./pages.js";
import type { Scenario } from "./scenario.js";
import { faultScenarios } from "./scenarios-fault.js";
import { plainScenarios } from "./scenarios-plain.js";
import { recoveryScenarios } from "./scenarios-recovery.js";
import { scriptScenarios } from "./scenarios-script.js";
import { standardVectors } from "./standards.js";

const FORMAT = "One exchange or several, one after the other, as in README.md of this folder under 'Transcripts'.";

/** All transcripts. */
export const scenarios: readonly Scenario[] = [
  ...plainScenarios,
  ...faultScenarios,
  ...scriptScenarios,
  ...recoveryScenarios,
];

/** All vectors: for each file, below test/conformance/vectors, what it holds. */
export function buildVectors(): ReadonlyMap<string, string> {
  const files = new Map<string, Json>([
    ["fingerprints.json", fingerprintVectors()],
    ["range-fingerprints.json", rangeFingerprintVectors()],
    ["ids.json", idVectors()],
    ["comparison.json", comparisonVectors()],
    ["standards.json", standardVectors()],
    ["pages.json", pageVectors()],
    ["errors.json", errorVectors()],
  ]);
  for (const scenario of scenarios) files.set(`exchanges/${scenario.name}.json`, transcript(scenario));
  return new Map([...files].map(([name, json]) => [name, jsonText(json)]));
}

function transcript({ name, description, exchanges }: Scenario): Json {
  try {
    return { name, description, format: FORMAT, exchanges: exchanges() };
  } catch (error) {
    throw new Error(`transcript ${name}: ${error instanceof Error ? error.message : error}`, { cause: error });
  }
}
