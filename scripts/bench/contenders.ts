import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { WORKLOADS, type Workload } from "./scenarios.js";

/** A contender, as the bench knows it. */
export interface Contender {
  readonly name: string;
  /** What it is, for the tables. */
  readonly title: string;
  /** URLs of its modules; see ServerModule and ClientModule. */
  readonly server: string;
  readonly client: string;
  readonly variant: string;
  /** The workloads that it is measured in. */
  readonly workloads: readonly Workload[];
  /** More items than this are left to others: they would take too long, and tell nothing new. */
  readonly mostItems: number;
  /** Needs the packages of scripts/bench/contenders/package.json. */
  readonly foreign: boolean;
  /** The program that it needs, and Debian's package of it. */
  readonly binary?: { readonly command: string; readonly package: string };
}

/** Where the foreign contenders' programs and packages are: beside the sources, for they are not compiled. */
export const FOREIGN_DIRECTORY: string = fileURLToPath(new URL("../../../scripts/bench/contenders/", import.meta.url));

const OUTER_NPM =
  /^npm_(lifecycle|package)_|^npm_config_(local_prefix|prefix|global_prefix|ignore_scripts|omit|include)$/i;
/** A large item has no place in a feed of pages, or is over the limit of a message, request or document. */
const NOT_LARGE: readonly Workload[] = ["W1", "W2", "W3", "W4", "W5", "W6", "W11"];
/** Those that take long, and that nobody takes for close. */
const MOST_ITEMS = 1_000_000;
const PLAIN: readonly Workload[] = ["W1", "W2", "W3", "W4", "W5"];

function own(name: string, title: string, folder: string, more: Partial<Contender> = {}): Contender {
  return {
    name,
    title,
    server: new URL(`./${folder}/server.js`, import.meta.url).href,
    client: new URL(`./${folder}/client.js`, import.meta.url).href,
    variant: "",
    workloads: WORKLOADS,
    mostItems: Number.POSITIVE_INFINITY,
    foreign: false,
    ...more,
  };
}

function foreign(name: string, title: string, more: Partial<Contender>): Contender {
  const url = (side: string): string => pathToFileURL(join(FOREIGN_DIRECTORY, `${name}-${side}.mjs`)).href;
  return {
    name,
    title,
    server: url("server"),
    client: url("client"),
    variant: "",
    workloads: PLAIN,
    mostItems: MOST_ITEMS,
    foreign: true,
    ...more,
  };
}

/** All of them, the one that is measured first. */
export const CONTENDERS: readonly Contender[] = [
  own("tercet", "Tercet", "tercet"),
  own("bare", "bare copy", "bare"),
  own("bare-full", "bare copy, synchronous=FULL", "bare", { variant: "full", mostItems: MOST_ITEMS }),
  own("bare-proved", "bare copy with fingerprints and a feed, synchronous=FULL", "bare", {
    variant: "proved",
    workloads: ["W1", "W2"],
    mostItems: MOST_ITEMS,
  }),
  foreign("rest", "REST /changes (express 5)", { workloads: NOT_LARGE }),
  foreign("pouchdb", "PouchDB 9 and express-pouchdb", { mostItems: 100_000 }),
  foreign("nats", "NATS JetStream KV", { binary: { command: "nats-server", package: "nats-server" } }),
  foreign("etcd", "etcd", { binary: { command: "etcd", package: "etcd-server" } }),
];

/** Why a contender can't be had here, or undefined. */
export function whyNot({ binary }: Contender): string | undefined {
  if (binary === undefined || isInstalled(binary.command)) return undefined;
  return `${binary.command} is not installed (Debian: apt-get install ${binary.package})`;
}

function isInstalled(command: string): boolean {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/usr/local/bin"];
  return folders.some((folder) => existsSync(join(folder, command)));
}

/** Installs the packages of the foreign contenders, where that was not done; answers why they can't be had, or undefined. */
export function installForeign(): string | undefined {
  if (existsSync(join(FOREIGN_DIRECTORY, "node_modules", ".package-lock.json"))) return undefined;
  // None of them needs its install script: what is native in them comes with binaries.
  const args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"];
  // `npm run` tells npm the folder that it was started in, which is another one than this.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !OUTER_NPM.test(name)));
  const result = spawnSync("npm", args, { cwd: FOREIGN_DIRECTORY, env, stdio: ["ignore", 2, 2] });
  return result.status === 0 ? undefined : "npm ci failed in scripts/bench/contenders, its messages are above";
}
