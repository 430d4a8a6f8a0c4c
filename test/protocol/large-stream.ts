import { createHash } from "node:crypto";
import { expect } from "vitest";
import type { ErrorReason, Fault } from "../../core/fault.js";
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
import type { put } from "../store/build.js";
import { COLLECTION, now, operationsOn, serverState } from "./world.js";

export const KIB = 1024;
export const SIZE = WHOLE_BYTES + 100 * KIB;
export const PIECE = 128 * KIB;
export const U = Buffer.alloc(16, 21);
export const NOW = 1_760_000_000_000_000;

export type Say = NonNullable<ExchangeRequest["message"]>;
export type Answer = NonNullable<ExchangeResponse["message"]>;

/** Bytes that differ from place to place. */
export function contentOf(seed: number, size = SIZE): Buffer {
  const bytes = Buffer.alloc(size);
  for (let at = 0; at + 4 <= size; at += 4) bytes.writeUInt32LE((at * 31 + seed) >>> 0, at);
  return bytes;
}

export const A = contentOf(1);
/** Text, too. */
export const B = Buffer.from(contentOf(2).toString("hex").slice(0, SIZE));

/** Not by core/fingerprint.ts, so that it is checked, too. */
export function printOf(id: string, content: Uint8Array): Buffer {
  return createHash("sha256").update(`${id}\0`).update(content).digest();
}

/** A stream: the machine with its messages and storage operations. */
export interface Stream {
  /** Says something, through its encoding; then the machine does all it can. */
  say(message: Say): void;
  /** The next messages, at most so many; the machine goes no further than it must for them. */
  take(count: number): Answer[];
  /** All messages that have come since the last time. */
  answers(): Answer[];
  readonly operations: ServerOperation[];
  readonly fault: Fault | undefined;
}

export interface StreamOptions {
  readonly capabilities?: readonly Capability[];
  readonly serverLimits?: Partial<Limits>;
  readonly wished?: Partial<Limits>;
  /** Nothing is sent but by `take`. */
  readonly slow?: boolean;
}

export const CHUNKS = [Capability.CAPABILITY_CHUNKS, Capability.CAPABILITY_GROUPS];

/** A machine on a store, opened without a token; what comes up to the first proof is left out. */
export function open(store: MemoryStore, options: StreamOptions = {}): Stream {
  const limits = { ...DEFAULT_LIMITS, ...options.serverLimits };
  const machine = createServerExchange({
    limits,
    skewUs: 60_000_000,
    stepTimeoutUs: 60_000_000,
    heartbeatUs: 30_000_000,
  });
  const runOperation = operationsOn(store, () => NOW);
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
        machine.stored(now(runOperation(output.operation)));
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

/** A chunk of an upload. */
export function chunk(offset: number, length: number, more: Partial<ContentChunk> = {}, content = A): Say {
  const data = content.subarray(offset, offset + length);
  const value = { uploadId: U, id: "a", offset, data, size: content.length, ...more };
  return { $case: "chunk", value: ContentChunk.fromPartial(value) };
}

/** Asks how much the server holds of an upload. */
export function ask(uploadId = U): Say {
  return { $case: "chunk", value: ContentChunk.fromPartial({ uploadId }) };
}

/** The push of what was uploaded. */
export function push(more: Partial<Push> = {}, content = A): Say {
  const { id = "a" } = more;
  const fingerprint = toFingerprint(printOf(id, content));
  const value = { id, kind: ChangeKind.CHANGE_KIND_UPSERTED, uploadId: U, fingerprint, revisionSeen: 1e6, ...more };
  return { $case: "push", value: { pushes: [Push.fromPartial(value)], fingerprint: undefined } };
}

/** A push of a small content. */
export function small(id: string, text: string): Say {
  const content = { $case: "text" as const, value: text };
  return push({ id, uploadId: Buffer.alloc(0), content }, Buffer.from(text));
}

/** All chunks from `from` to `to`. */
export function upload(stream: Stream, from = 0, to = SIZE, more: Partial<ContentChunk> = {}, content = A): void {
  for (let at = from; at < to; at += PIECE) stream.say(chunk(at, Math.min(PIECE, to - at), more, content));
}

/** How much the server says it holds; -1 for another answer. */
export function offsets(answers: readonly Answer[]): number[] {
  return answers.map((answer) => (answer.$case === "upload" ? answer.value.offset : -1));
}

/** The verdicts among answers. */
export function verdicts(answers: readonly Answer[]): Verdict[] {
  return answers.flatMap((answer) => (answer.$case === "verdicts" ? answer.value.verdicts : []));
}

/** Why the push was rejected, if it was. */
export function rejection(stream: Stream): ErrorReason | undefined {
  const [verdict] = verdicts(stream.answers());
  return verdict?.outcome === PushOutcome.PUSH_OUTCOME_REJECTED ? verdict.reason : undefined;
}

/** What the server has of an item. */
export function held(store: MemoryStore, id: string): Buffer | undefined {
  const read = now(store.readPart({ uid: serverState(store).uid, id, offset: 0, length: 1e9 }));
  return read === undefined ? undefined : Buffer.from(read.data);
}

/** The server has just this of an item. */
export function holds(store: MemoryStore, id: string, content: Buffer): void {
  expect(held(store, id)?.equals(content)).toBe(true);
}

/** Somebody else's changes. */
export function others(store: MemoryStore, ...writes: ReturnType<typeof put>[]): void {
  now(store.write([{ uid: serverState(store).uid, writes, nowUs: NOW }]));
}

/** An item with a large content, by an exchange of somebody else. */
export function large(store: MemoryStore, id: string, content: Buffer, text = false): void {
  const stream = open(store);
  const uploadId = Buffer.alloc(16, 99);
  upload(stream, 0, content.length, { id, uploadId, text }, content);
  const known = now(store.readItems({ uid: serverState(store).uid, ids: [id], maxBytes: 1e9 }))?.items[0]?.fingerprint;
  const expected = known === undefined ? undefined : toFingerprint(known);
  stream.say(push({ id, uploadId, expected }, content));
  expect(verdicts(stream.answers())).toMatchObject([{ outcome: PushOutcome.PUSH_OUTCOME_APPLIED }]);
}
