import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it, vi } from "vitest";
import { GRPCURL, installGoTool } from "../../scripts/cookbook/tools.js";
import { isLeftOut } from "./toolchain.js";

afterEach(() => vi.unstubAllEnvs());

it("leaves out what needs a missing program, but for a continuous integration", () => {
  vi.stubEnv("CI", undefined);
  expect(isLeftOut("no-such-program")).toBe(true);
  expect(isLeftOut("node")).toBe(false);
  vi.stubEnv("CI", "true");
  expect(isLeftOut("no-such-program")).toBe(false);
});

it("fails where Go is missing, and says so", async () => {
  const empty = mkdtempSync(join(tmpdir(), "tercet-no-go-"));
  vi.stubEnv("PATH", empty);
  await expect(installGoTool(GRPCURL, empty)).rejects.toThrow("grpcurl is built by Go, which is not installed");
  rmSync(empty, { recursive: true, force: true });
});
