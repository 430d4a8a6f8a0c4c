import { reasonName } from "../../core/fault.js";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import { resolveLocally } from "./applications.js";
import type { Exchanges } from "./exchanges.js";
import { FEATURES } from "./features.js";
import { COLLECTION } from "./hosts.js";
import type { CommitJudge } from "./judge-commit.js";
import { hexOf, printOf, shown, sumOfPrints, type Told } from "./model-contents.js";
import { lookAt } from "./model-replica.js";
import { answerOf, collectionOf } from "./outsider.js";
import type { Random } from "./random.js";
import type { ServerSide } from "./server-side.js";
import type { Slot } from "./slot.js";

/** A history at its end. */
export interface End {
  readonly ids: readonly string[];
  readonly judge: CommitJudge;
  readonly server: ServerSide;
  readonly slots: readonly Slot[];
  readonly exchanges: Exchanges;
  readonly random: Random;
  readonly clock: { nowUs: number };
  /** Some state of some side was thrown away, and what was in nothing else with it. */
  readonly thrownAway: boolean;
  readonly trace: ((line: string) => void) | undefined;
  /** @throws Violation where there is one. */
  check(): void;
}

const ROUNDS = 3;
const STANDARDS = [ChangeStandard.CHANGE_STANDARD_SERVER, ChangeStandard.CHANGE_STANDARD_CLIENT];

/** Quiet exchanges bring all sides together; what they hold then is judged. */
export function judgeEnd(end: End): void {
  const { judge, slots, trace } = end;
  trace?.("the end");
  if (FEATURES.manual) resolveAll(end);
  const standard = end.random.pick(STANDARDS);
  for (let round = 0; round < ROUNDS; round++) {
    for (const slot of slots) quietExchange(end, slot, standard, round === ROUNDS - 1);
  }
  end.check();
  const held = serverContents(end);
  for (const slot of slots) judgeReplica(end, slot, held);
  judgeServer(end, held);
  end.check();
  if (!end.thrownAway) judgeVersions(end, held);
  for (const [id, content] of held) {
    if (!judge.happenings.exists(id, content))
      judge.fail("invented", `"${id}" is ${shown(content)}: nobody wrote that`);
  }
}

function resolveAll({ judge, server, slots, ids, clock, random }: End): void {
  for (const { name, host, model, skewUs } of slots) {
    const watched = { name, store: host.store, model };
    const how = random.pick(["mine", "theirs"] as const);
    while (resolveLocally(judge, server.history, watched, ids, how, clock.nowUs + skewUs, 0)) clock.nowUs += 1000;
  }
}

function quietExchange(end: End, slot: Slot, standard: ChangeStandard, isLast: boolean): void {
  const { judge, exchanges, random, check } = end;
  const report = exchanges.quiet(slot, standard, random);
  check();
  if (report === undefined) return judge.fail("quiet", `${slot.name}'s quiet exchange came to no end`);
  if ("reason" in report) {
    return judge.fail(
      "quiet",
      `${slot.name}'s quiet exchange ended with ${reasonName(report.reason)}: ${report.message}`,
    );
  }
  if (!report.verified) judge.fail("quiet", `${slot.name}'s quiet exchange ended without a proof`);
  const moved = report.sent + report.sentDeletions + report.received + report.deleted;
  if (isLast && moved > 0) judge.fail("restless", `${slot.name} still moved ${moved} changes, with nothing left to do`);
}

function serverContents({ server }: End): ReadonlyMap<string, Told> {
  const { uid } = server;
  if (uid === undefined) return new Map();
  const query = { uid, prefix: "", after: "", limit: 1000, maxBytes: 1e9, inlineBytes: 1e9 };
  const items = answerOf(server.store.listItems(query)) ?? [];
  return new Map(items.map(({ id, content }) => [id, content as Told]));
}

function judgeReplica({ judge, ids }: End, { name, host, model }: Slot, held: ReadonlyMap<string, Told>): void {
  const { store } = host;
  const sight = lookAt(store, ids);
  if (sight.pending > 0) judge.fail("pending", `${name} has ${sight.pending} pending changes left`);
  for (const id of ids) {
    const own = sight.faces.get(id)?.content;
    judge.checked();
    if (own === held.get(id)) continue;
    judge.fail("unequal", `${name} has ${shown(own)} of "${id}", the server ${shown(held.get(id))}`);
  }
  const { total, items } = store.state();
  judgeSum(judge, name, held, total);
  if (items !== held.size) judge.fail("count", `${name} counts ${items} items, the server has ${held.size}`);
  for (const { id, fingerprint } of store.list({ prefix: "", after: "", limit: 1000 })) {
    if (hexOf(fingerprint) !== printOf(id, held.get(id)))
      judge.fail("fingerprint", `${name} has a wrong one for "${id}"`);
  }
  const damage = store.audit();
  if (damage !== undefined) judge.fail("audit", `${name}: ${JSON.stringify(damage)}`);
  model.damaged = false;
}

function judgeServer({ judge, server }: End, held: ReadonlyMap<string, Told>): void {
  const state = collectionOf(server.store, COLLECTION);
  if (state !== undefined) judgeSum(judge, "the server", held, state.total);
  for (const [id, content] of held) {
    if (server.history.latest(id)?.content === content) continue;
    judge.fail("unequal", `the server has ${shown(content)} of "${id}", which it never committed`);
  }
}

function judgeSum(
  judge: CommitJudge,
  name: string,
  held: ReadonlyMap<string, Told>,
  total: { readonly count: number; readonly sum: Uint8Array },
): void {
  const prints = [...held].map(([id, content]) => printOf(id, content) as string);
  const { count, sum } = sumOfPrints(prints);
  judge.checked();
  if (count !== total.count || sum !== hexOf(total.sum)) judge.fail("sum", `${name} has a wrong count or sum`);
}

/** Where nothing was thrown away: every version is there, or was replaced knowingly, or is in a record. */
function judgeVersions({ judge, server, slots }: End, held: ReadonlyMap<string, Told>): void {
  const recorded = new Set<string>();
  const recordedIds = new Set<string>();
  const keep = (id: string, content: Told): void => {
    recorded.add(keyOf(id, content));
    recordedIds.add(id);
  };
  for (const record of server.records()) keep(record.id, record.content);
  for (const { host } of slots) {
    for (const { number, id } of host.store.listConflicts(Number.MAX_SAFE_INTEGER, 1_000_000)) {
      keep(id, host.store.getConflict(number)?.content as Told);
    }
  }
  for (const each of judge.happenings.all) {
    judge.checked();
    // That a deletion is overcome by the creation of somebody who never had the item is as it must be.
    if (each.content === undefined || each.withdrawn) continue;
    // Where two put the same and agreed, whoever replaced the one replaced the other.
    if (judge.happenings.matching(each.id, each.content, undefined).some((same) => same.superseded)) continue;
    if (held.get(each.id) === each.content || recorded.has(keyOf(each.id, each.content)) || each.recorded) continue;
    judge.fail("lost", `${shown(each.content)} of "${each.id}" by ${each.by} is nowhere, and nobody replaced it`);
  }
  for (const [id, content] of held) {
    judge.checked();
    const makers = judge.happenings.matching(id, content, undefined);
    const replaced = makers.every((each) => each.superseded && !each.copied);
    if (!replaced || recordedIds.has(id)) continue;
    // A tombstone that was gone could not be put into a record.
    const before = server.history.latest(id)?.before;
    if (before !== undefined && before.content === undefined && before.revision <= server.history.compacted) continue;
    // Of two copies of a file that both had it pending, one deleted it before it had ever come to the server, and the other
    // sent it: a deletion of what was never there is nothing to tell, and nothing could be put into a record.
    if (before === undefined && makers.every((each) => each.shared)) continue;
    // Somebody who never had the item may have made the same, and sends it after what another one made was replaced.
    if (makers.length > 1 && makers.some((each) => each.creation)) continue;
    judge.fail("returned", `"${id}" is ${shown(content)} again, which was replaced knowingly, and no record tells why`);
  }
}

function keyOf(id: string, content: Told): string {
  return `${id}\0${content ?? ""}`;
}
