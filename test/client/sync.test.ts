import { readFileSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openReplica, type Replica, TercetError } from "../../client/index.js";
import { type Place, refusal, startPlace } from "./harness.js";

describe("an exchange of the library's", () => {
  let place: Place;
  let replica: Replica;
  beforeEach(async () => {
    place = await startPlace();
    replica = place.replica();
    replica.putMany(Array.from({ length: 50 }, (_, n) => [`item-${n}`, "x"]));
  });
  afterEach(() => place.stop());

  it("ends with what onProgress throws, or rejects with, and the next one goes on", async () => {
    const thrown = new Error("the application's own");
    const ways: (() => unknown)[] = [
      () => {
        throw thrown;
      },
      () => Promise.reject(thrown),
    ];
    for (const [index, onProgress] of ways.entries()) {
      replica.put("more", String(index));
      const options = { server: place.server, create: true, onProgress: onProgress as () => void };
      if (index === 0) await expect(replica.sync(options)).rejects.toBe(thrown);
      // A promise may be too late for an exchange as short as this one; its rejection has an owner all the same.
      else await replica.sync(options).catch((error) => expect(error).toBe(thrown));
      const report = await replica.sync({ server: place.server });
      expect(report).toMatchObject({ verified: true, count: 51 });
      expect(replica.status().pending).toBe(0);
    }
  });

  it("fails where onProgress throws undefined, too", async () => {
    const onProgress = () => {
      // biome-ignore lint/style/useThrowOnlyError: an application may
      throw undefined;
    };
    await expect(replica.sync({ server: place.server, create: true, onProgress })).rejects.toThrow("onProgress");
  });

  it("says what it waited for where the other side is silent", async () => {
    const sockets: Socket[] = [];
    const silent = createServer((socket) => void sockets.push(socket));
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const address = `127.0.0.1:${(silent.address() as { port: number }).port}`;
    const told = await refusal(() => replica.sync({ server: address, stepTimeoutMs: 50 }));
    expect(told).toMatchObject({ code: "DEADLINE_EXCEEDED", reason: "STALLED" });
    expect(told.message).toBe(`no answer from ${address} for 0.05 s`);
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => silent.close(resolve));
  });

  it("says in words that the server has no TLS, and keeps what OpenSSL said as the cause", async () => {
    const server = place.server.replace("127.0.0.1", "localhost");
    const error = await replica.sync({ server, tls: true }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(TercetError);
    const { code, message, cause } = error as TercetError;
    expect(code).toBe("UNAVAILABLE");
    expect(message).toContain("does not speak TLS");
    expect(message).not.toMatch(/SSL routines|\n/);
    expect((cause as Error).message).toMatch(/SSL/);
  });

  it("leaves a replica whose damage a check names", async () => {
    replica.put("whole", "a content to be found");
    await replica.sync({ server: place.server, create: true });
    expect(replica.check()).toEqual({ sound: true, damaged: [], damagedCount: 0, agreedRight: true });
    replica.close();
    const path = join(place.directory, "c.replica");
    const bytes = readFileSync(path);
    bytes.write("A", bytes.indexOf("a content to be found"));
    writeFileSync(path, bytes);
    const damaged = openReplica(path);
    expect(damaged.check()).toEqual({ sound: false, damaged: ["whole"], damagedCount: 1, agreedRight: true });
    expect(damaged.audit()).toBe(false);
    damaged.close();
  });

  it("leaves no change without an owner where a transaction's function is asynchronous, and fails", async () => {
    const changes = () => Promise.reject(new Error("too late"));
    const told = await refusal(() => replica.transaction(changes));
    expect(told).toMatchObject({ code: "INVALID_ARGUMENT", fields: ["changes"] });
  });
});
