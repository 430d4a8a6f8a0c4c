import { beforeEach, describe, expect, it } from "vitest";
import type { Content } from "../../core/content.js";
import { WHOLE_BYTES } from "../../core/limits.js";
import { ErrorReason } from "../../gen/tercet/v1/error.js";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import { Capability, type ExchangeRequest, type ExchangeResponse } from "../../gen/tercet/v1/sync.js";
import { exchange, type PairOptions, type PairOutcome } from "./pair.js";
import { change, contents, newReplica, newStore, now, serverContents, serverState } from "./world.js";

/** Small messages, so that a content of little more than WHOLE_BYTES is some twenty of them. */
const LIMITS = { messageBytes: 64 * 1024, windowBytes: 256 * 1024 };
const SIZE = WHOLE_BYTES + 100_001;
const { CHANGE_STANDARD_SERVER, CHANGE_STANDARD_CLIENT, CHANGE_STANDARD_MANUAL } = ChangeStandard;

/** Bytes that say where they are. */
function large(seed: number, size = SIZE): Buffer {
  const bytes = Buffer.alloc(size, `${seed} `);
  for (let at = 0; at + 4 <= size; at += 4096) bytes.writeUInt32BE(at, at);
  return bytes;
}

function same(found: Record<string, Content>, wanted: Record<string, Content>): void {
  expect(Object.keys(found).sort()).toEqual(Object.keys(wanted).sort());
  for (const [id, content] of Object.entries(wanted)) {
    expect(typeof found[id]).toBe(typeof content);
    expect(Buffer.from(found[id] as string).equals(Buffer.from(content as string)), id).toBe(true);
  }
}

/** What the server holds, large contents included. */
function held(store: ReturnType<typeof newStore>): Record<string, Content> {
  const { uid } = serverState(store);
  const ids = Object.keys(serverContents(store));
  return Object.fromEntries(
    ids.map((id) => {
      const read = now(store.readPart({ uid, id, offset: 0, length: 1e9 }));
      const data = Buffer.from(read?.data ?? []);
      return [id, read?.text === true ? data.toString() : data];
    }),
  );
}

function chunkBytes(messages: readonly (ExchangeRequest | ExchangeResponse)[]): number {
  return messages.reduce((sum, { message }) => sum + (message?.$case === "chunk" ? message.value.data.length : 0), 0);
}

describe("contents larger than a message", () => {
  let store: ReturnType<typeof newStore>;
  let replica: ReturnType<typeof newReplica>;
  let other: ReturnType<typeof newReplica>;
  beforeEach(() => {
    store = newStore();
    replica = newReplica();
    other = newReplica(4);
  });

  function run(options: Partial<PairOptions> = {}): PairOutcome {
    return exchange({ store, replica, serverLimits: LIMITS, ...options });
  }
  /** Both replicas hold what the server holds, and nothing is left over in them. */
  function settled(wanted: Record<string, Content>): void {
    for (const each of [replica, other]) {
      expect(run({ replica: each })).toMatchObject({ fault: undefined, report: { verified: true } });
      same(contents(each), wanted);
      expect(each.audit()).toBeUndefined();
      expect(each.listDownloads(undefined)).toEqual([]);
    }
    same(held(store), wanted);
  }

  it("go there and come back, as text and as bytes, among small ones", () => {
    const text = `${"aé€😀".repeat(SIZE / 10)}.`;
    const all = { a: "small", b: large(1), c: text, d: large(2, 3 * WHOLE_BYTES), e: "small, too" };
    change(replica, all);
    const sent = run();
    expect(sent).toMatchObject({ fault: undefined, report: { verified: true, sent: 5 } });
    expect(chunkBytes(sent.requests)).toBe(SIZE + Buffer.byteLength(text) + 3 * WHOLE_BYTES);
    const received = run({ replica: other });
    expect(received).toMatchObject({ fault: undefined, report: { verified: true, received: 5 } });
    expect(chunkBytes(received.responses)).toBe(chunkBytes(sent.requests));
    settled(all);
  });

  it("take the round trips of any large change", () => {
    change(replica, { a: "1" });
    run();
    run({ replica: other });
    const wide = { windowBytes: 8 * WHOLE_BYTES };
    change(replica, { b: large(1) });
    const there = run({ lockstep: true, serverLimits: wide });
    expect([there.report.roundTrips, there.trips]).toEqual([2, 2]);
    const back = run({ replica: other, lockstep: true, serverLimits: wide });
    expect([back.report.roundTrips, back.trips]).toEqual([2, 2]);
  });

  it("keep no more than a window on the way", () => {
    change(replica, { a: large(1, 2 * WHOLE_BYTES) });
    let sent = 0;
    let told = 0;
    let most = 0;
    const tamperRequest = (request: ExchangeRequest) => {
      sent += chunkBytes([request]);
      return request;
    };
    const tamperResponse = (response: ExchangeResponse) => {
      if (response.message?.$case === "upload") told = response.message.value.offset;
      return response;
    };
    const meanwhile = () => {
      most = Math.max(most, sent - told);
    };
    run({ tamperRequest, tamperResponse, meanwhile });
    expect(sent).toBe(2 * WHOLE_BYTES);
    expect(most).toBeGreaterThan(LIMITS.messageBytes);
    expect(most).toBeLessThanOrEqual(LIMITS.windowBytes);
    settled({ a: large(1, 2 * WHOLE_BYTES) });
  });

  it("go on where an upload was cut, wherever that was", () => {
    const whole = (() => {
      const probe = newReplica();
      change(probe, { a: large(1) });
      return exchange({ store: newStore(), replica: probe, serverLimits: LIMITS }).delivered;
    })();
    expect(whole).toBeGreaterThan(20);
    for (let cutAfter = 1; cutAfter < whole; cutAfter++) {
      store = newStore();
      replica = newReplica();
      change(replica, { a: large(1) });
      const cut = run({ cutAfter });
      // What this side had handed over, and the server never saw, counts as sent.
      const rest = run();
      expect(rest).toMatchObject({ fault: undefined, report: { verified: true } });
      expect(chunkBytes(cut.requests) + chunkBytes(rest.requests)).toBeLessThanOrEqual(SIZE + LIMITS.windowBytes);
      same(held(store), { a: large(1) });
    }
  });

  it("go on where a download was cut, wherever that was", () => {
    change(replica, { a: large(1), b: "small" });
    run();
    const whole = run({ replica: newReplica(9) }).delivered;
    for (let cutAfter = 1; cutAfter < whole; cutAfter++) {
      other = newReplica(4);
      const cut = run({ replica: other, cutAfter });
      const rest = run({ replica: other });
      expect(rest).toMatchObject({ fault: undefined, report: { verified: true } });
      expect(chunkBytes(cut.responses) + chunkBytes(rest.responses)).toBeLessThanOrEqual(SIZE + LIMITS.windowBytes);
      same(contents(other), { a: large(1), b: "small" });
      expect(other.listDownloads(undefined)).toEqual([]);
    }
  });

  it("are cut again and again, and arrive all the same", () => {
    change(replica, { a: large(1) });
    let runs = 0;
    for (; runs < 100 && !run({ cutAfter: 12 }).report.verified; runs++);
    expect(runs).toBeLessThan(100);
    for (runs = 0; runs < 100 && !run({ replica: other, cutAfter: 12 }).report.verified; runs++);
    settled({ a: large(1) });
  });

  /** Runs something right before the n-th operation of a kind. */
  function onceBefore(kind: string, at: number, work: () => void): (kind: string) => void {
    let seen = 0;
    return (each) => {
      if (each !== kind) return;
      seen += 1;
      if (seen === at) work();
    };
  }

  it("give up an upload whose item the application changes meanwhile, and send what it is then", () => {
    for (const then of [large(2), "small", null]) {
      change(replica, { a: large(1), b: "1" });
      const outcome = run({ beforeClientOperation: onceBefore("read-content", 5, () => change(replica, { a: then })) });
      expect(outcome.fault).toBeUndefined();
      expect(held(store)["b"]).toBe("1");
      settled(then === null ? { b: "1" } : { a: then, b: "1" });
      change(replica, { a: null, b: null });
      settled({});
    }
  });

  it("are judged like others in a conflict", () => {
    for (const standard of [CHANGE_STANDARD_SERVER, CHANGE_STANDARD_CLIENT]) {
      change(replica, { a: large(1) });
      settled({ a: large(1) });
      change(replica, { a: large(2) });
      change(other, { a: large(3) });
      run();
      expect(run({ replica: other, standard })).toMatchObject({ fault: undefined, report: { verified: true } });
      const wins = standard === CHANGE_STANDARD_SERVER ? large(2) : large(3);
      if (standard === CHANGE_STANDARD_SERVER) {
        const [record] = other.listConflicts(999, 1);
        expect(record).toMatchObject({ id: "a", size: SIZE, content: undefined });
        expect(Buffer.from(other.getConflict(record?.number ?? 0)?.content as Buffer).equals(large(3))).toBe(true);
      }
      settled({ a: wins });
      change(replica, { a: null });
      settled({});
    }
  });

  it("are held in conflict with both contents, and resolved either way", () => {
    for (const how of ["mine", "theirs"] as const) {
      change(replica, { a: large(1) });
      settled({ a: large(1) });
      change(replica, { a: large(2) });
      change(other, { a: large(3) });
      run();
      const outcome = run({ replica: other, standard: CHANGE_STANDARD_MANUAL });
      expect(outcome).toMatchObject({ fault: undefined, report: { conflicts: [{ id: "a", prevailed: "held" }] } });
      expect(other.getBase("a")).toMatchObject({ size: SIZE, text: false });
      expect(Buffer.from(other.getBaseContent("a") as Buffer).equals(large(2))).toBe(true);
      other.resolveHeld("a", how, 1);
      const standard = CHANGE_STANDARD_MANUAL;
      expect(run({ replica: other, standard })).toMatchObject({ fault: undefined, report: { verified: true } });
      settled({ a: how === "mine" ? large(3) : large(2) });
      change(replica, { a: null });
      settled({});
    }
  });

  it("that are held are judged anew without being fetched again", () => {
    change(replica, { a: large(1) });
    settled({ a: large(1) });
    change(replica, { a: large(2) });
    change(other, { a: large(3) });
    run();
    run({ replica: other, standard: CHANGE_STANDARD_MANUAL });
    const judged = run({ replica: other, standard: CHANGE_STANDARD_SERVER });
    expect(chunkBytes(judged.responses)).toBe(0);
    settled({ a: large(2) });
  });

  it("are not handed to a resolver, nor fetched for it", () => {
    for (const answer of ["mine", "theirs"] as const) {
      change(replica, { a: large(1) });
      settled({ a: large(1) });
      change(replica, { a: large(2) });
      change(other, { a: large(3) });
      run();
      const asked: unknown[] = [];
      const outcome = run({
        replica: other,
        resolver(conflict) {
          asked.push([conflict.theirs, conflict.theirsSize]);
          return { kind: answer };
        },
      });
      expect(asked).toEqual([[undefined, SIZE]]);
      expect(chunkBytes(outcome.responses)).toBe(answer === "mine" ? 0 : SIZE);
      settled({ a: answer === "mine" ? large(3) : large(2) });
      change(replica, { a: null });
      settled({});
    }
  });

  it("follow an item that changes, shrinks or goes while it is fetched", () => {
    for (const then of [large(2), large(2, SIZE + 5), "small", null]) {
      change(replica, { a: large(1) });
      run();
      let pieces = 0;
      const meanwhile = (): void => {
        if (pieces !== 6) return;
        pieces += 1;
        change(replica, { a: then });
        expect(run().fault).toBeUndefined();
      };
      const tamperResponse = (response: ExchangeResponse): ExchangeResponse => {
        pieces += Number(response.message?.$case === "chunk");
        return response;
      };
      const outcome = run({ replica: other, meanwhile, tamperResponse });
      expect(outcome).toMatchObject({ fault: undefined, report: { verified: true } });
      expect(pieces).toBeGreaterThan(6);
      settled(then === null ? {} : { a: then });
      change(replica, { a: null });
      settled({});
    }
  });

  it("that were changed here while they came are compared once more, and not fetched once more", () => {
    change(replica, { a: large(1) });
    settled({ a: large(1) });
    change(replica, { a: large(2) });
    run();
    const outcome = run({
      replica: other,
      standard: CHANGE_STANDARD_SERVER,
      beforeClientOperation: onceBefore("stage", 7, () => change(other, { a: "mine" })),
    });
    expect(outcome).toMatchObject({ fault: undefined, report: { verified: true } });
    expect(chunkBytes(outcome.responses)).toBe(SIZE);
    expect(other.listConflicts(99, 9)).toMatchObject([{ id: "a", size: 4 }]);
    settled({ a: large(2) });
  });

  it("are pushed again after a lost race, and not sent again", () => {
    change(replica, { a: large(1) });
    settled({ a: large(1) });
    change(replica, { a: large(2) });
    let pushes = 0;
    const requests: ExchangeRequest[] = [];
    const outcome = run({
      standard: CHANGE_STANDARD_CLIENT,
      tamperRequest(request) {
        requests.push(request);
        if (request.message?.$case === "push" && pushes++ === 0) {
          change(other, { a: "faster" });
          expect(run({ replica: other }).fault).toBeUndefined();
        }
        return request;
      },
    });
    expect(outcome).toMatchObject({ fault: undefined, report: { verified: true } });
    expect([pushes, chunkBytes(requests)]).toEqual([2, SIZE]);
    settled({ a: large(2) });
  });

  it("are refused here where the server does not take them, and do not hold up others", () => {
    const tamperResponse = (response: ExchangeResponse): ExchangeResponse => {
      if (response.message?.$case !== "opened") return response;
      const capabilities = response.message.value.capabilities.filter((each) => each !== Capability.CAPABILITY_CHUNKS);
      // Another server's word has another server's tag.
      const value = { ...response.message.value, capabilities, tag: Buffer.from("another") };
      return { message: { $case: "opened", value } };
    };
    change(replica, { a: large(1), b: "1" });
    const outcome = run({ tamperResponse });
    const reason = ErrorReason.ERROR_REASON_ITEM_TOO_LARGE;
    expect(outcome).toMatchObject({ fault: undefined, report: { sent: 1, rejected: [{ id: "a", reason }] } });
    expect(chunkBytes(outcome.requests)).toBe(0);
    settled({ a: large(1), b: "1" });
  });

  it("are refused here beyond the server's limit for items", () => {
    change(replica, { a: large(1), b: "1" });
    const outcome = run({ serverLimits: { ...LIMITS, itemBytes: WHOLE_BYTES + 1 } });
    const reason = ErrorReason.ERROR_REASON_ITEM_TOO_LARGE;
    expect(outcome).toMatchObject({ fault: undefined, report: { sent: 1, rejected: [{ id: "a", reason }] } });
  });

  it("with a wrong byte are fetched once more, and not a third time", () => {
    change(replica, { a: large(1) });
    run();
    for (const faults of [1, 2]) {
      other = newReplica(4);
      let left = faults;
      const tamperResponse = (response: ExchangeResponse): ExchangeResponse => {
        if (response.message?.$case !== "chunk" || left === 0) return response;
        const { data, offset } = response.message.value;
        if (offset === 0) data[7] = (data[7] ?? 0) ^ 1;
        left -= Number(offset === 0);
        return response;
      };
      const outcome = run({ replica: other, tamperResponse });
      expect(outcome.fault?.reason).toBe(faults === 1 ? undefined : ErrorReason.ERROR_REASON_UNVERIFIED);
      settled({ a: large(1) });
    }
  });

  it("of which a piece is lost on the way end the exchange, and the next one goes on", () => {
    change(replica, { a: large(1) });
    run();
    let pieces = 0;
    const tamperResponse = (response: ExchangeResponse): ExchangeResponse => {
      if (response.message?.$case !== "chunk") return response;
      pieces += 1;
      return pieces === 4 ? { message: undefined } : response;
    };
    const outcome = run({ replica: other, tamperResponse });
    expect(outcome.fault?.reason).toBe(ErrorReason.ERROR_REASON_OUT_OF_ORDER);
    expect(other.listDownloads(undefined)).toMatchObject([{ id: "a", size: SIZE, offset: 3 * LIMITS.messageBytes }]);
    settled({ a: large(1) });
  });

  it("are offered again to a server that lost them", () => {
    change(replica, { a: large(1) });
    settled({ a: large(1) });
    store = newStore();
    const outcome = run({ recreate: true });
    expect(outcome.fault).toBeUndefined();
    same(held(store), { a: large(1) });
  });
});
