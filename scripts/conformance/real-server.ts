import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Connection, connect } from "../../client/connection.js";
import { type RunningServer, type ServerOptions, startServer } from "../../server/index.js";
import { createServerApi, type ServerApi } from "./server-api.js";

/** A server on a data directory of its own, which can be ended, restored and turned back. */
export interface RealServer {
  readonly address: string;
  readonly api: ServerApi;
  readonly connection: Connection;
  /** What its clock shows from now on, in microseconds, standing still; 0: the real one. */
  setClock(us: number): void;
  /** Ends it at once and starts it again on what it has on its disk, with other options if there are any. */
  restart(options?: Partial<ServerOptions>): Promise<void>;
  /** Copies its data, as a backup does. */
  backup(): Promise<void>;
  /** Puts the backup in place of its data, and starts again. */
  restore(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts one. */
export async function startRealServer(options: Partial<ServerOptions> = {}): Promise<RealServer> {
  const directory = mkdtempSync(join(tmpdir(), "tercet-kit-"));
  const data = join(directory, "data");
  const saved = join(directory, "backup");
  let clockUs = 0;
  let given = options;
  const surroundings = {
    nowUs: () => (clockUs === 0 ? Date.now() * 1000 : clockUs),
    // Nothing is to be removed by itself in the middle of a case.
    repeat: () => () => undefined,
  };
  const start = (): Promise<RunningServer> =>
    startServer({ port: 0, graceMs: 1000, ...given, directory: data }, surroundings);
  let server = await start();
  let connection = connect(server.address);
  let api = createServerApi(connection);

  async function again(change: () => void): Promise<void> {
    await connection.close();
    await server.close();
    change();
    server = await start();
    connection = connect(server.address);
    api = createServerApi(connection);
  }

  return {
    get address() {
      return server.address;
    },
    get api() {
      return api;
    },
    get connection() {
      return connection;
    },
    setClock(us) {
      clockUs = us;
    },
    restart(changed = {}) {
      given = { ...given, ...changed };
      return again(() => undefined);
    },
    backup: () => again(() => cpSync(data, saved, { recursive: true })),
    restore() {
      return again(() => {
        rmSync(data, { recursive: true, force: true });
        cpSync(saved, data, { recursive: true });
      });
    },
    async stop() {
      await connection.close();
      await server.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
