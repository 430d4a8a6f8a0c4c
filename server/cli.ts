import { readFileSync } from "node:fs";
import type { ArgumentsCamelCase, Argv, CommandModule } from "yargs";
import { DEFAULT_LIMITS, LIMIT_BOUNDS, type LimitBounds } from "../core/limits.js";
import { TIME_BOUNDS } from "./check-options.js";
import { reportFailure } from "./cli/failure.js";
import {
  DEFAULT_CONFLICT_RETENTION_MS,
  DEFAULT_GRACE_MS,
  DEFAULT_HEARTBEAT_MS,
  DEFAULT_PORT,
  DEFAULT_TOMBSTONE_RETENTION_MS,
  type RunningServer,
  type ServerOptions,
  StartError,
  startServer,
} from "./index.js";
import { createLog, LOG_LEVELS, type LogLevel } from "./log.js";

interface ServeArguments {
  readonly data: string;
  readonly host: string;
  readonly port: number;
  readonly grace: number;
  readonly "step-timeout": number;
  readonly heartbeat: number;
  readonly skew: number;
  readonly "tombstone-days": number;
  readonly "conflict-days": number;
  readonly "inline-limit": number;
  readonly "eager-limit": number;
  readonly "message-limit": number;
  readonly "item-limit": number;
  readonly "tls-cert": string | undefined;
  readonly "tls-key": string | undefined;
  readonly "tls-ca": string | undefined;
  readonly "log-level": LogLevel;
  readonly json: boolean;
}

export { backupCommand } from "./cli/backup.js";
export { restoreCommand } from "./cli/restore.js";

/** `tercet serve` */
export const serveCommand: CommandModule<object, ServeArguments> = {
  command: "serve",
  describe: "Serve the collections of a data directory",
  builder: options,
  handler: serve,
};

const SECOND_MS = 1000;
const DAY_MS = 86_400_000;
const SIGNALS = ["SIGTERM", "SIGINT"] as const;

function options(yargs: Argv): Argv<ServeArguments> {
  return yargs
    .option("data", { type: "string", default: "./tercet-data", describe: "Data directory; made if it is not there" })
    .option("host", { type: "string", default: "127.0.0.1", describe: "Address to listen on" })
    .option("port", { type: "number", default: DEFAULT_PORT, describe: "Port; 0 for any that is free" })
    .option("grace", {
      type: "number",
      default: DEFAULT_GRACE_MS / 1000,
      describe: `Seconds that open exchanges have to finish after SIGTERM or SIGINT${boundsOf("grace")}`,
    })
    .option("step-timeout", {
      type: "number",
      default: 60,
      describe: `Seconds that a client may leave an exchange waiting${boundsOf("step-timeout")}`,
    })
    .option("heartbeat", {
      type: "number",
      default: DEFAULT_HEARTBEAT_MS / SECOND_MS,
      describe: `Seconds after which a live exchange gets a message though nothing changed${boundsOf("heartbeat")}`,
    })
    .option("skew", {
      type: "number",
      default: 60,
      describe: `Seconds that a client's clock may be ahead${boundsOf("skew")}`,
    })
    .option("tombstone-days", {
      type: "number",
      default: DEFAULT_TOMBSTONE_RETENTION_MS / DAY_MS,
      describe: `Days that deletions are remembered; replicas that were away for longer compare all items. 0: for ever${boundsOf("tombstone-days")}`,
    })
    .option("conflict-days", {
      type: "number",
      default: DEFAULT_CONFLICT_RETENTION_MS / DAY_MS,
      describe: `Days that versions which gave way are kept. 0: for ever${boundsOf("conflict-days")}`,
    })
    .option(
      "inline-limit",
      bytes("inline-limit", "inlineBytes", "Contents up to this many bytes ride with their change info"),
    )
    .option(
      "eager-limit",
      bytes("eager-limit", "eagerBytes", "Pending changes up to this many bytes in all may be sent at once"),
    )
    .option("message-limit", bytes("message-limit", "messageBytes", "Messages are cut at about this many bytes"))
    .option("item-limit", bytes("item-limit", "itemBytes", "Largest content of an item in bytes"))
    .requiresArg([...Object.keys(BOUNDS), "port"])
    .option("tls-cert", { type: "string", describe: "Certificate in PEM; turns TLS on; needs --tls-key" })
    .option("tls-key", { type: "string", describe: "Its private key in PEM" })
    .option("tls-ca", { type: "string", describe: "Accept clients with a certificate of these authorities only (PEM)" })
    .option("log-level", { choices: LOG_LEVELS, default: "info" as const, describe: "What to log, on standard error" })
    .option("json", { type: "boolean", default: false, describe: "Write JSON, a line each" })
    .check((argv) => check(argv));
}

/** Options that are numbers, with their bounds. */
const BOUNDS = {
  grace: inUnits(TIME_BOUNDS.graceMs, SECOND_MS),
  "step-timeout": inUnits(TIME_BOUNDS.stepTimeoutMs, SECOND_MS),
  heartbeat: inUnits(TIME_BOUNDS.heartbeatMs, SECOND_MS),
  skew: inUnits(TIME_BOUNDS.skewMs, SECOND_MS),
  "tombstone-days": inUnits(TIME_BOUNDS.tombstoneRetentionMs, DAY_MS),
  "conflict-days": inUnits(TIME_BOUNDS.conflictRetentionMs, DAY_MS),
  "inline-limit": LIMIT_BOUNDS.inlineBytes,
  "eager-limit": LIMIT_BOUNDS.eagerBytes,
  "message-limit": LIMIT_BOUNDS.messageBytes,
  "item-limit": LIMIT_BOUNDS.itemBytes,
} as const satisfies Readonly<Record<string, LimitBounds>>;

function inUnits({ least, most }: LimitBounds, unit: number): LimitBounds {
  return { least: least / unit, most: most / unit };
}

/** For a description: ` (16384 to 1048576)`. */
function boundsOf(option: keyof typeof BOUNDS): string {
  const { least, most } = BOUNDS[option];
  return ` (${least} to ${most})`;
}

function bytes(option: keyof typeof BOUNDS, limit: keyof typeof DEFAULT_LIMITS, describe: string) {
  return { type: "number", default: DEFAULT_LIMITS[limit], describe: `${describe}${boundsOf(option)}` } as const;
}

const TLS_PAIR = [
  ["tls-cert", "tls-key"],
  ["tls-key", "tls-cert"],
] as const;

function check(argv: Record<string, unknown>): true {
  for (const [name, { least, most }] of Object.entries(BOUNDS)) {
    const value = Number(argv[name]);
    const isWhole = name.endsWith("-limit");
    const fits = value >= least && value <= most && (!isWhole || Number.isInteger(value));
    if (!fits) throw new Error(`--${name} must be a ${isWhole ? "whole " : ""}number from ${least} to ${most}`);
  }
  const port = Number(argv["port"]);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new Error("--port must be from 0 to 65535");
  for (const [one, other] of TLS_PAIR) {
    if (argv[one] !== undefined && argv[other] === undefined) throw new Error(`--${one} needs --${other}, too`);
  }
  if (argv["tls-ca"] !== undefined && argv["tls-cert"] === undefined) throw new Error("--tls-ca needs --tls-cert");
  return true;
}

async function serve(argv: ArgumentsCamelCase<ServeArguments>): Promise<void> {
  let server: RunningServer;
  try {
    server = await startServer(toOptions(argv));
  } catch (error) {
    reportFailure(error, { command: "serve", reason: "START_FAILED", json: argv.json });
    return;
  }
  const { address, port } = server;
  // Before it is told that it serves: a signal may come at once then.
  const end = ended(server);
  if (announces(argv, process)) {
    const line = argv.json ? JSON.stringify({ address, port }) : `Tercet serves ${argv.data} on ${address}`;
    process.stdout.write(`${line}\n`);
  }
  await end;
}

/** Whether standard output says that it serves: not where the log says so on the same terminal. */
export function announces(
  argv: Pick<ServeArguments, "log-level">,
  { stdout, stderr }: { readonly stdout: { readonly isTTY?: boolean }; readonly stderr: { readonly isTTY?: boolean } },
): boolean {
  const logged = LOG_LEVELS.indexOf(argv["log-level"]) >= LOG_LEVELS.indexOf("info");
  return !(logged && stdout.isTTY === true && stderr.isTTY === true);
}

/** The file of an option, in PEM. */
function readPem(option: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    const { code = "", message } = cause as NodeJS.ErrnoException;
    throw new StartError(`--${option}: can't read ${path}: ${WHY_UNREAD[code] ?? message}`, { cause });
  }
}

const WHY_UNREAD: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EISDIR: "it is a directory",
  EACCES: "this user may not",
};

function toOptions(argv: ArgumentsCamelCase<ServeArguments>): ServerOptions {
  const { tlsCert, tlsKey, tlsCa } = argv;
  return {
    directory: argv.data,
    host: argv.host,
    port: argv.port,
    graceMs: argv.grace * 1000,
    stepTimeoutMs: argv.stepTimeout * 1000,
    heartbeatMs: argv.heartbeat * SECOND_MS,
    skewMs: argv.skew * 1000,
    tombstoneRetentionMs: argv.tombstoneDays * DAY_MS,
    conflictRetentionMs: argv.conflictDays * DAY_MS,
    limits: {
      inlineBytes: argv.inlineLimit,
      eagerBytes: argv.eagerLimit,
      messageBytes: argv.messageLimit,
      itemBytes: argv.itemLimit,
    },
    logger: createLog(argv.logLevel, argv.json),
    ...(tlsCert === undefined || tlsKey === undefined
      ? {}
      : {
          tls: {
            cert: readPem("tls-cert", tlsCert),
            key: readPem("tls-key", tlsKey),
            ...(tlsCa === undefined ? {} : { ca: readPem("tls-ca", tlsCa) }),
          },
        }),
  };
}

/** Waits for a signal and drains; a second signal ends the server at once, with status 1. */
function ended(server: RunningServer): Promise<void> {
  return new Promise((resolve, reject) => {
    let signals = 0;
    function signalled(): void {
      signals += 1;
      if (signals === 1) server.drain().then(done, reject);
      else {
        process.exitCode = 1;
        server.close().catch(reject);
      }
    }
    function done(): void {
      for (const signal of SIGNALS) process.off(signal, signalled);
      resolve();
    }
    for (const signal of SIGNALS) process.on(signal, signalled);
  });
}
