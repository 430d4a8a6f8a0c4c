import { createHash, type Hash } from "node:crypto";
import { checkFingerprint, sameFingerprint } from "../../core/fingerprint.js";
import { WHOLE_BYTES } from "../../core/limits.js";
import type { Change } from "../../core/page.js";
import type { ContentChunk, ContentWanted } from "../../gen/tercet/v1/sync.js";
import type { Download } from "../replica/kept-content.js";
import type { KnownChange } from "./compare-changes.js";
import type { ClientOperation, ClientResult } from "./operation.js";

/** What came of a chunk: more of it is to come; it is whole; or it is not what its fingerprint says, or not in its place. */
export type ChunkOutcome =
  | { readonly kind: "more" }
  | { readonly kind: "whole"; readonly change: KnownChange }
  | { readonly kind: "wrong"; readonly id: string }
  | { readonly kind: "misplaced"; readonly id: string };

type Ask = (operation: ClientOperation, then: (result: ClientResult) => void) => void;

/** Step 3 towards the client, for contents larger than a message. */
export interface ChunkReceiver {
  /** What to ask of the server for these changes, going on where a fetch was cut; and what of them is here already. */
  prepare(
    changes: readonly Change[],
    then: (wanted: readonly ContentWanted[], here: readonly KnownChange[]) => void,
  ): void;
  /** Stores a piece. */
  receive(chunk: ContentChunk, then: (outcome: ChunkOutcome) => void): void;
  /** These items have been stored, or came otherwise. */
  forget(ids: Iterable<string>): void;
  /** Something may be left in the replica that was downloaded and not taken. */
  readonly used: boolean;
}

/** A content of which some is there. */
interface Part {
  readonly key: number;
  readonly revision: number;
  readonly size: number;
  readonly modifyTimeUs: number;
  /** Bytes so far, all of them hashed. */
  readonly offset: number;
  readonly hash: Hash;
}

/** Read back at a time, to hash what an earlier exchange brought. */
const SLICE_BYTES = 256 * 1024;

/** Asks for the whole of a content. */
export function wanted(id: string): ContentWanted {
  return { id, offset: 0, revision: 0 };
}

/**
 * Each piece goes to the replica as it comes, and is hashed on the way: what is held here is one piece. `resumes`: a fetch may
 * have been cut in an earlier exchange.
 */
export function createChunkReceiver(ask: Ask, resumes: boolean): ChunkReceiver {
  const parts = new Map<string, Part>();
  /** Proved and not stored yet: they wait for the next try where the item was changed here meanwhile. */
  const whole = new Map<string, KnownChange>();
  let current = "";
  let used = false;

  /** Hashes what is there of a content; undefined where it is not there after all. */
  function readBack({ key, ...rest }: Download, then: (part: Part | undefined) => void): void {
    const hash = beginHash(rest.id);
    const { revision, size, modifyTimeUs } = rest;
    function from(offset: number): void {
      if (offset === rest.offset) return then({ key, revision, size, modifyTimeUs, offset, hash });
      const length = Math.min(SLICE_BYTES, rest.offset - offset);
      ask({ kind: "read-content", of: { staged: key }, offset, length }, (result) => {
        if (result.kind !== "read-content") return;
        const { data } = result;
        if (data === undefined || data.length === 0) return then(undefined);
        hash.update(data);
        from(offset + data.length);
      });
    }
    from(0);
  }

  function resume(
    changes: readonly Change[],
    downloads: readonly Download[],
    then: (items: readonly ContentWanted[], here: readonly KnownChange[]) => void,
  ): void {
    const begun = new Map(downloads.map((download) => [download.id, download]));
    const items: ContentWanted[] = [];
    const here: KnownChange[] = [];
    function take(change: Change, part: Part | undefined): void {
      const { id, fingerprint } = change;
      const isWhole = part !== undefined && part.offset === part.size;
      const proved = isWhole ? prove(id, part, fingerprint) : undefined;
      if (proved !== undefined) here.push(proved);
      else if (part === undefined || isWhole) items.push(wanted(id));
      else {
        parts.set(id, part);
        items.push({ id, offset: part.offset, revision: part.revision });
      }
    }
    function from(start: number): void {
      for (const [index, change] of changes.slice(start).entries()) {
        const known = whole.get(change.id);
        const download = begun.get(change.id);
        if (known !== undefined && known.revision >= change.revision) here.push(known);
        else if (download === undefined) items.push(wanted(change.id));
        else {
          return readBack(download, (part) => {
            take(change, part);
            from(start + index + 1);
          });
        }
      }
      then(items, here);
    }
    from(0);
  }

  function prove(id: string, part: Part, fingerprint: Uint8Array | undefined): KnownChange | undefined {
    const { key, revision, size, modifyTimeUs, hash } = part;
    const actual = hash.digest();
    if (!sameFingerprint(actual, fingerprint)) return undefined;
    const change = { id, revision, modifyTimeUs, group: 0, fingerprint: actual, size, content: undefined, staged: key };
    whole.set(id, change);
    return change;
  }

  function store(chunk: ContentChunk, before: Part | undefined, then: (outcome: ChunkOutcome) => void): void {
    const { revision, size, text, data, modifyTimeUs } = chunk;
    const id = current;
    const hash = before?.hash ?? beginHash(id);
    const to = before?.key ?? { text, download: { id, revision, size, modifyTimeUs } };
    used = true;
    ask({ kind: "stage", to, piece: data }, (result) => {
      if (result.kind !== "stage") return;
      hash.update(data);
      const { key, offset } = result.staged;
      const time = modifyTimeUs || (before?.modifyTimeUs ?? 0);
      const part = { key, revision, size, modifyTimeUs: time, offset, hash };
      if (offset < size) {
        parts.set(id, part);
        return then({ kind: "more" });
      }
      parts.delete(id);
      const readable = checkFingerprint(chunk.fingerprint, "fingerprint") === undefined;
      const change = prove(id, part, readable ? chunk.fingerprint?.value : undefined);
      then(change === undefined ? { kind: "wrong", id } : { kind: "whole", change });
    });
  }

  return {
    prepare(changes, then) {
      // Of some, the size is not known.
      const large = changes.filter(({ size }) => size === 0 || size > WHOLE_BYTES).map(({ id }) => id);
      if (large.length === 0 || !(used || resumes))
        return then(
          changes.map(({ id }) => wanted(id)),
          [],
        );
      ask({ kind: "downloads", ids: large }, (result) => {
        if (result.kind !== "downloads") return;
        resume(changes, result.downloads, then);
      });
    },
    receive(chunk, then) {
      current = chunk.id || current;
      const { offset, data, size, revision } = chunk;
      const part = offset === 0 ? undefined : parts.get(current);
      const goesOn = part?.offset === offset && part.revision === revision && part.size === size;
      const fits = offset >= 0 && offset + data.length <= size && (data.length > 0 || offset === size);
      if (!fits || (offset > 0 && !goesOn)) return then({ kind: "misplaced", id: current });
      whole.delete(current);
      store(chunk, part, then);
    },
    forget(ids) {
      for (const id of ids) {
        parts.delete(id);
        whole.delete(id);
      }
    },
    get used() {
      return used;
    },
  };
}

function beginHash(id: string): Hash {
  return createHash("sha256").update(id).update("\0");
}
