import { ErrorReason, type Fault } from "../../../core/fault.js";
import type { ServerOptions } from "../../../server/index.js";
import type { Case } from "../case.js";
import { holds, same } from "../expect.js";
import type { Place } from "../place.js";
import type { Fate, RelayPlan } from "../relay.js";
import { TesteeError } from "../testee.js";
import type { TesteeReplica } from "../testee-replica.js";

/** What a proxy says that has lost its server. */
const LOST: Fault = { reason: ErrorReason.ERROR_REASON_GOING_AWAY, message: "the kit cuts the exchange here" };

type How = "status" | "cable";

/** Where an exchange is cut: before the first message of this kind passes; `proof` is a page that has one. */
interface Stage {
  readonly name: string;
  readonly direction: "up" | "down";
  readonly message: string;
}

const STAGES: readonly Stage[] = [
  { name: "before-open", direction: "up", message: "open" },
  { name: "before-push", direction: "up", message: "push" },
  { name: "before-done", direction: "up", message: "done" },
  { name: "before-opened", direction: "down", message: "opened" },
  { name: "before-verdicts", direction: "down", message: "verdicts" },
  { name: "before-page", direction: "down", message: "page" },
  { name: "before-proof", direction: "down", message: "proof" },
];

const FETCHED_STAGES: readonly Stage[] = [
  ...STAGES,
  { name: "before-fetch", direction: "up", message: "fetch" },
  { name: "before-contents", direction: "down", message: "contents" },
];

const WAYS: readonly {
  readonly name: string;
  readonly limits: NonNullable<ServerOptions["limits"]>;
  readonly stages: readonly Stage[];
  readonly hows: readonly How[];
}[] = [
  { name: "cut", limits: {}, stages: STAGES, hows: ["status", "cable"] },
  { name: "cut-fetched", limits: { inlineBytes: 0, eagerBytes: 0 }, stages: FETCHED_STAGES, hows: ["status"] },
];

/** Exchanges that are cut at each stage, under SERVER and CLIENT, and what the next one makes of it. */
export const cutCases: readonly Case[] = [
  ...WAYS.flatMap(({ name, limits, stages, hows }) =>
    hows.flatMap((how) =>
      (["SERVER", "CLIENT"] as const).flatMap((standard) =>
        stages.map((stage): Case => {
          const label = `${name}/${how}/${standard.toLowerCase()}/${stage.name}`;
          return { name: label, run: (place) => cutOnce(place, { stage, how, standard, limits }) };
        }),
      ),
    ),
  ),
  ...WAYS.map(({ name, limits }): Case => {
    return { name: `${name}/later-every-time`, run: (place) => cutLater(place, limits) };
  }),
  { name: "cut/first-pull-resumes", run: resumePull },
  { name: "cut/first-push-resumes", run: resumePush },
  { name: "cut/changed-again-after-the-verdict-was-lost", run: (place) => verdictLost(place, { c: "again" }) },
  { name: "cut/deleted-after-the-verdict-was-lost", run: (place) => verdictLost(place, { c: null }) },
  { name: "cut/sent-creation-deleted-there", run: sentCreationDeletedThere },
];

/** Both sides have changed: other items, the same item into different things, the same item into the same. */
async function bothChanged(place: Place, limits: NonNullable<ServerOptions["limits"]>): Promise<TesteeReplica> {
  const old = { a: "old", b: "old", c: "old", d: "old", e: "old", x: "old", y: "old" };
  const replica = await place.equal(old, { limits });
  await place.elsewhere({ a: "theirs", b: null, s: "theirs", x: "theirs", y: "same" });
  await replica.change({ c: "mine", d: null, m: "mine", x: "mine", y: "same" });
  return replica;
}

async function judgeBoth(place: Place, replica: TesteeReplica, standard: string): Promise<void> {
  const items = { a: "theirs", c: "mine", e: "old", s: "theirs", m: "mine", y: "same" };
  const mine = standard === "CLIENT";
  const record = { id: "x", content: mine ? "theirs" : "mine" };
  const records = mine ? { recordsThere: [record] } : { recordsHere: [record] };
  await place.ends(replica, { items: { ...items, x: mine ? "mine" : "theirs" }, ...records });
}

interface Cut {
  readonly stage: Stage;
  readonly how: How;
  readonly standard: string;
  readonly limits: NonNullable<ServerOptions["limits"]>;
}

async function cutOnce(place: Place, { stage, how, standard, limits }: Cut): Promise<void> {
  const replica = await bothChanged(place, limits);
  let done = false;
  const fate = (kind: string): Fate<never> => {
    if (done || kind !== stage.message) return undefined;
    done = true;
    return how === "cable" ? "cut" : { status: LOST };
  };
  const plan: RelayPlan =
    stage.direction === "up"
      ? { up: ({ $case }) => fate($case) }
      : { down: (message) => fate(isProof(message) ? "proof" : message.$case) ?? fate(message.$case) };
  const relay = await place.relay(plan);
  await fails(replica.sync({ server: relay.address, standard }), how);
  holds(`the exchange never came to ${stage.name} (${relay.log.join(", ")})`, done);
  same("verified", (await place.sync(replica, { standard })).verified, true);
  await judgeBoth(place, replica, standard);
}

function isProof(message: { readonly $case: string; readonly value: object }): boolean {
  return message.$case === "page" && "proof" in message.value && message.value.proof !== undefined;
}

/** An exchange that was cut is an error; which one, only a status says. */
async function fails(exchange: Promise<unknown>, how: How): Promise<void> {
  const error = await exchange.then(
    () => undefined,
    (each: unknown) => each,
  );
  if (error !== undefined && !(error instanceof TesteeError)) throw error;
  holds("an exchange that was cut must end with an error", error !== undefined);
  if (how === "status") same("error", error, { code: "UNAVAILABLE", reason: "GOING_AWAY" });
  else same("reason of a lost connection", error?.reason, "");
}

/** The first exchange is cut before its first message from the server, the next before its second, ... */
async function cutLater(place: Place, limits: NonNullable<ServerOptions["limits"]>): Promise<void> {
  const replica = await bothChanged(place, limits);
  let last = 0;
  const relay = await place.relay({ down: (_, at) => (at >= last ? { status: LOST } : undefined) });
  for (; last < 30; last++) {
    const report = await replica.sync({ server: relay.address, standard: "CLIENT" }).catch((error: unknown) => {
      if (error instanceof TesteeError) return undefined;
      throw error;
    });
    if (report === undefined) continue;
    same("verified", report.verified, true);
    return judgeBoth(place, replica, "CLIENT");
  }
  holds("no exchange came through, though each was cut later than the one before", false);
}

/** A pull of many pages goes on from the last checkpoint that was given. */
async function resumePull(place: Place): Promise<void> {
  const { api } = await place.server({ limits: { messageBytes: 16 * 1024 } });
  await api.createCollection("things");
  const items: Record<string, string> = {};
  for (let at = 0; at < 60; at++) items[`item-${String(at).padStart(2, "0")}`] = `${at} `.repeat(500);
  await api.edit("things", items);
  const replica = await place.replica();
  let pages = 0;
  const isLate = ({ $case }: { readonly $case: string }): boolean => $case === "page" && ++pages > 3;
  const relay = await place.relay({ down: (message) => (isLate(message) ? { status: LOST } : undefined) });
  await fails(replica.sync({ server: relay.address }), "status");
  const taken = (await replica.list()).length;
  holds("what came before the cut is taken", taken > 0 && taken < 60, taken);
  await place.elsewhere({ "item-00": null, "item-59": null, "item-01": "changed" });
  const report = await place.sync(replica);
  holds("what was taken is not taken again", report.received <= 60 - taken + 1, report.received);
  const { "item-00": _first, "item-59": _last, ...rest } = items;
  await place.ends(replica, { items: { ...rest, "item-01": "changed" } });
}

/** Of a push of many batches, those with verdicts are not sent again. */
async function resumePush(place: Place): Promise<void> {
  await place.server({ limits: { messageBytes: 16 * 1024, eagerBytes: 0 } });
  const replica = await place.replica();
  const items: Record<string, string> = {};
  for (let at = 0; at < 60; at++) items[`item-${String(at).padStart(2, "0")}`] = `${at} `.repeat(500);
  await replica.change(items);
  let batches = 0;
  const relay = await place.relay({
    down: ({ $case }) => ($case === "verdicts" && ++batches > 2 ? { status: LOST } : undefined),
  });
  await fails(replica.sync({ server: relay.address, create: true }), "status");
  const report = await place.sync(replica);
  same("report", report, { verified: true, conflicts: [], received: 0 });
  await place.ends(replica, { items });
}

/** The changes arrive, the verdicts are lost, and the application changes an item once more. */
async function verdictLost(place: Place, change: Readonly<Record<string, string | null>>): Promise<void> {
  const replica = await place.equal({ b: "old", c: "old" });
  await replica.change({ b: "mine", c: "mine" });
  const relay = await place.relay({ down: losesVerdicts });
  await fails(replica.sync({ server: relay.address }), "status");
  await replica.change(change);
  same("report", await place.sync(replica, { standard: "SERVER" }), { verified: true, conflicts: [] });
  await place.ends(replica, { items: { b: "mine", ...(change["c"] == null ? {} : { c: change["c"] }) } });
}

/** What is deleted there may be what this client made: a conflict, not a creation to be made again. */
async function sentCreationDeletedThere(place: Place): Promise<void> {
  const replica = await place.equal({ kept: "kept" });
  await replica.change({ x: "mine" });
  const relay = await place.relay({ down: losesVerdicts });
  await fails(replica.sync({ server: relay.address }), "status");
  await place.elsewhere({ x: null });
  const report = await place.sync(replica, { standard: "SERVER" });
  same("report", report, { deleted: 1, conflicts: [{ id: "x", standard: "SERVER", prevailed: "theirs" }] });
  await place.ends(replica, { items: { kept: "kept" }, recordsHere: [{ id: "x", content: "mine" }] });
}

/** The first verdicts, which come once the changes are made, and all before them are lost. */
function losesVerdicts({ $case }: { readonly $case: string }): Fate<never> {
  if ($case === "verdicts") return { status: LOST };
  return $case === "opened" ? undefined : "lost";
}
