import { describe, expect, test } from "vitest";
import type { MemoryReplica } from "../../client/replica/memory.js";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import { createLiveNet, type LiveNet, type LiveStream } from "./live-net.js";
import { edit, livePair, whole } from "./live-pair.js";
import { contents, newReplica, newStore } from "./world.js";

/** The first sending is no race yet; five that are lost make a change contended; one more is under way by then. */
const LOST = 7;

/** Two replicas that are live under CLIENT. */
function pair() {
  return livePair(undefined, false, { standard: ChangeStandard.CHANGE_STANDARD_CLIENT });
}

type Pair = ReturnType<typeof pair>;

/** How many pushes of a stream have arrived. */
function pushed({ requests }: LiveStream): number {
  return requests.filter(({ message }) => message?.$case === "push").length;
}

/** A push of the second one that is under way meets a change of the first one, which the server took just before. */
function loseRace({ net, a, one, two }: Pair, content: string): void {
  two.block(true);
  edit(one, a, { x: content });
  net.settle();
  const before = pushed(two);
  two.deafen(false);
  while (pushed(two) === before) {
    if (!net.step()) throw new Error("nothing is under way");
  }
  two.deafen(true);
  two.block(false);
  net.settle();
}

/** Whether a push of the second one is under way. */
function pushes({ two }: Pair): boolean {
  return !two.client.sendsAtOnce();
}

/** The second one changes something, and gives up after it lost all its races. */
function contend(place: Pair, content = "second"): void {
  const { b, two } = place;
  two.deafen(true);
  edit(two, b, { x: content });
  for (let race = 0; race < LOST; race++) loseRace(place, `first ${content} ${race}`);
  two.deafen(false);
  expect(pushes(place)).toBe(false);
  expect(two.client.report().contended).toEqual(["x"]);
}

/** Seconds until a stream has sent something more, at most so many. */
function secondsToPush(net: LiveNet, stream: LiveStream, most: number): number {
  const before = pushed(stream);
  for (let second = 1; second <= most; second++) {
    net.pass(1);
    while (pushed(stream) === before && net.step());
    if (pushed(stream) > before) return second;
  }
  return Number.POSITIVE_INFINITY;
}

describe("a contended change", () => {
  test("is tried again after a second or two, prevails, and is contended no more", () => {
    const place = pair();
    const { net, a, b, two } = place;
    contend(place);
    expect(two.client.report().conflictCount).toBe(0);
    expect(secondsToPush(net, two, 10)).toBeLessThanOrEqual(3);
    // While its verdict is out it has not got through.
    expect(two.client.report().contended).toEqual(["x"]);
    net.settle();
    expect(two.client.report()).toMatchObject({ contended: [], conflictCount: 1 });
    whole(net, a, b);
    expect(contents(a)).toEqual({ x: "second" });
  });

  test("is tried less and less often where it loses each time, down to once a minute, and soon again after it won", () => {
    const place = pair();
    const { net, a, b, one, two } = place;
    contend(place);
    const waits: number[] = [];
    for (let round = 0; round < 9; round++) {
      two.deafen(true);
      // What it sends waits, and somebody else is faster each time.
      let seconds = 0;
      for (; !pushes(place); seconds++) net.pass(1);
      waits.push(seconds);
      for (let race = 0; race < LOST - 1; race++) loseRace(place, `first again ${round} ${race}`);
    }
    for (const [round, seconds] of waits.entries()) {
      const longest = Math.min(60, 2 * 2 ** round);
      expect(seconds).toBeGreaterThanOrEqual(Math.floor(longest / 2));
      expect(seconds).toBeLessThanOrEqual(longest + 1);
    }
    two.deafen(false);
    expect(secondsToPush(net, two, 70)).toBeGreaterThanOrEqual(30);
    net.settle();
    whole(net, a, b);
    net.pass(1);
    contend(place, "third");
    expect(secondsToPush(net, two, 70)).toBeLessThanOrEqual(3);
    net.settle();
    whole(net, a, b);
    expect(contents(a)).toEqual({ x: "third" });
    expect(one.client.report().contended).toEqual([]);
  });

  test("is contended no more where a later change of it gets through, or it gives way", () => {
    const place = pair();
    const { net, a, b, one, two } = place;
    contend(place);
    edit(two, b, { x: "later" });
    net.settle();
    expect(two.client.report().contended).toEqual([]);
    contend(place);
    edit(one, a, { x: "second" });
    net.settle();
    expect(two.client.report()).toMatchObject({ contended: [], settled: 1 });
    whole(net, a, b);
    // Nothing is left to be tried.
    const before = two.requests.length;
    net.pass(20);
    net.settle();
    expect(two.requests.length).toBe(before);
  });

  test("of each of two that race comes to rest by itself, with few messages", () => {
    const net = createLiveNet(newStore());
    const standard = ChangeStandard.CHANGE_STANDARD_CLIENT;
    const replicas = [1, 2, 3].map((id) => newReplica(id));
    const streams = replicas.map((replica) => net.join(replica, { standard }));
    net.settle();
    let state = 7;
    const random = (): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
      return state / 0x80000000;
    };
    for (let version = 0; version < 300; version++) {
      for (const [who, stream] of streams.entries()) {
        edit(stream, replicas[who] as MemoryReplica, { x: `${who} ${version}` });
      }
      for (let delivery = 0; delivery < 3; delivery++) net.step(random);
    }
    net.settle(random);
    const pending = (): number => replicas.filter((replica) => replica.state().pending > 0).length;
    let seconds = 0;
    for (; pending() > 0 && seconds < 120; seconds++) {
      net.pass(1);
      net.settle(random);
    }
    expect(seconds).toBeLessThan(10);
    for (const stream of streams) expect(stream.client.report().contended).toEqual([]);
    whole(net, ...replicas);
    const before = streams.map(({ requests }) => requests.length);
    net.pass(55 - seconds);
    net.settle(random);
    expect(streams.map(({ requests }) => requests.length)).toEqual(before);
  });
});
