import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { buildPicture } from "../../scripts/picture/build.js";
import { recordExchange } from "../../scripts/picture/exchange.js";

const committed = readFileSync(new URL("../../docs/exchange.svg", import.meta.url), "utf8");

describe("the picture of the exchange", () => {
  it("is what the messages are now (npm run picture)", () => {
    expect(buildPicture()).toBe(committed);
  });

  it("shows all three steps, in two round trips", () => {
    const names = recordExchange().map(({ from, name }) => `${from} ${name}`);
    expect(names.slice(0, 2)).toEqual(["client Open", "client PushBatch"]);
    for (const name of ["server ChangePage", "client Fetch", "server Contents", "server Verdicts"]) {
      expect(names).toContain(name);
    }
    expect(names.filter((name) => name === "client Done")).toHaveLength(2);
    expect(names.at(-1)).toBe("server status OK");
  });

  it("has no colour of a background, and nothing from elsewhere", () => {
    expect(committed).not.toMatch(/href|<style|<script|fill="(white|black|#fff|#000)/);
  });
});
