import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ChannelCredentials, credentials } from "@grpc/grpc-js";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { channelCredentials } from "../../client/connection-credentials.js";
import { createReplica, type Replica } from "../../client/index.js";
import { whyUnreachable } from "../../client/why-unreachable.js";
import { type RunningServer, startServer } from "../../server/index.js";
import { CERTIFICATE, KEY, OTHER_CERTIFICATE } from "./tls-certificates.js";

let directory: string;
let replica: Replica;
let server: RunningServer | undefined;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "tercet-tls-"));
  replica = createReplica(join(directory, "a.replica"), { collection: "c" });
  replica.put("x", "1");
});

afterEach(async () => {
  replica.close();
  await server?.close();
  rmSync(directory, { recursive: true, force: true });
});

async function serve(cert: Buffer): Promise<string> {
  server = await startServer({ directory: join(directory, "data"), port: 0, tls: { cert, key: KEY } });
  return server.address;
}

test("a server at an IP address is held against it, without a warning of Node's", async () => {
  const warned: unknown[] = [];
  const note = (warning: unknown): number => warned.push(warning);
  process.on("warning", note);
  const address = await serve(CERTIFICATE);
  expect(address).toMatch(/^127\.0\.0\.1:/);
  const report = await replica.sync({ server: address, create: true, tls: { ca: CERTIFICATE } });
  // Warnings come in a later turn.
  await new Promise((resolve) => setImmediate(resolve));
  process.off("warning", note);
  expect(report).toMatchObject({ sent: 1, verified: true });
  expect(warned).toEqual([]);
});

test("a certificate for another address or name is refused", async () => {
  const address = await serve(OTHER_CERTIFICATE);
  const tls = { ca: OTHER_CERTIFICATE };
  for (const target of [address, address.replace("127.0.0.1", "localhost")]) {
    const refused = expect(replica.sync({ server: target, create: true, tls })).rejects;
    await refused.toMatchObject({ code: "UNAVAILABLE", message: expect.stringMatching("for another name") });
  }
});

test("what is no certificate, or not its key, is refused by its name", async () => {
  const address = await serve(CERTIFICATE);
  const other = Buffer.from(generateKeyPairSync("ec", EC).privateKey.export({ type: "pkcs8", format: "pem" }));
  const cases: readonly [field: string, tls: unknown][] = [
    ["tls", false],
    ["tls.ca", { ca: KEY }],
    ["tls.ca", { ca: Buffer.from("nothing") }],
    ["tls.ca", { ca: "/path" }],
    ["tls.cert", { cert: CERTIFICATE }],
    ["tls.key", { key: KEY }],
    ["tls.cert", { cert: KEY, key: CERTIFICATE }],
    ["tls.key", { cert: CERTIFICATE, key: CERTIFICATE }],
    ["tls.key", { cert: CERTIFICATE, key: other }],
  ];
  for (const [field, tls] of cases) {
    const refused = { code: "INVALID_ARGUMENT", reason: "INVALID_FIELD", fields: [{ field }] };
    await expect(replica.sync({ server: address, create: true, tls: tls as never })).rejects.toMatchObject(refused);
    await expect(replica.sync({ server: address, live: true, tls: tls as never }).ended).rejects.toMatchObject(refused);
  }
  const bundle = Buffer.concat([CERTIFICATE, OTHER_CERTIFICATE]);
  const tls = { ca: bundle, cert: CERTIFICATE, key: KEY };
  expect(await replica.sync({ server: address, create: true, tls })).toMatchObject({ verified: true });
});

test("what is wrong with the certificates of both sides is said in words", async () => {
  const asking = { cert: CERTIFICATE, key: KEY, ca: CERTIFICATE };
  server = await startServer({ directory: join(directory, "data"), port: 0, tls: asking });
  const cases = [
    [{ ca: CERTIFICATE }, "it asks for a certificate of this client (--tls-cert and --tls-key, tls.cert and tls.key)"],
    [{ ca: CERTIFICATE, cert: OTHER_CERTIFICATE, key: KEY }, "this client's certificate, if it shows one, accepted?"],
    [true, "its certificate is of no authority that is trusted here (--tls-ca, tls.ca)"],
  ] as const;
  for (const [tls, message] of cases) {
    const refused = expect(replica.sync({ server: server.address, create: true, tls })).rejects;
    await refused.toMatchObject({ code: "UNAVAILABLE", message: expect.stringContaining(message) });
  }
  const tls = { ca: CERTIFICATE, cert: CERTIFICATE, key: KEY };
  expect(await replica.sync({ server: server.address, create: true, tls })).toMatchObject({ verified: true });
});

test.each([
  ["Error: certificate is not yet valid", "its certificate is not valid yet"],
  ["Error: certificate has expired", "its certificate has expired"],
  [
    "Error: 80FC:error:0A000410:SSL routines:ssl3_read_bytes:sslv3 alert handshake failure:a.c:1:\n",
    "it asks for a certi",
  ],
  [
    "Error: 80FC:error:0A000418:SSL routines:ssl3_read_bytes:tlsv1 alert unknown ca:a.c:1:\n",
    "it does not accept the cert",
  ],
  ["Error: connect EHOSTUNREACH 10.0.0.1:7727. Resolution note: ", "connect EHOSTUNREACH 10.0.0.1:7727"],
])("other servers' refusals are said in words, too: %s", (said, words) => {
  expect(whyUnreachable(`No connection established. Last error: ${said}`)).toMatch(new RegExp(`^${words}`));
});

const EC = { namedCurve: "P-256" } as const;

test("credentials without what the name is told by are taken as they are", () => {
  const others = {} as ChannelCredentials;
  const create = vi.spyOn(credentials, "createSsl").mockReturnValue(others);
  const made = channelCredentials({ tls: true });
  create.mockRestore();
  expect(made).toBe(others);
});
