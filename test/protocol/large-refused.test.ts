import { beforeEach, describe, expect, it } from "vitest";
import { ErrorReason } from "../../core/fault.js";
import { WHOLE_BYTES } from "../../core/limits.js";
import { ChangeKind } from "../../gen/tercet/v1/item.js";
import { type Push, PushOutcome } from "../../gen/tercet/v1/sync.js";
import type { MemoryStore } from "../../server/store/memory.js";
import {
  A,
  ask,
  B,
  chunk,
  held,
  holds,
  offsets,
  open,
  PIECE,
  push,
  rejection,
  type Say,
  SIZE,
  small,
  U,
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

const { PUSH_OUTCOME_APPLIED } = PushOutcome;

describe("a large content that the server is not to take", () => {
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
    expect(held(store, "a")).toBeUndefined();
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
    holds(store, "a", A);
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
});
