import { createHash } from "node:crypto";
import type { Content } from "../../core/content.js";
import { holds, same } from "./expect.js";
import { COLLECTION, printsOf } from "./place.js";
import { type RealServer, startRealServer } from "./real-server.js";
import type { Outcome } from "./run-cases.js";
import { timed } from "./run-cases.js";
import { startTestee, type Testee, type TesteeCommand } from "./testee.js";
import { type Change, createTesteeReplica, type Report, type TesteeReplica } from "./testee-replica.js";

/** A client that takes part. */
export interface Participant {
  readonly name: string;
  readonly command: TesteeCommand;
}

/** A replica of a participant. */
interface Player {
  readonly name: string;
  readonly testee: Testee;
  readonly replica: TesteeReplica;
}

interface Scene {
  readonly server: RealServer;
  readonly players: readonly Player[];
}

const STANDARDS = ["SERVER", "CLIENT", "NEWEST"] as const;
const SHARED = 12;
const MIB = 1024 * 1024;

/** What clients in different languages do together, as replicas of one collection. */
const SCENARIOS: Readonly<Record<string, (scene: Scene) => Promise<void>>> = {
  "interop/in-turn": inTurn,
  "interop/held-by-one-resolved-by-another": heldAndResolved,
  "interop/all-behind-the-tombstone-horizon": behindHorizon,
  "interop/restored-server": restoredServer,
};

/** Names of the scenarios. */
export const interopNames: readonly string[] = Object.keys(SCENARIOS);

/** Runs scenarios with these clients. `timeoutMs` is for each request. */
export async function runInterop(
  names: readonly string[],
  participants: readonly Participant[],
  timeoutMs: number,
  onOutcome?: (outcome: Outcome) => void,
): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const name of names) {
    const scenario = SCENARIOS[name];
    if (scenario === undefined) continue;
    const stops: (() => Promise<void>)[] = [];
    const play = async (): Promise<void> => scenario(await prepare(participants, timeoutMs, stops));
    const clear = async (): Promise<void> => {
      for (const stop of stops.reverse()) await stop();
    };
    const outcome = await timed(name, 20 * timeoutMs, play, clear);
    outcomes.push(outcome);
    onOutcome?.(outcome);
  }
  return outcomes;
}

async function prepare(
  participants: readonly Participant[],
  timeoutMs: number,
  stops: (() => Promise<void>)[],
): Promise<Scene> {
  const server = await startRealServer();
  stops.push(server.stop);
  await server.api.createCollection(COLLECTION);
  const players: Player[] = [];
  for (const { name, command } of participants) {
    const testee = await startTestee(command, timeoutMs);
    stops.push(testee.stop);
    await testee.ask({ do: "open", replica: name, collection: COLLECTION });
    players.push({ name, testee, replica: createTesteeReplica(testee, name) });
  }
  return { server, players };
}

/** An exchange that has to prove that both sides are equal. */
async function sync({ server }: Scene, player: Player, standard: string): Promise<Report> {
  const report = await player.replica.sync({ server: server.address, standard });
  same(`${player.name}: exchange`, report, { verified: true, standard, rejected: [], contended: [] });
  return report;
}

/** Everybody takes what is there, sends what is left, and holds the same as the server, item by item. */
async function endsEqual(scene: Scene): Promise<void> {
  for (let round = 0; round < 2; round++) for (const player of scene.players) await sync(scene, player, "SERVER");
  const { fingerprint } = await scene.server.api.getCollection(COLLECTION);
  const items = [...(await scene.server.api.listItems(COLLECTION))].map(([id, print]) => ({ id, fingerprint: print }));
  const sum = fingerprint?.sum.toString("hex");
  for (const { name, replica } of scene.players) {
    same(`${name}: items`, await replica.list(), items);
    const status = { count: fingerprint?.count, fingerprint: sum, pending: 0, held: 0, items: items.length };
    same(`${name}: status`, await replica.status(), status);
  }
}

/** A number out of a seed, the same on every machine. */
function random(seed: string, below: number): number {
  return createHash("sha256").update(seed).digest().readUInt32BE(0) % below;
}

function contentFor(seed: string): Content {
  const kind = random(`${seed}:kind`, 4);
  if (kind === 0) return Buffer.from(createHash("sha256").update(seed).digest());
  if (kind === 1) return `${seed} Zürich 東京 😀 `.repeat(1 + random(`${seed}:length`, 2000));
  return seed;
}

const ALPHABETS = ["a", "Ω", "я", "ש", "東", "가", "\uff5e", "\u{10000}", "😀", "é", "e\u0301"];
const sharedId = (at: number): string => `${ALPHABETS[at % ALPHABETS.length]}-shared-${at}`;

/** Everybody edits the same items and some of its own, before it has heard of what the others did. */
async function inTurn(scene: Scene): Promise<void> {
  const { players } = scene;
  for (let round = 0; round < 6; round++) {
    for (const [at, player] of players.entries()) {
      const seed = `${round}:${at}`;
      const changes: Record<string, Change> = { [`own-${player.name}-${round}`]: contentFor(seed) };
      for (let edit = 0; edit < 3; edit++) {
        const id = sharedId(random(`${seed}:${edit}`, SHARED));
        changes[id] = random(`${seed}:${edit}:gone`, 5) === 0 ? null : contentFor(`${seed}:${edit}`);
      }
      await player.replica.change(changes);
      const group = [0, 1, 2].map((member) => [
        sharedId(random(`${seed}:group:${member}`, SHARED)),
        contentFor(`${seed}:group:${member}`),
      ]);
      if (player.testee.features.has("groups")) await player.replica.transaction(Object.fromEntries(group));
      if (round === 1 && player.testee.features.has("chunks")) {
        await player.replica.put(`large-${player.name}`, Buffer.alloc(1.5 * MIB, `${player.name} `));
      }
    }
    for (const [at, player] of players.entries()) await sync(scene, player, STANDARDS[(round + at) % 3] ?? "SERVER");
  }
  await endsEqual(scene);
  const large = players.filter(({ testee }) => testee.features.has("chunks"));
  for (const { name } of large) {
    const wanted = printsOf({ [`large-${name}`]: Buffer.alloc(1.5 * MIB, `${name} `) });
    for (const { name: reader, replica } of large) {
      const found = (await replica.list()).filter(({ id }) => id === `large-${name}`);
      same(`${reader}: the large item of ${name}`, found, wanted);
    }
  }
}

/** A conflict is held by each in turn, resolved by it, and taken by the next. */
async function heldAndResolved(scene: Scene): Promise<void> {
  const players = scene.players.filter(({ testee }) => testee.features.has("manual"));
  const first = players[0];
  if (first === undefined) return;
  await first.replica.put("x", "at first");
  await sync(scene, first, "SERVER");
  for (const [at, player] of players.entries()) {
    const rival = players[(at + 1) % players.length] ?? player;
    await sync(scene, player, "SERVER");
    if (rival === player) continue;
    await sync(scene, rival, "SERVER");
    await rival.replica.put("x", `by ${rival.name}`);
    await sync(scene, rival, "SERVER");
    await player.replica.put("x", `by ${player.name}`);
    const report = await sync(scene, player, "MANUAL");
    same(`${player.name}: conflicts`, report.conflicts, [{ id: "x", standard: "MANUAL", prevailed: "held" }]);
    const versions = [{ id: "x", mine: `by ${player.name}`, theirs: `by ${rival.name}` }];
    same(`${player.name}: held`, await player.replica.held(), versions);
    await player.replica.resolve("x", { content: `both by ${player.name}` });
    await sync(scene, player, "MANUAL");
    await sync(scene, rival, "SERVER");
    same(`${rival.name}: x`, await rival.replica.get("x"), `both by ${player.name}`);
  }
  await endsEqual(scene);
}

/** Tombstones are gone before anybody has heard of them. */
async function behindHorizon(scene: Scene): Promise<void> {
  const { players, server } = scene;
  const items = Object.fromEntries(Array.from({ length: 300 }, (_, at) => [`${sharedId(at)}`, `${at}`]));
  await server.api.edit(COLLECTION, items);
  for (const player of players) await sync(scene, player, "SERVER");
  const gone = Object.keys(items).filter((_, at) => at % 7 === 0);
  await server.api.edit(COLLECTION, Object.fromEntries(gone.map((id) => [id, null])));
  await server.api.compact(COLLECTION);
  for (const player of players.filter(({ testee }) => testee.features.has("reconcile"))) {
    await player.replica.put(`own-${player.name}`, "1");
    const report = await sync(scene, player, "SERVER");
    same(`${player.name}: recovery`, report, { deleted: gone.length, sent: 1, recovery: { why: "compacted" } });
  }
  await endsEqual(scene);
}

/** The server loses what the first one has told it, and all others have taken. */
async function restoredServer(scene: Scene): Promise<void> {
  const { players, server } = scene;
  if (!players.every(({ testee }) => testee.features.has("reconcile"))) return;
  await server.api.edit(COLLECTION, { a: "1", b: "1" });
  for (const player of players) await sync(scene, player, "SERVER");
  await server.backup();
  for (const player of players) {
    await player.replica.change({ [`own-${player.name}`]: "1", a: `by ${player.name}` });
    await sync(scene, player, "CLIENT");
  }
  for (const player of players) await sync(scene, player, "SERVER");
  await server.restore();
  await server.api.edit(COLLECTION, { c: "after the restore" });
  for (const player of players) await sync(scene, player, "SERVER");
  await endsEqual(scene);
  const ids = [...(await server.api.listItems(COLLECTION)).keys()];
  for (const { name } of players) holds(`what ${name} had sent is there again`, ids.includes(`own-${name}`), ids);
}
