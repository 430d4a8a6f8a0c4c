import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fingerprintOf, sameFingerprint } from "../../core/fingerprint.js";
import type { Store } from "../../server/store/store.js";
import { runs } from "../runs.js";
import { bytesOf, createCollection, NOW, pieceOf, put, remove, UID, writeOne } from "./build.js";
import type { OpenedStore } from "./contract.js";

const IDS = ["a", "é"];
/** Two of one size, so that pieces of one might be taken for those of the other. */
const CONTENTS = [Buffer.alloc(50, "abc"), Buffer.alloc(50, "xyz"), Buffer.alloc(33, 7)];
const UPLOADS = [0, 1, 2];

type Step =
  | {
      readonly kind: "piece";
      readonly upload: number;
      readonly id: number;
      readonly content: number;
      readonly where: "end" | "begin" | "gap";
      readonly length: number;
    }
  | {
      readonly kind: "push";
      readonly upload: number;
      readonly id: number;
      readonly overrides: boolean;
      readonly old: boolean;
    }
  | { readonly kind: "put" | "delete"; readonly id: number; readonly overrides: boolean }
  | { readonly kind: "drop"; readonly upload: number }
  | { readonly kind: "prune-conflicts" }
  | { readonly kind: "prune-uploads" }
  | { readonly kind: "reopen" };

const upload = fc.constantFrom(...UPLOADS);
const id = fc.nat(IDS.length - 1);
const piece = fc.record({
  kind: fc.constant("piece" as const),
  upload,
  id: fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, id),
  content: fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, fc.nat(CONTENTS.length - 1)),
  where: fc.oneof(
    { weight: 6, arbitrary: fc.constant("end" as const) },
    fc.constantFrom("begin" as const, "gap" as const),
  ),
  length: fc.constantFrom(0, 1, 17, 30, 50),
});
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: piece },
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant("push" as const),
        upload,
        id,
        overrides: fc.boolean(),
        old: fc.nat(4).map((n) => n === 0),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constantFrom("put" as const, "delete" as const), id, overrides: fc.boolean() }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("drop" as const), upload }) },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constantFrom("prune-conflicts" as const, "prune-uploads" as const, "reopen" as const),
      }),
    },
  ),
  { minLength: 5, maxLength: 40 },
);

interface ModelUpload {
  readonly id: string;
  readonly content: Buffer;
  readonly serial: number;
  stored: Buffer;
}

/** What there must be. */
interface Model {
  readonly uploads: Map<number, ModelUpload>;
  readonly serials: number[];
  readonly items: Map<string, Buffer | undefined>;
  conflicts: (Buffer | undefined)[];
  pruned: number;
}

/** Random uploads, and what is done with them, checked against a model after every step. */
export function describeUploadsModel(name: string, open: () => Promise<OpenedStore>): void {
  describe(`${name} store's uploads against a model`, () => {
    it("keeps what was uploaded, and nothing else", async () => {
      const property = fc.asyncProperty(steps, async (history) => {
        const opened = await open();
        try {
          await runHistory(opened, history);
        } finally {
          await opened.cleanup();
        }
      });
      await fc.assert(property, { numRuns: runs(60), seed: 20_260_301, endOnFailure: false });
    });
  });
}

const uploadIdOf = (index: number) => bytesOf(16, 200 + index);

async function runHistory(opened: OpenedStore, history: readonly Step[]): Promise<void> {
  let { store } = opened;
  await createCollection(store);
  const model: Model = { uploads: new Map(), serials: [], items: new Map(), conflicts: [], pruned: 0 };
  for (const step of history) {
    if (step.kind === "reopen") store = await opened.reopen();
    else await runStep(store, model, step);
    await check(store, model);
    await opened.check?.();
  }
}

async function runStep(store: Store, model: Model, step: Exclude<Step, { kind: "reopen" }>): Promise<void> {
  switch (step.kind) {
    case "piece":
      return await addPiece(store, model, step);
    case "push":
      return await push(store, model, step);
    case "drop":
      expect(await store.dropUpload(UID, uploadIdOf(step.upload))).toBe(model.uploads.delete(step.upload));
      return;
    case "prune-conflicts":
      expect(await store.pruneConflicts(NOW + 1, 100)).toBe(model.conflicts.length - model.pruned);
      model.pruned = model.conflicts.length;
      return;
    case "prune-uploads":
      expect(await store.pruneUploads(NOW + 1, 100)).toBe(model.uploads.size);
      model.uploads.clear();
      return;
    case "put":
    case "delete": {
      const name = IDS[step.id] as string;
      const content = Buffer.from(`small ${model.conflicts.length}`);
      const more = step.overrides ? { overrides: 2 as const } : {};
      await writeOne(store, step.kind === "put" ? put(name, content, more) : remove(name, more));
      replace(model, name, step.kind === "put" ? content : undefined, step.overrides);
    }
  }
}

function replace(model: Model, name: string, content: Buffer | undefined, overrides: boolean): void {
  const old = model.items.get(name);
  const same = old === undefined ? content === undefined : content?.equals(old) === true;
  if (!same && overrides && model.items.has(name)) model.conflicts.push(old);
  // An item that was never there is not deleted.
  if (model.items.has(name) || content !== undefined) model.items.set(name, content);
}

async function addPiece(store: Store, model: Model, step: Extract<Step, { kind: "piece" }>): Promise<void> {
  const held = model.uploads.get(step.upload);
  const name = IDS[step.id] as string;
  const content = CONTENTS[step.content] as Buffer;
  const end = held?.stored.length ?? 0;
  const offset = { end, begin: 0, gap: end + 1 }[step.where];
  const sent = pieceOf({ id: name, bytes: content, uploadId: uploadIdOf(step.upload) }, offset, step.length);
  const read = await store.upload(sent);
  const adds = sent.data.length > 0 && offset === end;
  if (held === undefined) {
    expect(read !== undefined).toBe(adds);
    if (read === undefined) return;
    expect(model.serials).not.toContain(read.serial);
    model.serials.push(read.serial);
    model.uploads.set(step.upload, { id: name, content, serial: read.serial, stored: Buffer.from(sent.data) });
    return;
  }
  const agrees = held.id === name && held.content.length === content.length;
  if (adds && agrees) held.stored = Buffer.concat([held.stored, sent.data]);
  const { serial, stored } = held;
  const expected = {
    id: held.id,
    size: held.content.length,
    text: false,
    offset: stored.length,
    added: adds && agrees,
    serial,
  };
  expect(read).toEqual(expected);
}

async function push(store: Store, model: Model, step: Extract<Step, { kind: "push" }>): Promise<void> {
  const held = model.uploads.get(step.upload);
  const name = IDS[step.id] as string;
  // What this push says that it uploaded; by an old serial, or of an upload that is gone.
  const content = held?.stored ?? (CONTENTS[0] as Buffer);
  const serial = step.old ? (model.serials.findLast((one) => one !== held?.serial) ?? 0) : (held?.serial ?? 0);
  const fingerprint = fingerprintOf(name, content);
  const size = held?.content.length ?? content.length;
  const upsert = { content: undefined, upload: { uploadId: uploadIdOf(step.upload), serial }, fingerprint, size };
  const [outcome] = await writeOne(store, { ...put(name, ""), upsert, ...(step.overrides ? { overrides: 2 } : {}) });
  const there = model.items.get(name);
  const already = there !== undefined && sameFingerprint(fingerprintOf(name, there), fingerprint);
  const fits = held?.serial === serial && held.id === name && held.stored.length === held.content.length;
  expect(outcome?.kind).toBe(already ? "already" : fits ? "applied" : "no-upload");
  if (outcome?.kind !== "applied") return;
  replace(model, name, content, step.overrides);
  model.uploads.delete(step.upload);
}

async function check(store: Store, model: Model): Promise<void> {
  for (const index of UPLOADS) {
    const data = await store.readUpload(UID, uploadIdOf(index), 0, 1000);
    expect(data && Buffer.from(data)).toEqual(model.uploads.get(index)?.stored);
  }
  for (const name of IDS) {
    const content = model.items.get(name);
    for (const [offset, length] of [
      [0, 1000],
      [16, 3],
      [29, 5],
    ] as const) {
      const read = await store.readPart({ uid: UID, id: name, offset, length });
      expect(read && Buffer.from(read.data)).toEqual(content?.subarray(offset, offset + length));
    }
  }
  for (const [index, content] of model.conflicts.entries()) {
    const read = await store.readConflictPart(UID, index + 1, 10, 30);
    expect(read && Buffer.from(read.data)).toEqual(index < model.pruned ? undefined : content?.subarray(10, 40));
  }
}
