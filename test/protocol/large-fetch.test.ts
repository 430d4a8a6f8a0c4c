import { beforeEach, describe, expect, it } from "vitest";
import { ErrorReason } from "../../core/fault.js";
import { toFingerprint } from "../../core/fingerprint.js";
import type { ContentChunk } from "../../gen/tercet/v1/sync.js";
import type { MemoryStore } from "../../server/store/memory.js";
import { put, remove } from "../store/build.js";
import { A, type Answer, B, KIB, large, NOW, open, others, PIECE, printOf, type Say, SIZE } from "./large-stream.js";
import { newStore, now, serverState } from "./world.js";

let store: MemoryStore;
let uid: Uint8Array;
beforeEach(() => {
  store = newStore();
  uid = serverState(store).uid;
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
    others(store, put("s1", "1"), put("s2", "2"));
    large(store, "a", A);
    large(store, "b", B, true);
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
    large(store, "a", A);
    const machine = open(store, { wished: { inlineBytes: 256 * KIB } });
    machine.say({ $case: "done", value: {} });
    const pages = machine.answers().flatMap((answer) => (answer.$case === "page" ? [answer.value] : []));
    expect(pages.flatMap(({ changes }) => changes)).toEqual([]);
    expect(pages).toMatchObject([{ end: true, proof: { count: 1 } }]);
  });

  it("goes on where it was cut, if it is still the same", () => {
    large(store, "a", A);
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
    large(store, "a", A);
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
    large(store, "a", A);
    const stream = open(store, { slow: true });
    stream.say(fetch("a"));
    expect(chunks(stream.take(3))).toHaveLength(3);
    large(store, "a", B);
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
      large(store, "a", A);
      others(store, put("z", "1"));
      const stream = open(store, { slow: true });
      stream.say(fetch("a", "z"));
      expect(chunks(stream.take(2))).toHaveLength(2);
      others(store, write);
      const answers = stream.take(100);
      expect(chunks(answers)).toEqual([]);
      const z = { id: "z", content: { value: "1" } };
      const items = index === 0 ? [z] : [{ id: "a", content: { value: "small" } }, z];
      const deleted = index === 0 ? [{ id: "a", revision: 3 }] : [];
      expect(answers).toMatchObject([{ $case: "contents", value: { items, deleted, refused: [] } }]);
    }
  });

  it("is refused to a client that has not said that it can do chunks", () => {
    large(store, "a", A);
    others(store, put("s", "1"));
    const stream = open(store, { capabilities: [] });
    stream.say(fetch("a", "s"));
    const reason = ErrorReason.ERROR_REASON_ITEM_TOO_LARGE;
    expect(stream.answers()).toMatchObject([
      { $case: "contents", value: { items: [{ id: "s" }], deleted: [], refused: [{ id: "a", reason }] } },
    ]);
    expect(stream.fault).toBeUndefined();
  });

  it("ends with its collection", () => {
    large(store, "a", A);
    const stream = open(store, { slow: true });
    stream.say(fetch("a"));
    stream.take(2);
    now(store.deleteCollection(uid));
    stream.take(10);
    expect(stream.fault?.reason).toBe(ErrorReason.ERROR_REASON_COLLECTION_DELETED);
  });
});
