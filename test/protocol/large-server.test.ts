import { createHash } from "node:crypto";
import * as fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { ErrorReason, type Fault } from "../../core/fault.js";
import { toFingerprint } from "../../core/fingerprint.js";
import { DEFAULT_LIMITS, WHOLE_BYTES } from "../../core/limits.js";
import { ChangeKind } from "../../gen/tercet/v1/item.js";
import {
  Capability,
  ContentChunk,
  ExchangeRequest,
  ExchangeResponse,
  type Limits,
  Open,
  Push,
  PushOutcome,
  type Verdict,
} from "../../gen/tercet/v1/sync.js";
import { createServerExchange } from "../../server/protocol/exchange.js";
import type { ServerOperation } from "../../server/protocol/operation.js";
import type { MemoryStore } from "../../server/store/memory.js";
import { after, runOperation } from "../../server/store/run-operation.js";
import { put, remove } from "../store/build.js";
import { COLLECTION, newStore, now, serverState } from "./world.js";

const KIB = 1024;
const SIZE = WHOLE_BYTES + 100 * KIB;
const PIECE = 128 * KIB;
const U = Buffer.alloc(16, 21);
const NOW = 1_760_000_000_000_000;
const { PUSH_OUTCOME_APPLIED, PUSH_OUTCOME_CONFLICT, PUSH_OUTCOME_REJECTED, PUSH_OUTCOME_ALREADY_APPLIED } =
  PushOutcome;

type Say = NonNullable<ExchangeRequest["message"]>;
type Answer = NonNullable<ExchangeResponse["message"]>;

/** Bytes that differ from place to place. */
function contentOf(seed: number, size = SIZE): Buffer {
  const bytes = Buffer.alloc(size);
  for (let at = 0; at + 4 <= size; at += 4) bytes.writeUInt32LE((at * 31 + seed) >>> 0, at);
  return bytes;
}

const A = contentOf(1);
/** Text, too. */
const B = Buffer.from(contentOf(2).toString("hex").slice(0, SIZE));

/** Not by core/fingerprint.ts, so that it is checked, too. */
function printOf(id: string, content: Uint8Array): Buffer {
  return createHash("sha256").update(`${id}\0`).update(content).digest();
}

/** A stream: the machine with its messages and storage operations. */
interface Stream {
  /** Says something, through its encoding; then the machine does all it can. */
  say(message: Say): void;
  /** The next messages, at most so many; the machine goes no further than it must for them. */
  take(count: number): Answer[];
  /** All messages that have come since the last time. */
  answers(): Answer[];
  readonly operations: ServerOperation[];
  readonly fault: Fault | undefined;
}

interface StreamOptions {
  readonly capabilities?: readonly Capability[];
  readonly serverLimits?: Partial<Limits>;
  readonly wished?: Partial<Limits>;
  /** Nothing is sent but by `take`. */
  readonly slow?: boolean;
}

const CHUNKS = [Capability.CAPABILITY_CHUNKS, Capability.CAPABILITY_GROUPS];

/** A machine on a store, opened without a token; what comes up to the first proof is left out. */
function open(store: MemoryStore, options: StreamOptions = {}): Stream {
  const limits = { ...DEFAULT_LIMITS, ...options.serverLimits };
  const machine = createServerExchange({
    limits,
    skewUs: 60_000_000,
    stepTimeoutUs: 60_000_000,
    heartbeatUs: 30_000_000,
  });
  const world = {
    store,
    write: (batch: Parameters<typeof store.write>[0][number]) => after(store.write([batch]), (written) => written[0]),
    newUid: () => Buffer.alloc(16, 7),
    nowUs: () => NOW,
  };
  const sent: Answer[] = [];
  const operations: ServerOperation[] = [];
  let fault: Fault | undefined;

  function pump(most: number): void {
    for (let count = 0; count < most; ) {
      const output = machine.next();
      if (output === undefined) return;
      if (output.kind === "close") {
        fault = output.fault;
        return;
      }
      if (output.kind === "store") {
        operations.push(output.operation);
        machine.stored(now(runOperation(world, output.operation)));
        continue;
      }
      count += 1;
      const { message } = ExchangeResponse.decode(ExchangeResponse.encode(output.message).finish());
      if (message !== undefined) sent.push(message);
    }
  }

  function say(message: Say): void {
    machine.receive(ExchangeRequest.decode(ExchangeRequest.encode({ message }).finish()), NOW);
    if (options.slow !== true) pump(Number.POSITIVE_INFINITY);
  }

  function take(count: number): Answer[] {
    pump(count);
    return sent.splice(0);
  }

  const wished = Object.fromEntries(Object.keys(limits).map((key) => [key, 0])) as unknown as Limits;
  const capabilities = [...(options.capabilities ?? CHUNKS)];
  const value = Open.fromPartial({ collection: COLLECTION, capabilities, limits: { ...wished, ...options.wished } });
  machine.receive({ message: { $case: "open", value } }, NOW);
  pump(Number.POSITIVE_INFINITY);
  sent.length = 0;
  operations.length = 0;
  return {
    say,
    take,
    answers: () => sent.splice(0),
    operations,
    get fault() {
      return fault;
    },
  };
}

function chunk(offset: number, length: number, more: Partial<ContentChunk> = {}, content = A): Say {
  const data = content.subarray(offset, offset + length);
  const value = { uploadId: U, id: "a", offset, data, size: content.length, ...more };
  return { $case: "chunk", value: ContentChunk.fromPartial(value) };
}

function ask(uploadId = U): Say {
  return { $case: "chunk", value: ContentChunk.fromPartial({ uploadId }) };
}

function push(more: Partial<Push> = {}, content = A): Say {
  const { id = "a" } = more;
  const fingerprint = toFingerprint(printOf(id, content));
  const value = { id, kind: ChangeKind.CHANGE_KIND_UPSERTED, uploadId: U, fingerprint, revisionSeen: 1e6, ...more };
  return { $case: "push", value: { pushes: [Push.fromPartial(value)], fingerprint: undefined } };
}

function small(id: string, text: string): Say {
  const content = { $case: "text" as const, value: text };
  return push({ id, uploadId: Buffer.alloc(0), content }, Buffer.from(text));
}

/** All chunks from `from` to `to`. */
function upload(stream: Stream, from = 0, to = SIZE, more: Partial<ContentChunk> = {}, content = A): void {
  for (let at = from; at < to; at += PIECE) stream.say(chunk(at, Math.min(PIECE, to - at), more, content));
}

function offsets(answers: readonly Answer[]): number[] {
  return answers.map((answer) => (answer.$case === "upload" ? answer.value.offset : -1));
}

function verdicts(answers: readonly Answer[]): Verdict[] {
  return answers.flatMap((answer) => (answer.$case === "verdicts" ? answer.value.verdicts : []));
}

function rejection(stream: Stream): ErrorReason | undefined {
  const [verdict] = verdicts(stream.answers());
  return verdict?.outcome === PUSH_OUTCOME_REJECTED ? verdict.reason : undefined;
}

let store: MemoryStore;
let uid: Uint8Array;
beforeEach(() => {
  store = newStore();
  uid = serverState(store).uid;
});

function held(id: string): Buffer | undefined {
  const read = now(store.readPart({ uid, id, offset: 0, length: 1e9 }));
  return read === undefined ? undefined : Buffer.from(read.data);
}

function holds(id: string, content: Buffer): void {
  expect(held(id)?.equals(content)).toBe(true);
}

/** Somebody else's changes. */
function others(...writes: ReturnType<typeof put>[]): void {
  now(store.write([{ uid, writes, nowUs: NOW }]));
}

/** An item with a large content, by an exchange of somebody else. */
function large(id: string, content: Buffer, text = false): void {
  const stream = open(store);
  const uploadId = Buffer.alloc(16, 99);
  upload(stream, 0, content.length, { id, uploadId, text }, content);
  const known = now(store.readItems({ uid, ids: [id], maxBytes: 1e9 }))?.items[0]?.fingerprint;
  const expected = known === undefined ? undefined : toFingerprint(known);
  stream.say(push({ id, uploadId, expected }, content));
  expect(verdicts(stream.answers())).toMatchObject([{ outcome: PUSH_OUTCOME_APPLIED }]);
}

describe("a large content towards the server", () => {
  it("is told of at every half window and at its end, and goes to the item without a copy", () => {
    const stream = open(store, { wished: { windowBytes: 512 * KIB } });
    upload(stream);
    expect(offsets(stream.answers())).toEqual([256 * KIB, 512 * KIB, 768 * KIB, 1024 * KIB, SIZE]);
    stream.say(push());
    expect(verdicts(stream.answers())).toMatchObject([{ outcome: PUSH_OUTCOME_APPLIED, revision: 1 }]);
    holds("a", A);
    const kinds = new Set(stream.operations.map(({ kind }) => kind));
    expect(kinds).toEqual(new Set(["upload", "write"]));
    expect(serverState(store)).toMatchObject({ total: { count: 1, sum: printOf("a", A) } });
  });

  it("need not name its item in every chunk", () => {
    const stream = open(store);
    stream.say(chunk(0, PIECE));
    upload(stream, PIECE, 2 * PIECE, { id: "" });
    const later = open(store);
    upload(later, 2 * PIECE, 4 * PIECE, { id: "" });
    // Of an upload that is new to the stream the first one only asks.
    expect(offsets(later.answers())).toEqual([2 * PIECE, 2 * PIECE]);
    upload(later, 2 * PIECE, SIZE, { id: "" });
    later.say(push());
    expect(verdicts(later.answers())).toMatchObject([{ outcome: PUSH_OUTCOME_APPLIED }]);
    holds("a", A);
  });

  it("goes on where it was cut, and is read back in slices for its fingerprint", () => {
    upload(open(store), 0, 3 * PIECE);
    const stream = open(store);
    stream.say(ask());
    expect(offsets(stream.answers())).toEqual([3 * PIECE]);
    upload(stream, 3 * PIECE);
    expect(offsets(stream.answers())).toEqual([SIZE]);
    stream.say(push());
    expect(verdicts(stream.answers())).toMatchObject([{ outcome: PUSH_OUTCOME_APPLIED }]);
    holds("a", A);
    const slices = stream.operations.filter(({ kind }) => kind === "read-upload");
    expect(slices.length).toBe(Math.ceil(SIZE / PIECE));
    for (const slice of slices) expect(slice).toMatchObject({ length: PIECE });
  });

  it("is not asked for what nobody knows", () => {
    const stream = open(store);
    stream.say(ask());
    stream.say(chunk(PIECE, PIECE));
    stream.say(chunk(2 * PIECE, PIECE));
    expect(offsets(stream.answers())).toEqual([0, 0]);
    upload(stream);
    expect(offsets(stream.answers())).toEqual([SIZE]);
  });

  it("stores nothing out of order, and says once where it goes on", () => {
    const stream = open(store);
    stream.say(chunk(0, PIECE));
    for (const offset of [2 * PIECE, 3 * PIECE, 0, PIECE + 1]) stream.say(chunk(offset, PIECE));
    expect(offsets(stream.answers())).toEqual([PIECE]);
    stream.say(chunk(PIECE, PIECE));
    stream.say(chunk(PIECE, PIECE));
    expect(offsets(stream.answers())).toEqual([2 * PIECE]);
    upload(stream, 2 * PIECE);
    stream.say(push());
    expect(verdicts(stream.answers())).toMatchObject([{ outcome: PUSH_OUTCOME_APPLIED }]);
    holds("a", A);
  });

  it("stores chunks that lie unread together", () => {
    const stream = open(store, { slow: true });
    upload(stream);
    stream.say(push());
    expect(offsets(stream.take(1))).toEqual([SIZE]);
    const pieces = stream.operations.flatMap((each) => (each.kind === "upload" ? [each.piece.data.length] : []));
    expect(pieces).toEqual([8 * PIECE, SIZE - 8 * PIECE]);
    expect(verdicts(stream.take(10))).toMatchObject([{ outcome: PUSH_OUTCOME_APPLIED }]);
    holds("a", A);
  });

  it("is refused by its push where it is too large, and holds up nothing", () => {
    const stream = open(store, { serverLimits: { itemBytes: SIZE - 1 } });
    upload(stream);
    // All is there, as far as the client need know: it sends the push next.
    expect(offsets(stream.answers())).toEqual([SIZE]);
    stream.say(ask());
    expect(offsets(stream.answers())).toEqual([SIZE]);
    stream.say(push());
    expect(rejection(stream)).toBe(ErrorReason.ERROR_REASON_ITEM_TOO_LARGE);
    stream.say(small("b", "1"));
    expect(verdicts(stream.answers())).toMatchObject([{ outcome: PUSH_OUTCOME_APPLIED, ordinal: 1 }]);
    expect(held("a")).toBeUndefined();
    // Begun under another limit.
    upload(open(store));
    stream.say(push());
    const later = open(store, { serverLimits: { itemBytes: SIZE - 1 } });
    later.say(push());
    expect(rejection(later)).toBe(ErrorReason.ERROR_REASON_ITEM_TOO_LARGE);
  });

  it("is refused by its push where its chunks do not fit each other", () => {
    const wrong: [string, Say[]][] = [
      ["another id", [chunk(0, PIECE), chunk(PIECE, PIECE, { id: "b" })]],
      ["another size", [chunk(0, PIECE), chunk(PIECE, PIECE, { size: SIZE + 1 })]],
      ["text and bytes", [chunk(0, PIECE), chunk(PIECE, PIECE, { text: true })]],
      ["beyond its size", [chunk(0, PIECE), chunk(PIECE, PIECE, { offset: SIZE - 1 })]],
      ["too small for chunks", [chunk(0, PIECE, { size: WHOLE_BYTES })]],
      ["no id", [chunk(0, PIECE, { id: "" })]],
    ];
    for (const [index, [what, chunks]] of wrong.entries()) {
      const uploadId = Buffer.alloc(16, 50 + index);
      const stream = open(store);
      for (const each of chunks) {
        if (each.$case === "chunk") stream.say({ ...each, value: { ...each.value, uploadId } });
      }
      const { size } = (chunks.at(-1) as Say & { $case: "chunk" }).value;
      expect(offsets(stream.answers()), what).toEqual([size]);
      stream.say(push({ uploadId }));
      expect(rejection(stream), what).toBe(ErrorReason.ERROR_REASON_UPLOAD_INVALID);
      expect(stream.fault).toBeUndefined();
    }
  });

  it("is refused with an upload id that is none, and with an id that is none", () => {
    const stream = open(store);
    const uploadId = Buffer.alloc(15, 1);
    stream.say(chunk(0, PIECE, { uploadId }));
    expect(offsets(stream.answers())).toEqual([SIZE]);
    stream.say(push({ uploadId }));
    expect(rejection(stream)).toBe(ErrorReason.ERROR_REASON_UPLOAD_INVALID);
    stream.say(chunk(0, PIECE, { id: "no\nid" }));
    expect(offsets(stream.answers())).toEqual([SIZE]);
    stream.say(push());
    expect(rejection(stream)).toBe(ErrorReason.ERROR_REASON_INVALID_ID);
  });

  it("ends the stream only by numbers that are none", () => {
    for (const more of [{ offset: -1 }, { size: -1 }]) {
      const stream = open(store);
      stream.say(chunk(0, PIECE, more));
      expect(stream.fault?.reason).toBe(ErrorReason.ERROR_REASON_INVALID_FIELD);
    }
  });

  it("is refused and forgotten where its fingerprint is wrong", () => {
    const stream = open(store);
    upload(stream, 0, SIZE, {}, B);
    stream.answers();
    stream.say(push());
    expect(rejection(stream)).toBe(ErrorReason.ERROR_REASON_FINGERPRINT_MISMATCH);
    stream.say(ask());
    expect(offsets(stream.answers())).toEqual([0]);
    // Read back, too.
    upload(open(store), 0, SIZE, {}, B);
    stream.say(push());
    expect(rejection(stream)).toBe(ErrorReason.ERROR_REASON_FINGERPRINT_MISMATCH);
    expect(now(store.readUpload(uid, U, 0, 1))).toBeUndefined();
    upload(stream);
    stream.say(push());
    expect(verdicts(stream.answers())).toMatchObject([{ outcome: PUSH_OUTCOME_APPLIED }]);
    holds("a", A);
  });

  it("is of the item that it was uploaded for, whole", () => {
    const stream = open(store);
    upload(stream, 0, 4 * PIECE);
    stream.answers();
    stream.say(push());
    expect(rejection(stream)).toBe(ErrorReason.ERROR_REASON_UPLOAD_INVALID);
    upload(stream, 4 * PIECE);
    stream.answers();
    stream.say(push({ id: "b" }));
    expect(rejection(stream)).toBe(ErrorReason.ERROR_REASON_UPLOAD_INVALID);
    const later = open(store);
    later.say(push({ id: "b" }));
    expect(rejection(later)).toBe(ErrorReason.ERROR_REASON_UPLOAD_INVALID);
    later.say(push({ uploadId: Buffer.alloc(16, 1) }));
    expect(rejection(later)).toBe(ErrorReason.ERROR_REASON_UPLOAD_INVALID);
    stream.say(push());
    expect(verdicts(stream.answers())).toMatchObject([{ outcome: PUSH_OUTCOME_APPLIED }]);
  });

  it("is pushed again after a lost race, without being sent or read again", () => {
    const stream = open(store);
    upload(stream);
    stream.answers();
    others(put("a", "faster"));
    stream.say(push());
    const [conflict] = verdicts(stream.answers());
    expect(conflict?.outcome).toBe(PUSH_OUTCOME_CONFLICT);
    stream.operations.length = 0;
    const expected = toFingerprint(printOf("a", Buffer.from("faster")));
    stream.say(push({ expected, overrides: 2 }));
    expect(verdicts(stream.answers())).toMatchObject([{ outcome: PUSH_OUTCOME_APPLIED }]);
    expect(stream.operations.map(({ kind }) => kind)).toEqual(["write", "read-changes"]);
    holds("a", A);
    expect(now(store.getConflict(uid, 1))?.content).toBe("faster");
    // A push whose verdict was lost (R5).
    const later = open(store);
    later.say(push());
    expect(verdicts(later.answers())).toMatchObject([{ outcome: PUSH_OUTCOME_ALREADY_APPLIED }]);
  });

  it("is never taken for what it was before", () => {
    const stream = open(store);
    upload(stream);
    // Another stream has the upload taken over, and begins another content under its id.
    const other = open(store);
    other.say(push());
    upload(other, 0, SIZE, {}, B);
    others(remove("a"));
    stream.answers();
    stream.say(push());
    expect(rejection(stream)).toBe(ErrorReason.ERROR_REASON_UPLOAD_INVALID);
    // Of two that begin it at once, one knows what is there; the other reads it.
    const uploadId = Buffer.alloc(16, 5);
    const [first, second] = [open(store), open(store)];
    first.say(chunk(0, PIECE, { uploadId }, B));
    second.say(chunk(0, PIECE, { uploadId }));
    upload(second, PIECE, SIZE, { uploadId });
    second.answers();
    second.say(push({ uploadId }));
    expect(rejection(second)).toBe(ErrorReason.ERROR_REASON_FINGERPRINT_MISMATCH);
    expect(held("a")).toBeUndefined();
  });

  it("is text only if it is UTF-8, however it is cut", () => {
    const text = Buffer.from("aé€😀".repeat(SIZE / 9));
    const size = text.length;
    expect(size).toBeGreaterThan(WHOLE_BYTES);
    const stream = open(store);
    for (let at = 0; at < size; at += 99_999) stream.say(chunk(at, 99_999, { text: true }, text));
    stream.say(push({}, text));
    expect(verdicts(stream.answers())).toMatchObject([{ outcome: PUSH_OUTCOME_APPLIED }]);
    expect(now(store.readPart({ uid, id: "a", offset: 0, length: 1 }))?.text).toBe(true);
    for (const bad of [text.subarray(0, size - 1), Buffer.concat([text.subarray(0, 99_998), text.subarray(99_999)])]) {
      upload(stream, 0, bad.length, { id: "b", text: true }, bad);
      stream.answers();
      stream.say(push({ id: "b" }, bad));
      expect(rejection(stream)).toBe(ErrorReason.ERROR_REASON_INVALID_FIELD);
    }
  });

  it("comes with a push that has a fingerprint, no content and no group", () => {
    const stream = open(store);
    upload(stream);
    stream.answers();
    const content = { $case: "text" as const, value: "1" };
    const wrong: [Partial<Push>, ErrorReason][] = [
      [{ fingerprint: undefined }, ErrorReason.ERROR_REASON_FINGERPRINT_MISMATCH],
      [{ group: 1 }, ErrorReason.ERROR_REASON_GROUP_INVALID],
      [{ content }, ErrorReason.ERROR_REASON_INVALID_FIELD],
      [{ kind: ChangeKind.CHANGE_KIND_DELETED }, ErrorReason.ERROR_REASON_INVALID_FIELD],
    ];
    for (const [more, reason] of wrong) {
      stream.say(push(more));
      expect(rejection(stream)).toBe(reason);
    }
    stream.say(push({ uploadId: Buffer.alloc(0), content: { $case: "data", value: A } }));
    expect(rejection(stream)).toBe(ErrorReason.ERROR_REASON_ITEM_TOO_LARGE);
    stream.say(push());
    expect(verdicts(stream.answers())).toMatchObject([{ outcome: PUSH_OUTCOME_APPLIED }]);
  });

  it("is not taken from a client that has not said that it can do chunks", () => {
    const stream = open(store, { capabilities: [] });
    stream.say(push());
    expect(rejection(stream)).toBe(ErrorReason.ERROR_REASON_UNSUPPORTED);
    stream.say(chunk(0, PIECE));
    expect(stream.fault?.reason).toBe(ErrorReason.ERROR_REASON_UNSUPPORTED);
  });

  it("counts in the window until it is stored", () => {
    const limits = { wished: { windowBytes: 16 * KIB } };
    const stream = open(store, { ...limits, slow: true });
    const most = 32 * KIB + 4 * 1024 * KIB;
    for (let count = 0; count < Math.ceil(most / PIECE); count++) stream.say(chunk(0, PIECE));
    stream.take(100);
    expect(stream.fault?.reason).toBe(ErrorReason.ERROR_REASON_WINDOW_EXCEEDED);
    // Not where they are stored as they come, or left out.
    const other = open(store, limits);
    for (let count = 0; count < 3; count++) upload(other, 0, SIZE, { uploadId: Buffer.alloc(16, count) });
    for (let count = 0; count < 5; count++) upload(other, 0, SIZE, { size: WHOLE_BYTES });
    expect(other.fault).toBeUndefined();
  });

  it("ends with its collection", () => {
    const stream = open(store);
    stream.say(chunk(0, PIECE));
    now(store.deleteCollection(uid));
    stream.say(chunk(PIECE, PIECE));
    expect(offsets(stream.answers())).toEqual([0]);
    stream.say(chunk(0, PIECE));
    expect(stream.fault?.reason).toBe(ErrorReason.ERROR_REASON_COLLECTION_DELETED);
  });

  it("arrives whatever is cut, repeated or lost", async () => {
    const pieces = fc.array(
      fc.record({
        length: fc.constantFrom(1, 70_000, 262_145, 500_000),
        fate: fc.constantFrom("sent", "sent", "sent", "twice", "lost", "cut"),
      }),
      { minLength: 1, maxLength: 12 },
    );
    const property = fc.property(pieces, (history) => {
      store = newStore();
      let stream = open(store);
      let at = 0;
      for (const { length, fate } of history) {
        if (fate === "cut") stream = open(store);
        if (fate !== "lost") stream.say(chunk(at, length));
        if (fate === "twice") stream.say(chunk(at, length));
        at = fate === "cut" ? at : Math.min(at + length, SIZE);
        stream.answers();
        stream.say(ask());
        if (fate !== "sent") at = offsets(stream.answers()).at(-1) ?? 0;
      }
      if (at < SIZE) stream.say(chunk(at, SIZE - at));
      stream.answers();
      stream.say(push());
      expect(verdicts(stream.answers())).toMatchObject([{ outcome: PUSH_OUTCOME_APPLIED }]);
      holds("a", A);
    });
    await fc.assert(property, { numRuns: 25, seed: 20_260_302, endOnFailure: false });
  });
});

function fetch(...items: (string | { id: string; offset: number; revision: number })[]): Say {
  const wanted = items.map((item) => (typeof item === "string" ? { id: item, offset: 0, revision: 0 } : item));
  return { $case: "fetch", value: { items: wanted } };
}

function chunks(answers: readonly Answer[]): ContentChunk[] {
  return answers.flatMap((answer) => (answer.$case === "chunk" ? [answer.value] : []));
}

function together(some: readonly ContentChunk[]): Buffer {
  let end = some[0]?.offset ?? 0;
  for (const { offset, data } of some) {
    expect(offset).toBe(end);
    end += data.length;
  }
  return Buffer.concat(some.map(({ data }) => data));
}

describe("a large content towards the client", () => {
  it("comes in pieces at its place in the order", () => {
    others(put("s1", "1"), put("s2", "2"));
    large("a", A);
    large("b", B, true);
    const stream = open(store);
    stream.say(fetch("s1", "a", "none", "b", "s2"));
    const answers = stream.answers();
    const order = answers.map((answer) => {
      if (answer.$case === "chunk") return answer.value.id;
      return answer.$case === "contents"
        ? [...answer.value.items, ...answer.value.deleted].map(({ id }) => id).join()
        : "";
    });
    const count = Math.ceil(SIZE / PIECE);
    expect(order).toEqual(["s1", ...Array(count).fill("a"), "none", ...Array(count).fill("b"), "s2"]);
    for (const [id, content, text] of [
      ["a", A, false],
      ["b", B, true],
    ] as const) {
      const pieces = chunks(answers).filter((each) => each.id === id);
      expect(together(pieces).equals(content)).toBe(true);
      const { revision } = now(store.readPart({ uid, id, offset: 0, length: 0 }))?.change ?? { revision: 0 };
      for (const [index, piece] of pieces.entries()) {
        expect(piece).toMatchObject({ revision, size: SIZE, text });
        expect(piece.data.length).toBeLessThanOrEqual(PIECE);
        expect(piece.modifyTimeUs).toBe(index === 0 ? NOW : 0);
        expect(piece.fingerprint).toEqual(index === count - 1 ? toFingerprint(printOf(id, content)) : undefined);
      }
    }
  });

  it("is never inline in change info, and counts with what the client must take", () => {
    large("a", A);
    const machine = open(store, { wished: { inlineBytes: 256 * KIB } });
    machine.say({ $case: "done", value: {} });
    const pages = machine.answers().flatMap((answer) => (answer.$case === "page" ? [answer.value] : []));
    expect(pages.flatMap(({ changes }) => changes)).toEqual([]);
    expect(pages).toMatchObject([{ end: true, proof: { count: 1 } }]);
  });

  it("goes on where it was cut, if it is still the same", () => {
    large("a", A);
    const stream = open(store);
    const from = (offset: number, revision: number) => {
      stream.say(fetch({ id: "a", offset, revision }));
      return chunks(stream.answers());
    };
    const rest = from(700_000, 1);
    expect(together(rest).equals(A.subarray(700_000))).toBe(true);
    expect(rest[0]).toMatchObject({ offset: 700_000, modifyTimeUs: NOW });
    expect(rest.at(-1)?.fingerprint).toEqual(toFingerprint(printOf("a", A)));
    // All of it was there: what proves it was not.
    expect(from(SIZE, 1)).toMatchObject([{ offset: SIZE, fingerprint: toFingerprint(printOf("a", A)) }]);
    for (const [offset, revision] of [
      [700_000, 2],
      [700_000, 0],
      [SIZE + 1, 1],
    ] as const) {
      expect(together(from(offset, revision)).equals(A)).toBe(true);
    }
  });

  it("is read a piece at a time, as there is room to send", () => {
    large("a", A);
    const stream = open(store, { slow: true });
    stream.say(fetch("a"));
    const read = () => stream.operations.filter(({ kind }) => kind === "read-part").length;
    for (let count = 1; count <= 5; count++) {
      expect(chunks(stream.take(1))).toHaveLength(1);
      expect(read()).toBe(count);
    }
    for (const { query } of stream.operations.flatMap((each) => (each.kind === "read-part" ? [each] : []))) {
      expect(query.length).toBe(PIECE);
    }
  });

  it("begins again where the item is changed between two pieces", () => {
    large("a", A);
    const stream = open(store, { slow: true });
    stream.say(fetch("a"));
    expect(chunks(stream.take(3))).toHaveLength(3);
    large("a", B);
    const answers = stream.take(100);
    // The token of what the feed has not told comes first: a server may be restored to before it.
    expect(answers[0]).toMatchObject({
      $case: "contents",
      value: { items: [], deleted: [], witness: { revision: 2 } },
    });
    const again = chunks(answers);
    expect(again[0]).toMatchObject({ offset: 0, revision: 2, modifyTimeUs: NOW });
    expect(together(again).equals(B)).toBe(true);
    expect(again.at(-1)?.fingerprint).toEqual(toFingerprint(printOf("a", B)));
  });

  it("is followed by what the item is, where it is deleted or small by now", () => {
    for (const [index, write] of [remove("a"), put("a", "small")].entries()) {
      store = newStore();
      large("a", A);
      others(put("z", "1"));
      const stream = open(store, { slow: true });
      stream.say(fetch("a", "z"));
      expect(chunks(stream.take(2))).toHaveLength(2);
      others(write);
      const answers = stream.take(100);
      expect(chunks(answers)).toEqual([]);
      const z = { id: "z", content: { value: "1" } };
      const items = index === 0 ? [z] : [{ id: "a", content: { value: "small" } }, z];
      const deleted = index === 0 ? [{ id: "a", revision: 3 }] : [];
      expect(answers).toMatchObject([{ $case: "contents", value: { items, deleted, refused: [] } }]);
    }
  });

  it("is refused to a client that has not said that it can do chunks", () => {
    large("a", A);
    others(put("s", "1"));
    const stream = open(store, { capabilities: [] });
    stream.say(fetch("a", "s"));
    const reason = ErrorReason.ERROR_REASON_ITEM_TOO_LARGE;
    expect(stream.answers()).toMatchObject([
      { $case: "contents", value: { items: [{ id: "s" }], deleted: [], refused: [{ id: "a", reason }] } },
    ]);
    expect(stream.fault).toBeUndefined();
  });

  it("ends with its collection", () => {
    large("a", A);
    const stream = open(store, { slow: true });
    stream.say(fetch("a"));
    stream.take(2);
    now(store.deleteCollection(uid));
    stream.take(10);
    expect(stream.fault?.reason).toBe(ErrorReason.ERROR_REASON_COLLECTION_DELETED);
  });
});
