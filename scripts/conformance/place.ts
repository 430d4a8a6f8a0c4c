import { setImmediate as turn } from "node:timers/promises";
import type { Content } from "../../core/content.js";
import { fingerprintOf } from "../../core/fingerprint.js";
import { compareIds } from "../../core/id.js";
import type { ServerOptions } from "../../server/index.js";
import { Mismatch, NotApplicable, same, sameSet } from "./expect.js";
import { type RealServer, startRealServer } from "./real-server.js";
import { type Relay, type RelayPlan, startRelay } from "./relay.js";
import type { EditOptions, Edits } from "./server-api.js";
import { type ServerEnd, type StreamServer, startStreamServer } from "./stream-server.js";
import { type Testee, TesteeError } from "./testee.js";
import { createTesteeReplica, type Report, type SyncOptions, type TesteeReplica } from "./testee-replica.js";

/** Name of the collection in all cases. */
export const COLLECTION = "things";
/** A time for clocks that stand still: in microseconds since 1970. */
export const NOON_US = Date.UTC(2026, 5, 1, 12) * 1000;

/** What both sides are to hold in the end. */
export interface Ending {
  /** All items with their contents, the same at both sides where no other is given for the server. */
  readonly items: Readonly<Record<string, Content>>;
  readonly server?: Readonly<Record<string, Content>>;
  /** Ids of changes that stay pending. None where it is left out. */
  readonly pending?: readonly string[];
  readonly held?: readonly string[];
  /** Conflict records of the replica and of the server, latest first. None where it is left out. */
  readonly recordsHere?: readonly object[];
  readonly recordsThere?: readonly object[];
}

/** What a case has at hand: the testee, and servers that it makes. All of it is put away after the case. */
export interface Place {
  readonly testee: Testee;
  /** @throws NotApplicable where the testee does not name the feature. */
  needs(feature: string): void;
  /** The real server; started when it is first asked for. */
  server(options?: Partial<ServerOptions>): Promise<RealServer>;
  /** A relay before the real server. */
  relay(plan: RelayPlan): Promise<Relay>;
  /** A server that does as it is told. */
  fake(serve: (end: ServerEnd) => Promise<void>): Promise<StreamServer>;
  /** An empty replica. */
  replica(collection?: string): Promise<TesteeReplica>;
  copy(replica: TesteeReplica): Promise<TesteeReplica>;
  /** Both clocks stand at this time, in microseconds. */
  setClock(us: number): Promise<void>;
  /** The clock of the testee alone. */
  setTesteeClock(us: number): Promise<void>;
  /** A server that holds these items, and a replica that has taken them. */
  equal(items: Readonly<Record<string, Content>>, options?: Partial<ServerOptions>): Promise<TesteeReplica>;
  /** Somebody else edits at the server. */
  elsewhere(edits: Edits, options?: EditOptions): Promise<void>;
  /** An exchange with the real server. */
  sync(replica: TesteeReplica, options?: Omit<SyncOptions, "server">): Promise<Report>;
  /** Holds both sides against what they are to be. */
  ends(replica: TesteeReplica, ending: Ending): Promise<void>;
}

/** A place, and how it is put away. */
export interface OwnPlace {
  readonly place: Place;
  clear(): Promise<void>;
}

/** A place for one case. `prefix` keeps its replicas apart from those of others; `patience`: of its relays. */
export function createPlace(testee: Testee, prefix: string, patience = 1): OwnPlace {
  const stops: (() => Promise<unknown>)[] = [];
  let running: Promise<RealServer> | undefined;
  let clockMoved = false;
  let made = 0;

  function server(options: Partial<ServerOptions> = {}): Promise<RealServer> {
    running ??= startRealServer(options).then((started) => {
      stops.push(started.stop);
      return started;
    });
    return running;
  }

  function named(): string {
    made += 1;
    return `${prefix}-${made}`;
  }

  async function replica(collection = COLLECTION): Promise<TesteeReplica> {
    const name = named();
    await testee.ask({ do: "open", replica: name, collection });
    return track(name);
  }

  function track(name: string): TesteeReplica {
    stops.push(() => testee.ask({ do: "close", replica: name }));
    return createTesteeReplica(testee, name);
  }

  async function setTesteeClock(us: number): Promise<void> {
    clockMoved = us !== 0;
    await testee.ask({ do: "set_clock", us });
  }

  const place: Place = {
    testee,
    needs(feature) {
      if (!testee.features.has(feature)) throw new NotApplicable(`needs "${feature}"`);
    },
    server,
    async relay(plan) {
      const real = await server();
      const relay = await startRelay(() => real.address, plan, patience);
      stops.push(relay.stop);
      return relay;
    },
    async fake(serve) {
      const fake = await startStreamServer(serve);
      stops.push(fake.stop);
      return fake;
    },
    replica,
    async copy(original) {
      const name = named();
      await testee.ask({ do: "copy", replica: original.name, to: name });
      return track(name);
    },
    async setClock(us) {
      (await server()).setClock(us);
      await setTesteeClock(us);
    },
    setTesteeClock,
    async equal(items, options = {}) {
      const { api } = await server(options);
      await api.createCollection(COLLECTION);
      await api.edit(COLLECTION, items);
      const made = await replica();
      same("first pull verified", (await place.sync(made)).verified, true);
      return made;
    },
    async elsewhere(edits, options) {
      await (await server()).api.edit(COLLECTION, edits, options);
    },
    async sync(each, options = {}) {
      return await each.sync({ ...options, server: (await server()).address });
    },
    async ends(each, ending) {
      await judgeReplica(each, ending);
      await judgeServer(await server(), each, ending);
    },
  };

  return {
    place,
    async clear() {
      if (clockMoved && !testee.dead) await setTesteeClock(0).catch(() => undefined);
      for (const stop of stops.reverse()) await stop().catch(() => undefined);
      await turn();
    },
  };
}

/** Fingerprints of items, in hex, in the byte order of their ids. */
export function printsOf(items: Readonly<Record<string, Content>>): { id: string; fingerprint: string }[] {
  const ids = Object.keys(items).sort(compareIds);
  return ids.map((id) => ({ id, fingerprint: fingerprintOf(id, items[id] ?? "").toString("hex") }));
}

async function judgeReplica(replica: TesteeReplica, ending: Ending): Promise<void> {
  same("items at the replica", await replica.list(), printsOf(ending.items));
  const pending = await replica.pending();
  sameSet(
    "pending changes",
    pending.map(({ id }) => id),
    ending.pending ?? [],
  );
  const held = await replica.held();
  same(
    "held items",
    held.map(({ id }) => id),
    ending.held ?? [],
  );
  same("conflict records at the replica", await replica.conflicts(), ending.recordsHere ?? []);
}

async function judgeServer({ api }: RealServer, replica: TesteeReplica, ending: Ending): Promise<void> {
  const items = await api.listItems(COLLECTION);
  const there = [...items].map(([id, fingerprint]) => ({ id, fingerprint }));
  same("items at the server", there, printsOf(ending.server ?? ending.items));
  const { fingerprint, revision } = await api.getCollection(COLLECTION);
  const sum = fingerprint?.sum.toString("hex") || "0".repeat(64);
  const status = await replica.status();
  same("status", status, { revision, count: fingerprint?.count ?? 0, fingerprint: sum });
  const records = (await api.conflicts(COLLECTION)).map(({ id, content, standard }) => {
    return { id, content: content?.value ?? null, standard };
  });
  same("conflict records at the server", records, ending.recordsThere ?? []);
}

/**
 * The error that the testee answers with.
 *
 * @throws Mismatch where it succeeds, or the error is another one.
 */
export async function refused(
  work: Promise<unknown>,
  expected: { readonly code?: string; readonly reason?: string; readonly fields?: readonly string[] },
): Promise<TesteeError> {
  const told = await work.then(
    (value) => value,
    (error: unknown) => {
      if (error instanceof TesteeError) return error;
      throw error;
    },
  );
  if (!(told instanceof TesteeError)) {
    throw new Mismatch(
      `expected the error ${JSON.stringify(expected)}, came success: ${JSON.stringify(told)?.slice(0, 300)}`,
    );
  }
  const { code, reason, fields } = told;
  same(`error (${told.message})`, { code, reason, fields }, expected);
  return told;
}
