import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("../../", import.meta.url));

describe("npm run breaking", () => {
  let copy: string;
  beforeEach(() => {
    copy = mkdtempSync(join(tmpdir(), "tercet-breaking-"));
    for (const name of ["package.json", "buf.yaml", "proto", join("scripts", "breaking.js")]) {
      cpSync(join(root, name), join(copy, name), { recursive: true });
    }
    symlinkSync(join(root, "node_modules"), join(copy, "node_modules"), "dir");
  });
  afterEach(() => rmSync(copy, { recursive: true, force: true }));

  /** What the script says of the copy. */
  function breaking(...args: string[]): { readonly ok: boolean; readonly said: string } {
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(copy, "scripts", "breaking.js"), ...args], {
      encoding: "utf8",
    });
    return { ok: status === 0, said: `${stdout}${stderr}` };
  }

  /** Changes a file of the contract. */
  function edit(name: string, from: string, to: string): void {
    const file = join(copy, "proto", "tercet", "v1", name);
    const source = readFileSync(file, "utf8");
    expect(source).toContain(from);
    writeFileSync(file, source.replace(from, to));
  }

  it("has the contract of a release, with all that it imports, and finds nothing in what is here", () => {
    expect(breaking()).toEqual({ ok: true, said: "" });
  });

  it.each([
    ["a field that is gone", "item.proto", "  int64 group = 7;\n", "", "Previously present field"],
    ["a field of another type", "sync.proto", "int64 head = 4;", "string head = 4;", "changed type"],
    ["a field of another number", "sync.proto", "int64 head = 4;", "int64 head = 40;", "Previously present field"],
    ["a field of another name", "item.proto", "bytes token = 1;", "bytes mark = 1;", "changed name"],
    ["an enum value of another number", "error.proto", "STALLED = 34;", "STALLED = 340;", "Previously present"],
    ["a call that is gone", "item_service.proto", "  rpc GetItem(", "  rpc ReadItem(", "Previously present RPC"],
    ["an answer of another type", "item_service.proto", "(GetItemResponse)", "(ListItemsResponse)", "response type"],
  ])("refuses %s", (_what, file, from, to, why) => {
    edit(file, from, to);
    const { ok, said } = breaking();
    expect(said).toContain(why);
    expect(said).toContain("breaks the contract of v");
    expect(ok).toBe(false);
  });

  it("takes what is added, and it is the contract of the next release", () => {
    edit("item.proto", "bytes token = 1;", "bytes token = 1;\n  // Added.\n  string more = 3;");
    edit("error.proto", "STALLED = 34;", "STALLED = 34;\n  // Added.\n  ERROR_REASON_MORE = 99;");
    expect(breaking()).toEqual({ ok: true, said: "" });
    const manifest = join(copy, "package.json");
    writeFileSync(manifest, readFileSync(manifest, "utf8").replace(/"version": ".*"/, '"version": "0.10.0"'));
    expect(breaking("--release").ok).toBe(true);
    expect(breaking()).toEqual({ ok: true, said: "" });
    edit("item.proto", "  // Added.\n  string more = 3;", "");
    expect(breaking().said).toContain("breaks the contract of v0.10.0");
  });

  it("does not pass where there is no release to hold it against", () => {
    rmSync(join(copy, "proto", "released"), { recursive: true });
    expect(breaking()).toMatchObject({ ok: false, said: expect.stringContaining("there is no release") });
  });
});
