import { createInterface } from "node:readline";
import { type ChangeStandard, changeStandardFromJSON, changeStandardToJSON } from "../../../gen/tercet/v1/item.js";
import { nameOf, readError } from "./errors.js";
import { sync } from "./exchange.js";
import { compareIds, same, sumBytes } from "./fingerprint.js";
import {
  ClientError,
  createReplica,
  type Entry,
  listPending,
  NO_CHECKPOINT,
  type Replica,
  resolve,
  type Version,
  versionOf,
  type Write,
  write,
} from "./replica.js";

/*
 * The loop that the conformance kit drives: one JSON object a line, and one line for each. See ../README.md.
 */

interface ContentJson {
  readonly text?: string;
  readonly data?: string;
  readonly deleted?: boolean;
}

interface RequestJson extends ContentJson {
  readonly n: number;
  readonly do: string;
  readonly replica?: string;
  readonly id?: string;
  readonly us?: number;
  readonly collection?: string;
  readonly to?: string;
  readonly changes?: readonly (ContentJson & { readonly id: string })[];
  readonly how?: "mine" | "theirs";
  readonly server?: string;
  readonly standard?: string;
  readonly create?: boolean;
  readonly recreate?: boolean;
  readonly on_history_change?: "offer" | "follow" | "stop";
  readonly timeout_ms?: number;
}

const replicas = new Map<string, Replica>();
let clockUs = 0;

const nowUs = (): number => clockUs || Date.now() * 1000;
const hex = (bytes: Uint8Array | undefined): string | null => (bytes ? Buffer.from(bytes).toString("hex") : null);

function replicaOf({ replica: name = "" }: RequestJson): Replica {
  const replica = replicas.get(name);
  if (replica === undefined) throw new Error(`no replica "${name}" is open`);
  return replica;
}

/** A second replica in the same state. */
function copyReplica(replica: Replica): Replica {
  const entries = new Map<string, Entry>();
  for (const [id, entry] of replica.entries) {
    entries.set(id, { ...entry, pending: entry.pending === undefined ? undefined : { ...entry.pending } });
  }
  return { ...replica, entries, downloads: new Map(replica.downloads), exchange: Promise.resolve() };
}

function writeOf(id: string, { text, data, deleted }: ContentJson): Write {
  if (deleted) return { id, version: undefined };
  const bytes = text === undefined ? Buffer.from(data ?? "", "base64") : Buffer.from(text);
  return { id, version: versionOf(id, bytes, text !== undefined) };
}

function contentOf(version: Version | undefined): ContentJson | null {
  if (version === undefined) return null;
  const bytes = Buffer.from(version.bytes);
  return version.text ? { text: bytes.toString() } : { data: bytes.toString("base64") };
}

function standardName(standard: ChangeStandard): string {
  return changeStandardToJSON(standard).replace("CHANGE_STANDARD_", "");
}

function itemOf({ id, mine, timeUs, base, pending }: Entry): object | null {
  if (mine === undefined) return null;
  const isPending = pending !== undefined && !same(base?.fingerprint, mine.fingerprint);
  return { id, fingerprint: hex(mine.fingerprint), modify_time_us: timeUs, pending: isPending };
}

function pendingOf({ id, mine, pending }: Entry): object {
  const { held = false, group = 0, rejected } = pending ?? {};
  const reason = rejected === undefined ? "" : nameOf(rejected);
  return { id, kind: mine === undefined ? "deleted" : "upserted", held, rejected: reason, group };
}

function entriesOf(replica: Replica): Entry[] {
  return [...replica.entries.values()].sort((a, b) => compareIds(a.id, b.id));
}

function statusOf(replica: Replica): object {
  const pending = listPending(replica);
  return {
    items: entriesOf(replica).filter(({ mine }) => mine !== undefined).length,
    pending: pending.length,
    held: pending.filter((entry) => entry.pending?.held).length,
    conflicts: replica.conflicts.length,
    revision: replica.checkpoint.revision,
    count: replica.total.count,
    fingerprint: hex(sumBytes(replica.total)),
  };
}

async function syncAs(request: RequestJson): Promise<object> {
  const replica = replicaOf(request);
  const report = await sync(replica, {
    server: request.server ?? "",
    standard: changeStandardFromJSON(`CHANGE_STANDARD_${request.standard ?? "UNSPECIFIED"}`),
    create: request.create ?? false,
    recreate: request.recreate ?? false,
    onHistoryChange: request.on_history_change ?? "offer",
    wishes: {},
    timeoutMs: request.timeout_ms,
    nowUs,
  });
  const { received, deleted, sent, settled, verified } = report;
  return {
    standard: standardName(report.standard),
    ...{ received, deleted, sent, sent_deletions: report.sentDeletions, settled },
    conflicts: [...report.conflicts].map(([id, { standard, prevailed }]) => {
      return { id, standard: standardName(standard), prevailed };
    }),
    rejected: [...report.rejected].map(([id, reason]) => ({ id, reason: nameOf(reason) })),
    contended: [...report.contended],
    round_trips: report.roundTrips,
    recovery: report.recovery ?? null,
    verified,
    revision: replica.checkpoint.revision,
    count: replica.total.count,
    fingerprint: hex(sumBytes(replica.total)),
  };
}

/** What each request does; the answer to it. */
const REQUESTS: Readonly<Record<string, (request: RequestJson) => object | Promise<object>>> = {
  hello: () => ({
    name: "tercet reference client, TypeScript",
    features: ["groups", "chunks", "reconcile", "manual", "concurrent"],
  }),
  set_clock({ us = 0 }) {
    clockUs = us;
    return {};
  },
  open({ replica = "", collection = "" }) {
    replicas.set(replica, createReplica(collection));
    return {};
  },
  copy(request) {
    replicas.set(request.to ?? "", copyReplica(replicaOf(request)));
    return {};
  },
  close({ replica = "" }) {
    replicas.delete(replica);
    return {};
  },
  put(request) {
    write(replicaOf(request), [writeOf(request.id ?? "", request)], nowUs());
    return {};
  },
  delete(request) {
    const { id = "" } = request;
    const replica = replicaOf(request);
    const deleted = replica.entries.get(id)?.mine !== undefined;
    write(replica, [{ id, version: undefined }], nowUs());
    return { deleted };
  },
  transaction(request) {
    const changes = (request.changes ?? []).map((change) => writeOf(change.id, change));
    write(replicaOf(request), changes, nowUs(), true);
    return {};
  },
  sync: syncAs,
  get(request) {
    const entry = replicaOf(request).entries.get(request.id ?? "");
    const item = entry === undefined ? null : itemOf(entry);
    return { item: item && { ...item, ...contentOf(entry?.mine) } };
  },
  list: (request) => ({ items: entriesOf(replicaOf(request)).flatMap((entry) => itemOf(entry) ?? []) }),
  pending: (request) => ({ pending: listPending(replicaOf(request)).map(pendingOf) }),
  held(request) {
    const held = entriesOf(replicaOf(request)).filter(({ pending }) => pending?.held);
    return {
      held: held.map(({ id, mine, base }) => ({ id, mine: contentOf(mine), theirs: contentOf(base?.version) })),
    };
  },
  resolve(request) {
    const { id = "", how } = request;
    resolve(replicaOf(request), id, how ?? writeOf(id, request), nowUs());
    return {};
  },
  conflicts(request) {
    const records = [...replicaOf(request).conflicts].reverse().map(({ id, version, prevailed, standard }) => {
      const kind = version === undefined ? "deleted" : "upserted";
      const prints = { fingerprint: hex(version?.fingerprint), prevailed: hex(prevailed) };
      return { id, kind, ...contentOf(version), ...prints, standard: standardName(standard) };
    });
    return { conflicts: records };
  },
  status: (request) => statusOf(replicaOf(request)),
  lose_checkpoint(request) {
    const replica = replicaOf(request);
    replica.checkpoint = NO_CHECKPOINT;
    replica.witness = NO_CHECKPOINT;
    return {};
  },
};

async function answer(line: string): Promise<void> {
  const request = JSON.parse(line) as RequestJson;
  const { n } = request;
  let said: object;
  try {
    const work = REQUESTS[request.do];
    if (work === undefined) throw new ClientError("UNSUPPORTED", `unknown request "${request.do}"`);
    said = { n, ok: await work(request) };
  } catch (error) {
    const { retryAfterMs, fields, ...told } = readError(error);
    const more = {
      ...(fields.length > 0 && { fields }),
      ...(retryAfterMs !== undefined && { retry_after_ms: retryAfterMs }),
    };
    said = { n, error: { ...told, ...more } };
  }
  process.stdout.write(`${JSON.stringify(said)}\n`);
}

// Each line is worked on as it comes, so that writes go on while an exchange runs.
createInterface({ input: process.stdin }).on("line", (line) => void answer(line));
