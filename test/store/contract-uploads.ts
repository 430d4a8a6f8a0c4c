import { beforeEach, expect, it } from "vitest";
import type { Store } from "../../server/store/store.js";
import type { UploadRead } from "../../server/store/uploads.js";
import type { Write } from "../../server/store/write-batch.js";
import {
  ALL,
  batchOf,
  bytesOf,
  createCollection,
  LIST,
  NOW,
  pieceOf,
  put,
  remove,
  type TestUpload,
  UID,
  UPLOAD_ID,
  uploaded,
  writeOne,
} from "./build.js";
import type { OpenedStore } from "./contract.js";

const OTHER = bytesOf(16, 78);
const BYTES = Buffer.from(Array.from({ length: 100 }, (_, index) => index));
const UPLOAD: TestUpload = { id: "a", bytes: BYTES };

/** All of an upload that is there; undefined: no such upload. */
async function stored(store: Store, uploadId = UPLOAD_ID): Promise<Buffer | undefined> {
  const data = await store.readUpload(UID, uploadId, 0, 1e6);
  return data === undefined ? undefined : Buffer.from(data);
}

async function part(store: Store, id: string, offset = 0, length = 1e6) {
  const read = await store.readPart({ uid: UID, id, offset, length });
  return read === undefined ? undefined : { data: Buffer.from(read.data), text: read.text };
}

/** What Store.upload and its kin, and reading by parts, must do. */
export function describeUploads(current: () => Store, opened: () => OpenedStore): void {
  beforeEach(() => createCollection(current()));

  it("adds pieces that go on where the upload ends", async () => {
    const store = current();
    const at = async (offset: number, length: number) => await store.upload(pieceOf(UPLOAD, offset, length));
    const first = (await at(0, 30)) as UploadRead;
    expect(first).toEqual({ id: "a", size: 100, text: false, offset: 30, added: true, serial: first.serial });
    expect(await at(30, 1)).toEqual({ ...first, offset: 31 });
    expect(await at(31, 0)).toEqual({ ...first, offset: 31, added: false });
    expect(await at(31, 69)).toEqual({ ...first, offset: 100 });
    expect(await stored(store)).toEqual(BYTES);
    for (const [offset, length] of [
      [0, 10],
      [25, 10],
      [29, 3],
      [30, 1],
      [99, 5],
      [100, 5],
      [200, 5],
      [5, 0],
    ] as const) {
      const read = await store.readUpload(UID, UPLOAD_ID, offset, length);
      expect(Buffer.from(read ?? [])).toEqual(BYTES.subarray(offset, offset + length));
    }
  });

  it("adds nothing that does not go on, or does not agree with what is there", async () => {
    const store = current();
    expect(await store.upload(pieceOf(UPLOAD, 0, 0))).toBeUndefined();
    expect(await store.upload(pieceOf(UPLOAD, 10, 10))).toBeUndefined();
    expect(await stored(store)).toBeUndefined();
    await store.upload(pieceOf(UPLOAD, 0, 10));
    const there = { id: "a", size: 100, text: false, offset: 10, added: false };
    for (const piece of [
      pieceOf(UPLOAD, 0, 10),
      pieceOf(UPLOAD, 5, 10),
      pieceOf(UPLOAD, 11, 10),
      pieceOf({ ...UPLOAD, id: "b" }, 10, 10),
      pieceOf({ ...UPLOAD, text: true }, 10, 10),
      pieceOf({ ...UPLOAD, bytes: BYTES.subarray(1) }, 10, 10),
    ]) {
      expect(await store.upload(piece)).toMatchObject(there);
    }
    expect(await stored(store)).toEqual(BYTES.subarray(0, 10));
    expect(await store.upload(pieceOf({ ...UPLOAD, uid: OTHER }, 0, 10))).toBeUndefined();
  });

  it("gives the content to the item, and from then on by parts only", async () => {
    const store = current();
    const write = await uploaded(store, { ...UPLOAD, pieceBytes: 7 });
    expect(await writeOne(store, put("small", "1"), write)).toMatchObject([{ revision: 1 }, { revision: 2 }]);
    expect(await stored(store)).toBeUndefined();
    expect(await store.dropUpload(UID, UPLOAD_ID)).toBe(false);
    const item = { id: "a", revision: 2, size: 100, content: undefined };
    expect((await store.readItems({ uid: UID, ids: ["a"], maxBytes: 1e9 }))?.items).toMatchObject([item]);
    expect((await store.readChanges(ALL))?.changes[1]).toMatchObject(item);
    expect((await store.listItems({ ...LIST, inlineBytes: 1e9 }))?.[0]).toMatchObject(item);
    const read = await store.readPart({ uid: UID, id: "a", offset: 0, length: 5 });
    expect(read?.change).toEqual((await store.readChanges(ALL))?.changes[1]);
    for (let offset = 0; offset <= 101; offset += 3) {
      for (const length of [1, 6, 7, 8, 20, 200]) {
        expect(await part(store, "a", offset, length)).toEqual({
          data: BYTES.subarray(offset, offset + length),
          text: false,
        });
      }
    }
  });

  it("reads parts of any content, and none of what is not there", async () => {
    const store = current();
    const large = Buffer.alloc(5000, "äb");
    await writeOne(store, put("in row", "äb"), put("text", large.toString()), put("bytes", large), put("empty", ""));
    await writeOne(store, put("gone", "1"));
    await writeOne(store, remove("gone"));
    expect(await part(store, "in row", 1, 2)).toEqual({ data: Buffer.from("äb").subarray(1, 3), text: true });
    expect(await part(store, "text", 4000, 2000)).toEqual({ data: large.subarray(4000), text: true });
    expect(await part(store, "bytes", 1, 7)).toEqual({ data: large.subarray(1, 8), text: false });
    expect(await part(store, "empty")).toEqual({ data: Buffer.alloc(0), text: true });
    expect(await part(store, "gone")).toBeUndefined();
    expect(await part(store, "none")).toBeUndefined();
    expect(await store.readPart({ uid: OTHER, id: "in row", offset: 0, length: 1 })).toBeUndefined();
  });

  it("keeps whether it is text", async () => {
    const store = current();
    const bytes = Buffer.from("große Texte");
    await writeOne(store, await uploaded(store, { id: "t", bytes, text: true, pieceBytes: 4 }));
    expect(await part(store, "t")).toEqual({ data: bytes, text: true });
    await writeOne(store, put("t", "short", { overrides: 2 }));
    expect(await store.readConflictPart(UID, 1, 0, 5)).toMatchObject({ text: true });
    expect(await part(store, "t")).toEqual({ data: Buffer.from("short"), text: true });
  });

  it("leaves an upload where the write is not made", async () => {
    const store = current();
    await writeOne(store, put("a", "1"));
    const write = await uploaded(store, UPLOAD);
    expect(await writeOne(store, { ...write, expected: undefined })).toMatchObject([{ kind: "conflict" }]);
    const fails = batchOf([write], {
      remember: {
        requestId: "r",
        digest: bytesOf(32, 1),
        answer() {
          throw new Error("no room");
        },
      },
    });
    await expect(async () => await store.write([fails])).rejects.toThrow("no room");
    expect(await stored(store)).toEqual(BYTES);
    expect(await store.getCollection("c")).toMatchObject({ revision: 1 });
    expect(await part(store, "a")).toEqual({ data: Buffer.from("1"), text: true });
    expect(await writeOne(store, write)).toMatchObject([{ kind: "applied", revision: 2 }]);
    const again = await uploaded(store, { ...UPLOAD, uploadId: OTHER });
    expect(await writeOne(store, again)).toEqual([{ kind: "already", revision: 2 }]);
    expect(await stored(store, OTHER)).toEqual(BYTES);
    expect(await writeOne(store, { ...again, fence: true })).toMatchObject([{ kind: "applied", revision: 3 }]);
    expect(await stored(store, OTHER)).toBeUndefined();
    expect(await part(store, "a")).toEqual({ data: BYTES, text: false });
  });

  it("does not make a write whose upload it has not", async () => {
    const store = current();
    const write = await uploaded(store, UPLOAD);
    const upsert = write.upsert as NonNullable<Write["upsert"]>;
    const serial = upsert.upload?.serial ?? 0;
    const none = { kind: "no-upload", revision: 0 };
    expect(await writeOne(store, put("x", "1"), { ...write, id: "b" }, put("y", "1"))).toMatchObject([
      { revision: 1 },
      none,
      { revision: 2 },
    ]);
    for (const wrong of [
      { ...upsert, upload: { uploadId: UPLOAD_ID, serial: serial + 1 } },
      { ...upsert, upload: { uploadId: OTHER, serial } },
      { ...upsert, size: 99 },
    ]) {
      expect(await writeOne(store, { ...write, upsert: wrong })).toEqual([none]);
    }
    expect(await writeOne(store, put("x", "2", { group: 1 }), { ...write, id: "b", group: 1 })).toEqual([none, none]);
    const half = { ...UPLOAD, uploadId: OTHER };
    const begun = await store.upload(pieceOf(half, 0, 99));
    const notWhole = { ...upsert, upload: { uploadId: OTHER, serial: begun?.serial ?? 0 } };
    expect(await writeOne(store, { ...write, upsert: notWhole })).toEqual([none]);
    expect(await store.getCollection("c")).toMatchObject({ revision: 2 });
    expect(await writeOne(store, write)).toMatchObject([{ revision: 3 }]);
    // Known by its fingerprint, and told so: it is in that state.
    expect(await writeOne(store, write)).toEqual([{ kind: "already", revision: 3 }]);
    expect(
      await writeOne(store, { ...write, expected: undefined, upsert: { ...upsert, fingerprint: bytesOf(32, 9) } }),
    ).toMatchObject([{ kind: "conflict" }]);
    // Of two in one transaction, one has it.
    const last = await uploaded(store, { ...UPLOAD, id: "z", uploadId: bytesOf(16, 80) });
    const written = await store.write([batchOf([last]), batchOf([{ ...last, fence: true }])]);
    expect(written.map((each) => each?.outcomes[0]?.kind)).toEqual(["applied", "no-upload"]);
  });

  it("gives another serial to what is begun again", async () => {
    const store = current();
    const first = await store.upload(pieceOf(UPLOAD, 0, 100));
    expect(await store.dropUpload(UID, UPLOAD_ID)).toBe(true);
    expect(await store.dropUpload(UID, UPLOAD_ID)).toBe(false);
    const second = await store.upload(pieceOf(UPLOAD, 0, 100));
    expect(second?.serial).toBeGreaterThan(first?.serial ?? 0);
    await writeOne(store, await uploaded(store, UPLOAD));
    const third = await (await opened().reopen()).upload(pieceOf(UPLOAD, 0, 100));
    expect(third?.serial).toBeGreaterThan(second?.serial ?? 0);
  });

  it("moves a content on to the conflict record, and removes it with that", async () => {
    const store = current();
    await writeOne(store, await uploaded(store, { ...UPLOAD, pieceBytes: 9 }));
    await writeOne(store, await uploaded(store, { id: "a", bytes: BYTES.subarray(1) }, { overrides: 2 }));
    await writeOne(store, remove("a", { overrides: 2 }));
    await writeOne(store, put("a", "1", { overrides: 2 }));
    expect(await store.getConflict(UID, 1)).toMatchObject({ size: 100, content: undefined });
    const read = async (number: number, offset: number, length: number) => {
      const found = await store.readConflictPart(UID, number, offset, length);
      return found === undefined ? undefined : Buffer.from(found.data);
    };
    expect(await read(1, 5, 20)).toEqual(BYTES.subarray(5, 25));
    expect(await read(2, 0, 1000)).toEqual(BYTES.subarray(1));
    expect(await read(3, 0, 10)).toBeUndefined();
    expect(await read(4, 0, 10)).toBeUndefined();
    await writeOne(store, put("a", "2", { overrides: 2 }));
    expect(await read(4, 0, 10)).toEqual(Buffer.from("1"));
    await opened().check?.();
    expect(await store.pruneConflicts(NOW + 1, 10)).toBe(4);
    expect(await read(1, 5, 20)).toBeUndefined();
    await opened().check?.();
  });

  it("prunes uploads that were last added to before a time, oldest first", async () => {
    const store = current();
    const begin = async (seed: number, nowUs: number, offset = 0) =>
      void (await store.upload(pieceOf({ ...UPLOAD, uploadId: bytesOf(16, seed), nowUs }, offset, 10)));
    for (const [seed, time] of [
      [1, 30],
      [2, 20],
      [3, 10],
      [4, 40],
    ] as const)
      await begin(seed, NOW + time);
    await begin(3, NOW + 50, 10);
    // Asking is not adding.
    await store.upload(pieceOf({ ...UPLOAD, uploadId: bytesOf(16, 2), nowUs: NOW + 60 }, 0, 0));
    expect(await store.pruneUploads(NOW + 20, 10)).toBe(0);
    expect(await store.pruneUploads(NOW + 60, 2)).toBe(2);
    const left = await Promise.all([1, 2, 3, 4].map(async (seed) => await stored(store, bytesOf(16, seed))));
    expect(left.map((bytes) => bytes?.length)).toEqual([undefined, undefined, 20, 10]);
    expect(await store.pruneUploads(NOW + 60, 10)).toBe(2);
    await opened().check?.();
  });

  it("keeps uploads of collections apart, and removes those of one that is deleted", async () => {
    const store = current();
    await createCollection(store, "other", OTHER);
    await store.upload(pieceOf(UPLOAD, 0, 10));
    await store.upload(pieceOf({ ...UPLOAD, uid: OTHER }, 0, 20));
    const write = await uploaded(store, { ...UPLOAD, uploadId: bytesOf(16, 5) });
    expect(await store.write([batchOf([write], { uid: OTHER })])).toMatchObject([
      { outcomes: [{ kind: "no-upload" }] },
    ]);
    expect(await store.deleteCollection(UID)).toBe(true);
    expect(await stored(store)).toBeUndefined();
    expect(await store.upload(pieceOf(UPLOAD, 10, 10))).toBeUndefined();
    expect(await store.upload(pieceOf(UPLOAD, 0, 10))).toBeUndefined();
    expect(await store.dropUpload(UID, UPLOAD_ID)).toBe(false);
    expect(await store.readConflictPart(UID, 1, 0, 1)).toBeUndefined();
    expect(await store.upload(pieceOf({ ...UPLOAD, uid: OTHER }, 20, 5))).toMatchObject({ offset: 25, added: true });
    expect(await store.pruneUploads(NOW + 1, 10)).toBe(1);
  });

  it("has uploads and contents after it is opened again", async () => {
    await writeOne(current(), await uploaded(current(), { ...UPLOAD, pieceBytes: 11 }));
    const half = { id: "b", bytes: BYTES, uploadId: OTHER };
    await current().upload(pieceOf(half, 0, 40));
    const store = await opened().reopen();
    expect(await part(store, "a", 10, 30)).toEqual({ data: BYTES.subarray(10, 40), text: false });
    expect(await store.upload(pieceOf(half, 40, 60))).toMatchObject({ offset: 100, added: true });
    await writeOne(store, await uploaded(store, half));
    expect(await stored(store, OTHER)).toBeUndefined();
    expect(await part(store, "b")).toEqual({ data: BYTES, text: false });
  });

  it("takes pieces of any size", async () => {
    const store = current();
    const bytes = Buffer.alloc(1_200_000);
    for (let at = 0; at < bytes.length; at += 4) bytes.writeUInt32LE(at, at);
    const write = await uploaded(store, { id: "large", bytes, pieceBytes: 700_001 });
    await writeOne(store, write);
    for (const [offset, length] of [
      [0, 1.2e6],
      [262_143, 2],
      [262_144, 1],
      [700_000, 2],
      [600_000, 500_000],
    ] as const) {
      const read = await part(store, "large", offset, length);
      expect(read?.data.equals(bytes.subarray(offset, offset + length))).toBe(true);
    }
    await opened().check?.();
  });
}
