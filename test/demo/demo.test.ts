import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CELLS, expectationOf } from "../../scripts/demo/cells.js";
import type { DemoFigures } from "../../scripts/demo/figures.js";

const run = promisify(execFile);
const demo = new URL("../../dist/scripts/demo.js", import.meta.url).pathname;
const ITEMS = 2000;
const PER_CELL = 25;

let temp: string;
let figures: DemoFigures;

function demoProcess(...args: string[]): Promise<{ stdout: string; stderr: string }> {
  return run(process.execPath, [demo, ...args], { env: { ...process.env, TMPDIR: temp }, maxBuffer: 1e8 });
}

beforeAll(async () => {
  temp = mkdtempSync(join(tmpdir(), "tercet-demo-test-"));
  const { stdout, stderr } = await demoProcess("--json", "--items", String(ITEMS));
  expect(stderr).toBe("");
  figures = JSON.parse(stdout) as DemoFigures;
}, 120_000);

afterAll(() => rmSync(temp, { recursive: true, force: true }));

function exchange(name: string) {
  const found = figures.exchanges.find((each) => each.name === name);
  if (found === undefined) throw new Error(`no exchange "${name}"`);
  return found;
}

describe("the demo", () => {
  test("finds every claim of its own to hold, and removes its files", () => {
    expect(figures.checks.filter((check) => !check.ok)).toEqual([]);
    expect(figures.checks.length).toBeGreaterThan(20);
    expect(figures.ok).toBe(true);
    expect(existsSync(temp) && readdirSync(temp)).toEqual([]);
  });

  test("pushes and pulls everything once", () => {
    expect(figures.items).toBe(ITEMS);
    expect(exchange("first push")).toMatchObject({
      replica: "A",
      sent: ITEMS,
      received: 0,
      conflicts: 0,
      verified: true,
    });
    const pull = exchange("first pull");
    expect(pull).toMatchObject({ replica: "B", sent: 0, received: ITEMS, conflicts: 0, verified: true });
    expect(figures.fullCopyBytes).toBe(pull.bytesSent + pull.bytesReceived);
    expect(figures.fullCopyBytes).toBeGreaterThan(figures.contentBytes);
  });

  test("goes through every cell of the table under each standard", () => {
    const seen = figures.cells.map(({ standard, client, server, equal, items, movement, record }) => {
      return { standard, client, server, equal, items, movement, record };
    });
    const table = (["SERVER", "CLIENT"] as const).flatMap((standard) =>
      CELLS.map((cell) => {
        const { movement, record } = expectationOf(cell, standard);
        const { client, server, equal = false } = cell;
        return {
          standard,
          client,
          server,
          equal,
          items: PER_CELL,
          movement,
          ...(record === undefined ? {} : { record }),
        };
      }),
    );
    expect(seen).toEqual(table);
  });

  test("counts the same in its reports, in the round trips that the protocol allows", () => {
    const moved = { settled: 3 * PER_CELL, conflicts: 4 * PER_CELL, rejected: 0 };
    expect(exchange("under SERVER")).toMatchObject({
      ...moved,
      sent: 50,
      sentDeletions: 25,
      received: 125,
      deleted: 50,
    });
    expect(exchange("under CLIENT")).toMatchObject({
      ...moved,
      sent: 125,
      sentDeletions: 50,
      received: 50,
      deleted: 25,
    });
    expect(exchange("under SERVER").roundTrips).toBeLessThanOrEqual(2);
    expect(exchange("under CLIENT").roundTrips).toBeLessThanOrEqual(2);
    expect(exchange("nothing changed").roundTrips).toBe(1);
  });

  test("keeps what gave way on the side that gave way", () => {
    for (const [side, standard] of [
      ["client", "SERVER"],
      ["server", "CLIENT"],
    ] as const) {
      const records = figures.conflicts.filter((record) => record.side === side);
      expect(records.length).toBe(4 * PER_CELL);
      expect(new Set(records.map((record) => record.standard))).toEqual(new Set([standard]));
    }
  });

  test("measures memory, time and bytes of every exchange", () => {
    expect(figures.exchanges.length).toBe(9);
    for (const each of figures.exchanges) {
      expect(each.durationMs).toBeGreaterThan(0);
      expect(each.bytesSent).toBeGreaterThan(0);
      expect(each.bytesReceived).toBeGreaterThan(0);
      expect(each.clientMemoryPeak).toBeGreaterThan(10e6);
      expect(each.serverMemoryPeak).toBeGreaterThan(10e6);
      expect(each.fingerprint).toMatch(/^[0-9a-f]{64}$/);
    }
  });

  test("ends with three equal sides", () => {
    expect(figures.ends.map(({ side }) => side)).toEqual(["server", "A", "B"]);
    expect(new Set(figures.ends.map(({ fingerprint }) => fingerprint)).size).toBe(1);
    expect(new Set(figures.ends.map(({ items }) => items)).size).toBe(1);
  });
});

test("the demo refuses what it can't do", async () => {
  await expect(demoProcess("--items", "3")).rejects.toMatchObject({ code: 1 });
});
