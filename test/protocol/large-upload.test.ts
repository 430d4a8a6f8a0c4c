import * as fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { ErrorReason } from "../../core/fault.js";
import { toFingerprint } from "../../core/fingerprint.js";
import { WHOLE_BYTES } from "../../core/limits.js";
import { PushOutcome } from "../../gen/tercet/v1/sync.js";
import type { MemoryStore } from "../../server/store/memory.js";
import { put, remove } from "../store/build.js";
import {
  A,
  ask,
  B,
  chunk,
  held,
  holds,
  KIB,
  offsets,
  open,
  others,
  PIECE,
  printOf,
  push,
  rejection,
  SIZE,
  upload,
  verdicts,
} from "./large-stream.js";
import { newStore, now, serverState } from "./world.js";

let store: MemoryStore;
let uid: Uint8Array;
beforeEach(() => {
  store = newStore();
  uid = serverState(store).uid;
});

const { PUSH_OUTCOME_APPLIED, PUSH_OUTCOME_CONFLICT, PUSH_OUTCOME_ALREADY_APPLIED } = PushOutcome;

describe("a large content towards the server", () => {
  it("is told of at every half window and at its end, and goes to the item without a copy", () => {
    const stream = open(store, { wished: { windowBytes: 512 * KIB } });
    upload(stream);
    expect(offsets(stream.answers())).toEqual([256 * KIB, 512 * KIB, 768 * KIB, 1024 * KIB, SIZE]);
    stream.say(push());
    expect(verdicts(stream.answers())).toMatchObject([{ outcome: PUSH_OUTCOME_APPLIED, revision: 1 }]);
    holds(store, "a", A);
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
    holds(store, "a", A);
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
    holds(store, "a", A);
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
    holds(store, "a", A);
  });

  it("stores chunks that lie unread together", () => {
    const stream = open(store, { slow: true });
    upload(stream);
    stream.say(push());
    expect(offsets(stream.take(1))).toEqual([SIZE]);
    const pieces = stream.operations.flatMap((each) => (each.kind === "upload" ? [each.piece.data.length] : []));
    expect(pieces).toEqual([8 * PIECE, SIZE - 8 * PIECE]);
    expect(verdicts(stream.take(10))).toMatchObject([{ outcome: PUSH_OUTCOME_APPLIED }]);
    holds(store, "a", A);
  });

  it("is pushed again after a lost race, without being sent or read again", () => {
    const stream = open(store);
    upload(stream);
    stream.answers();
    others(store, put("a", "faster"));
    stream.say(push());
    const [conflict] = verdicts(stream.answers());
    expect(conflict?.outcome).toBe(PUSH_OUTCOME_CONFLICT);
    stream.operations.length = 0;
    const expected = toFingerprint(printOf("a", Buffer.from("faster")));
    stream.say(push({ expected, overrides: 2 }));
    expect(verdicts(stream.answers())).toMatchObject([{ outcome: PUSH_OUTCOME_APPLIED }]);
    expect(stream.operations.map(({ kind }) => kind)).toEqual(["write", "read-changes"]);
    holds(store, "a", A);
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
    others(store, remove("a"));
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
    expect(held(store, "a")).toBeUndefined();
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
      holds(store, "a", A);
    });
    await fc.assert(property, { numRuns: 25, seed: 20_260_302, endOnFailure: false });
  });
});
