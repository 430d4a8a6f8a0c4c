import { describe, expect, test } from "vitest";
import { listVectors, readVectors } from "./read.js";
import { type Recorded, replayClient, replayServer } from "./replay.js";

interface Transcript {
  readonly name: string;
  readonly description: string;
  readonly exchanges: readonly Recorded[];
}

const transcripts = listVectors()
  .filter((name) => name.startsWith("exchanges/"))
  .map((name) => readVectors<Transcript>(name));

test("there are transcripts", () => {
  expect(transcripts.length).toBeGreaterThan(40);
});

describe.each(transcripts)("$name", ({ exchanges }) => {
  exchanges.forEach((recorded, at) => {
    const name = recorded.title ?? `exchange ${at + 1}`;
    test(`${name}: the server`, () => replayServer(recorded));
    if (recorded.before.replica !== undefined) test(`${name}: the client`, () => replayClient(recorded));
  });
});
