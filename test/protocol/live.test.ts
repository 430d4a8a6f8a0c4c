import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { MemoryReplica } from "../../client/replica/memory.js";
import { ErrorReason } from "../../gen/tercet/v1/error.js";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import { runs } from "../runs.js";
import { createLiveNet, HEARTBEAT_S, type LiveNet, type LiveStream } from "./live-net.js";
import { edit, livePair, whole } from "./live-pair.js";
import { change, contents, newReplica, newStore, serverState } from "./world.js";

const STEP_TIMEOUT_S = 60;
const PROOF_INTERVAL_S = 60;

/** Time passes, and what is under way arrives. */
function minutes(net: LiveNet, count: number): void {
  for (let minute = 0; minute < count; minute++) {
    net.settle();
    net.pass(60);
  }
  net.settle();
}

/** The kinds of messages from an index on. */
function kinds(messages: readonly { readonly message?: { readonly $case: string } | undefined }[], from = 0): string[] {
  return messages.slice(from).map(({ message }) => message?.$case ?? "");
}

describe("changes as they happen", () => {
  test.each([false, true])("pass from each side to the other, one message each way, without an echo", (early) => {
    const { net, a, b, one, two } = livePair({ x: "old" }, early);
    const sent = [one.requests.length, one.responses.length, two.requests.length, two.responses.length] as const;
    edit(one, a, { x: "new", y: "1" });
    net.settle();
    whole(net, a, b);
    expect(kinds(one.requests, sent[0])).toEqual(["push"]);
    expect(kinds(one.responses, sent[1])).toEqual(["verdicts"]);
    expect(kinds(two.requests, sent[2])).toEqual([]);
    expect(kinds(two.responses, sent[3])).toEqual(["page"]);
    // The checkpoints cover it: a replica that begins anew is told of nothing.
    expect(a.state().revision).toBe(serverState(net.store).revision);
    expect(b.state().revision).toBe(serverState(net.store).revision);
    edit(two, b, { x: null });
    net.settle();
    whole(net, a, b);
    expect(contents(a)).toEqual({ y: "1" });
  });

  test("a conflict ends by the standard in force, and what gives way is kept", () => {
    const { net, a, b, one, two } = livePair();
    two.deafen(true);
    edit(two, b, { x: "second" });
    edit(one, a, { x: "first" });
    net.settle();
    two.deafen(false);
    net.settle();
    whole(net, a, b);
    expect(contents(b)).toEqual({ x: "first" });
    expect(b.listConflicts(1000, 10).map(({ id }) => id)).toEqual(["x"]);
  });

  test("under CLIENT the later push prevails in the same stream", () => {
    const { net, a, b, one, two } = livePair(undefined, false, { standard: ChangeStandard.CHANGE_STANDARD_CLIENT });
    two.deafen(true);
    edit(two, b, { x: "second" });
    edit(one, a, { x: "first" });
    net.settle();
    two.deafen(false);
    net.settle();
    whole(net, a, b);
    expect(contents(a)).toEqual({ x: "second" });
  });

  test("a change of an item whose push has no verdict yet waits for it, and loses no race", () => {
    const { net, a, b, one } = livePair();
    edit(one, a, { x: "first" });
    edit(one, a, { x: "second", z: "other" });
    edit(one, a, { x: "third" });
    net.settle();
    whole(net, a, b);
    expect(contents(b)).toEqual({ x: "third", z: "other" });
    const outcomes = one.responses.flatMap(({ message }) =>
      message?.$case === "verdicts" ? message.value.verdicts.map(({ outcome }) => outcome) : [],
    );
    // All applied.
    expect(new Set(outcomes)).toEqual(new Set([1]));
    expect(one.client.report().conflictCount).toBe(0);
  });

  test("a change that comes back from a lost race is sent once, also where the application has just changed it", () => {
    const net = createLiveNet(newStore());
    const [a, b] = [newReplica(1), newReplica(2)];
    change(a, { x: "old" });
    const one = net.join(a);
    const two = net.join(b, { standard: ChangeStandard.CHANGE_STANDARD_CLIENT });
    net.settle();
    two.block(true);
    edit(one, a, { y: "1" });
    net.settle();
    edit(one, a, { x: null });
    net.settle();
    edit(two, b, { x: "first" });
    net.settle();
    edit(two, b, { x: "second" });
    const before = serverState(net.store).revision;
    two.block(false);
    net.settle();
    expect(serverState(net.store).revision).toBe(before + 1);
    whole(net, a, b);
  });

  test("contents that are not inline are fetched, and the feed waits for a reader that has to", () => {
    const { net, a, b, one, two } = livePair();
    const large = "l".repeat(100_000);
    edit(one, a, Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`large-${index}`, large])));
    net.settle();
    whole(net, a, b);
    expect(kinds(two.requests)).toContain("taken");
  });

  test("a collection that is deleted ends its exchanges", () => {
    const { net, one } = livePair();
    void net.store.deleteCollection(serverState(net.store).uid);
    net.settle();
    expect(one.closed?.fault?.reason).toBe(ErrorReason.ERROR_REASON_COLLECTION_DELETED);
  });
});

describe("slow readers", () => {
  test("are served from the feed: each item once, however often it changed, and nothing is queued for them", () => {
    const { net, a, b, one, two } = livePair();
    two.block(true);
    for (let version = 0; version < 300; version++) {
      edit(one, a, { [`item-${version % 5}`]: `version ${version}` });
      net.settle();
      expect(two.waiting).toBeLessThanOrEqual(4);
    }
    const before = two.responses.length;
    two.block(false);
    net.settle();
    whole(net, a, b);
    const told = two.responses
      .slice(before)
      .flatMap(({ message }) => (message?.$case === "page" ? message.value.changes : []));
    // Four pages were under way when it stopped reading; the rest is one.
    expect(told.length).toBeLessThanOrEqual(4 + 5);
  });

  test("who never reads again stalls the stream, in mid-change and in peace", () => {
    const { net, a, one, two } = livePair();
    two.block(true);
    for (let version = 0; version < 20; version++) {
      edit(one, a, { x: `version ${version}` });
      net.settle();
    }
    net.pass(STEP_TIMEOUT_S + 2);
    two.block(false);
    net.settle();
    expect(two.closed?.fault?.reason).toBe(ErrorReason.ERROR_REASON_STALLED);
  });
});

describe("a quiet stream", () => {
  test("gets heartbeats, and stays open for hours", () => {
    const { net, one } = livePair();
    const before = one.responses.length;
    minutes(net, 120);
    const beats = one.responses.slice(before);
    expect(beats.length).toBe((120 * 60) / HEARTBEAT_S);
    for (const { message } of beats)
      expect(message).toMatchObject({ $case: "page", value: { changes: [], end: true } });
    expect(one.closed).toBeUndefined();
    expect(kinds(one.requests)).toEqual(["open", "push", "done"]);
  });

  test("without them the client knows that it is cut off", () => {
    const { net, one } = livePair();
    one.block(true);
    net.pass(3 * HEARTBEAT_S - 1);
    expect(one.closed).toBeUndefined();
    net.pass(3);
    expect(one.closed?.fault?.reason).toBe(ErrorReason.ERROR_REASON_STALLED);
  });

  test("a push that is not answered is waited for no longer than a step", () => {
    const { net, a, one } = livePair();
    one.deafen(true);
    edit(one, a, { x: "new" });
    net.pass(STEP_TIMEOUT_S + 1);
    expect(one.closed?.fault?.reason).toBe(ErrorReason.ERROR_REASON_STALLED);
    // And the next exchange makes it good.
    net.join(a);
    net.settle();
    whole(net, a);
    expect(contents(a)).toEqual({ x: "new" });
  });

  test("what has changed is proved once a minute, what has not is not", () => {
    const { net, a, b, one, two } = livePair();
    minutes(net, 10);
    expect(kinds(one.requests).filter((kind) => kind === "done").length).toBe(1);
    edit(one, a, { x: "new" });
    minutes(net, 10);
    for (const stream of [one, two]) {
      expect(kinds(stream.requests).filter((kind) => kind === "done").length).toBe(2);
      expect(stream.client.report().verified).toBe(true);
    }
    whole(net, a, b);
  });

  test("a proof that fails is recovered from in the stream, once; then it takes another stream", () => {
    const net = createLiveNet(newStore());
    const a = newReplica(1);
    change(a, { x: "old", y: "1" });
    let wrong = 0;
    const one = net.join(a, {
      tamper(response) {
        const { message } = response;
        if (message?.$case !== "page" || message.value.proof === undefined || wrong === 0) return response;
        wrong -= 1;
        const proof = { ...message.value.proof, count: message.value.proof.count + 1 };
        return { message: { $case: "page", value: { ...message.value, proof } } };
      },
    });
    net.settle();
    for (const [round, closed] of [undefined, { fault: undefined }].entries()) {
      edit(one, a, { x: `round ${round}` });
      wrong = 1;
      minutes(net, 2);
      expect(one.closed).toEqual(closed);
    }
    expect(one.client.report().recovery?.why).toBe("unverified");
    expect(one.client.goingAway()).toEqual({ retryAfterMs: 0 });
    net.join(a);
    net.settle();
    whole(net, a);
  });
});

describe("the end", () => {
  test("a client that leaves waits for its verdicts", () => {
    const { net, a, b, one } = livePair();
    edit(one, a, { x: "new" });
    one.leave();
    expect(one.closed).toBeUndefined();
    net.settle();
    expect(one.closed).toEqual({ fault: undefined });
    whole(net, a, b);
  });

  test("a client may leave in the middle of a first pull, and goes on from there", () => {
    const net = createLiveNet(newStore());
    const [a, b] = [newReplica(1), newReplica(2)];
    change(a, Object.fromEntries(Array.from({ length: 5000 }, (_, index) => [`item-${index}`, `${index}`.repeat(40)])));
    net.join(a);
    net.settle();
    const two = net.join(b);
    for (let deliveries = 0; b.state().revision === 0 && deliveries < 1000; deliveries++) net.step();
    two.leave();
    net.settle();
    expect(two.closed).toEqual({ fault: undefined });
    const had = b.state().items;
    expect(had).toBeGreaterThan(0);
    expect(had).toBeLessThan(5000);
    net.join(b);
    net.settle();
    whole(net, a, b);
  });

  test("a server that drains says so: the client finishes, leaves, and knows when to come back", () => {
    const { net, a, b, one } = livePair();
    edit(one, a, { x: "new" });
    one.goAway(1500);
    net.settle();
    expect(one.closed).toEqual({ fault: undefined });
    expect(one.client.goingAway()).toEqual({ retryAfterMs: 1500 });
    whole(net, a, b);
  });

  test("a replica whose checkpoint was compacted recovers, and is live", () => {
    const { net, a, b, one, two } = livePair({ x: "old", y: "1" });
    two.leave();
    net.settle();
    edit(one, a, { x: null });
    net.settle();
    void net.store.compact({ uid: serverState(net.store).uid, through: serverState(net.store).revision });
    const again = net.join(b);
    net.settle();
    expect(again.client.report().recovery?.why).toBe("compacted");
    expect(again.client.standing()).toBe("live");
    edit(one, a, { z: "3" });
    net.settle();
    whole(net, a, b);
  });
});

test("whatever is edited, cut, blocked and joined anew in whatever order, all are equal in the end", () => {
  const CLIENTS = 3;
  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ kind: fc.constant("edit" as const), who: fc.nat(CLIENTS - 1), item: fc.nat(4) }),
    },
    { weight: 8, arbitrary: fc.record({ kind: fc.constant("deliver" as const), count: fc.nat(12) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("cut" as const), who: fc.nat(CLIENTS - 1) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("leave" as const), who: fc.nat(CLIENTS - 1) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("away" as const), who: fc.nat(CLIENTS - 1) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("pass" as const), seconds: fc.nat(100) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("block" as const), who: fc.nat(CLIENTS - 1) }) },
  );
  const history = fc.record({
    steps: fc.array(step, { minLength: 1, maxLength: 80 }),
    seed: fc.nat(),
    client: fc.boolean(),
    inline: fc.constantFrom(1, 1000),
  });
  const property = fc.property(history, ({ steps, seed, client, inline }) => {
    let state = seed;
    const random = (): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
      return state / 0x80000000;
    };
    const net = createLiveNet(newStore());
    const standard = client ? ChangeStandard.CHANGE_STANDARD_CLIENT : ChangeStandard.CHANGE_STANDARD_SERVER;
    const replicas = Array.from({ length: CLIENTS }, (_, index) => newReplica(index + 1));
    const join = (who: number): LiveStream =>
      net.join(replicas[who] as MemoryReplica, { standard, limits: { inlineBytes: inline } });
    const streams = replicas.map((_, who) => join(who));
    const rejoin = (): void => {
      for (const [who, stream] of streams.entries()) {
        expect([undefined, ErrorReason.ERROR_REASON_STALLED]).toContain(stream.closed?.fault?.reason);
        if (stream.closed !== undefined) streams[who] = join(who);
      }
    };
    let made = 0;
    for (const each of steps) {
      if (each.kind === "deliver") for (let count = 0; count < each.count; count++) net.step(random);
      else if (each.kind === "pass") net.pass(each.seconds);
      else if (each.kind === "edit") {
        const content = random() < 0.2 ? null : `version ${made++}`;
        const replica = replicas[each.who] as MemoryReplica;
        if (content !== null || replica.get(`item-${each.item}`) !== undefined)
          edit(streams[each.who] as LiveStream, replica, { [`item-${each.item}`]: content });
      } else {
        const stream = streams[each.who] as LiveStream;
        if (each.kind === "cut") {
          stream.cut();
          streams[each.who] = join(each.who);
        } else if (each.kind === "leave") stream.leave();
        else if (each.kind === "away") stream.goAway(0);
        else stream.block(random() < 0.5);
      }
      rejoin();
    }
    for (let round = 0; round < 4; round++) {
      for (const stream of streams) stream.block(false);
      net.settle(random);
      rejoin();
      for (const stream of streams) stream.notify();
      net.pass(PROOF_INTERVAL_S + 1);
    }
    net.settle(random);
    for (const stream of streams) {
      expect(stream.closed).toBeUndefined();
      expect(stream.client.standing()).toBe("live");
      expect(stream.client.report().verified).toBe(true);
    }
    whole(net, ...replicas);
  });
  fc.assert(property, { numRuns: runs(300) });
});
