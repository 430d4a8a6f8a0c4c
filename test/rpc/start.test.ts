import { generateKeyPairSync } from "node:crypto";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { LIMIT_BOUNDS } from "../../core/limits.js";
import type { Limits } from "../../gen/tercet/v1/sync.js";
import { announces } from "../../server/cli.js";
import { type ServerOptions, StartError, startServer } from "../../server/index.js";

/** Self-signed; nobody has its key any more. */
const CERT = Buffer.from(`-----BEGIN CERTIFICATE-----
MIIBfzCCASWgAwIBAgIUBZY1bacvlIGbbWjflwR/eZ3XP+0wCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMjE4NTgzMloYDzIxMjYxMDI5
MTg1ODMyWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAASit28gBfX68be6CZp+PVhlbpIY9wpuvnHN08+prPihGhA4pCH2EnT9
TGK1Lgr2MjksLNN8dMs3+g8skqd1N4N9o1MwUTAdBgNVHQ4EFgQUImOlC8ueBKGj
9RZrgYwwVhbeBKowHwYDVR0jBBgwFoAUImOlC8ueBKGj9RZrgYwwVhbeBKowDwYD
VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEA3btpviTygejlzJ1KEIjq
YHXIgHMZiim+IFE4BdK85VUCIEj68RZDALpn4tGitAXOng+07Wz6oq7RVTdtYay7
aQy+
-----END CERTIFICATE-----
`);
const KEY = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ type: "pkcs8", format: "pem" });

describe("startServer", () => {
  let parent: string;
  beforeEach(() => {
    parent = mkdtempSync(join(tmpdir(), "tercet-start-"));
  });
  afterEach(() => rmSync(parent, { recursive: true }));

  /** What it says where it does not start; nothing was made then. */
  async function refusal(options: Partial<ServerOptions>): Promise<string> {
    const directory = join(parent, "data");
    const error = await startServer({ directory, port: 0, ...options }).then(
      (server) => server.close(),
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(StartError);
    expect(existsSync(directory)).toBe(false);
    return (error as StartError).message;
  }

  it.each(Object.keys(LIMIT_BOUNDS) as (keyof Limits)[])(
    "refuses %s out of its bounds, and takes them",
    async (name) => {
      const { least, most } = LIMIT_BOUNDS[name];
      for (const value of [least - 1, most + 1, least + 0.5, Number.NaN]) {
        const words = `limits.${name} must be a whole number from ${least} to ${most}, not ${value}`;
        expect(await refusal({ limits: { [name]: value } })).toBe(words);
      }
      for (const value of [least, most]) {
        await (await startServer({ directory: parent, port: 0, limits: { [name]: value } })).close();
      }
    },
  );

  it.each(["tombstoneRetentionMs", "conflictRetentionMs"] as const)("refuses %s out of its bounds", async (name) => {
    const most = 36_500 * 86_400_000;
    for (const value of [-1, most + 1, Number.NaN]) {
      expect(await refusal({ [name]: value })).toBe(`${name} must be from 0 to ${most} milliseconds, not ${value}`);
    }
    for (const value of [0, most]) await (await startServer({ directory: parent, port: 0, [name]: value })).close();
  });

  it.each(["graceMs", "stepTimeoutMs", "skewMs", "housekeepingMs"] as const)(
    "refuses %s out of its bounds",
    async (name) => {
      for (const value of [-1, 2 ** 31, Number.NaN]) {
        expect(await refusal({ [name]: value })).toMatch(
          new RegExp(`^${name} must be from \\d to \\d+ milliseconds, not`),
        );
      }
    },
  );

  it("refuses what programs in JavaScript leave out, by its name", async () => {
    expect(await refusal({ directory: undefined as never })).toMatch(/^directory must be the path of the data dir/);
    expect(await refusal({ directory: "" })).toMatch(/^directory must be/);
    expect(await refusal({ host: 5 as never })).toMatch(/^host must be an address to listen on, not 5/);
    for (const port of ["7727" as never, -1, 65_536, 0.5])
      expect(await refusal({ port })).toMatch(/^port must be a whole/);
    expect(await refusal({ tls: {} as never })).toBe("tls.cert (--tls-cert) must be bytes, of PEM");
    const error = await startServer(undefined as never).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(StartError);
    expect(error).toHaveProperty("message", expect.stringMatching(/^options must be an object with a directory/));
  });

  it.each(["127.0.0.1", "0.0.0.0"])("makes nothing where the port is in use, at %s", async (host) => {
    const other = await startServer({ directory: join(parent, "other"), host, port: 0 });
    try {
      expect(await refusal({ host, port: other.port })).toBe(
        `cannot listen on ${host}:${other.port}: the port is in use`,
      );
    } finally {
      await other.close();
    }
    const { port } = other;
    const again = await startServer({ directory: join(parent, "other"), host, port });
    expect(again.port).toBe(port);
    await again.close();
  });

  it("says which of certificate, key and authorities is wrong", async () => {
    const key = Buffer.from(KEY);
    const nothing = Buffer.from("nothing");
    const [certName, keyName] = ["tls.cert (--tls-cert)", "tls.key (--tls-key)"];
    const swapped = `${certName} is a private key and ${keyName} a certificate: they are swapped`;
    expect(await refusal({ tls: { cert: key, key: CERT } })).toBe(swapped);
    expect(await refusal({ tls: { cert: CERT, key } })).toBe(`${keyName} is not the key of ${certName}`);
    expect(await refusal({ tls: { cert: nothing, key } })).toContain(`${certName} is not a certificate in PEM`);
    expect(await refusal({ tls: { cert: CERT, key: nothing } })).toContain(`${keyName} is not a private key in PEM`);
  });
});

describe("tercet serve", () => {
  it("says once on a terminal that it serves", () => {
    const [terminal, other] = [{ isTTY: true }, {}];
    const info = { "log-level": "info" } as const;
    expect(announces(info, { stdout: terminal, stderr: terminal })).toBe(false);
    expect(announces(info, { stdout: terminal, stderr: other })).toBe(true);
    expect(announces(info, { stdout: other, stderr: terminal })).toBe(true);
    expect(announces({ "log-level": "warn" }, { stdout: terminal, stderr: terminal })).toBe(true);
  });
});
