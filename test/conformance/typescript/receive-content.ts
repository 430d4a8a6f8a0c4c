import { ErrorReason } from "../../../gen/tercet/v1/error.js";
import type { ContentChunk, Contents, ContentWanted } from "../../../gen/tercet/v1/sync.js";
import { toVersion } from "./change-info.js";
import { same } from "./fingerprint.js";
import { absent, ClientError, type Download, later, type Replica, type State, versionOf } from "./replica.js";
import type { Session } from "./session.js";
import { outOfOrder } from "./stream.js";

/*
 * Step 3, towards the client: asks for contents that were not inline, and proves each by its fingerprint.
 */

const IDS_AT_ONCE = 1000;

/** What has come: states that were proved, and ids of contents that are not what their fingerprint says. */
interface Received {
  readonly states: readonly State[];
  readonly wrong: readonly string[];
}

/**
 * Fetches the contents of these items, within the window. What comes may be of a later revision than was told, or a deletion.
 * A wrong one is fetched once more (`doubtful`: it was wrong once already), then the exchange fails.
 */
export async function fetchContents(session: Session, wanted: readonly State[], doubtful = false): Promise<State[]> {
  const { stream, replica } = session;
  const states: State[] = [];
  for (const slice of slicesOf(wanted, session.limits.windowBytes)) {
    const waiting = new Set(slice);
    const retried = new Set(doubtful ? slice : []);
    let current = "";
    stream.send({ $case: "fetch", value: { items: slice.map((id) => toWanted(replica, id)) } });
    while (waiting.size > 0) {
      const message = await stream.receiveOnly("contents", "chunk");
      if (message.$case === "chunk") current = message.value.id || current;
      const received =
        message.$case === "chunk"
          ? readChunk(replica, current, message.value)
          : readContents(message.value as Contents);
      if (message.$case === "contents") session.heard = later(session.heard, message.value.witness);
      for (const state of received.states) {
        if (!waiting.delete(state.id)) throw outOfOrder(`the content of "${state.id}" was not asked for`);
        states.push(state);
        session.fetchedRevision = Math.max(session.fetchedRevision, state.revision);
      }
      for (const id of received.wrong) {
        if (!waiting.has(id)) throw outOfOrder(`the content of "${id}" was not asked for`);
        if (retried.has(id)) throw unverified(`the content of "${id}" does not agree with its fingerprint, twice`);
        retried.add(id);
        stream.send({ $case: "fetch", value: { items: [{ id, offset: 0, revision: 0 }] } });
      }
    }
  }
  return states;
}

export function unverified(message: string): ClientError {
  return new ClientError(ErrorReason.ERROR_REASON_UNVERIFIED, message);
}

/** Ids cut where the contents would go beyond the window; a larger one by itself. */
function slicesOf(wanted: readonly State[], windowBytes: number): string[][] {
  const slices: string[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const { id, size } of wanted) {
    if (bytes + size > windowBytes || (slices.at(-1)?.length ?? 0) === IDS_AT_ONCE) {
      slices.push([]);
      bytes = 0;
    }
    slices.at(-1)?.push(id);
    bytes += size + 64;
  }
  return slices;
}

/** What was cut in mid-content goes on. */
function toWanted({ downloads }: Replica, id: string): ContentWanted {
  const { length, revision } = downloads.get(id) ?? { length: 0, revision: 0 };
  return { id, offset: length, revision };
}

function readContents({ items, deleted, refused }: Contents): Received {
  for (const { id, reason, message } of refused) {
    throw new ClientError(reason, `the server can't send the content of "${id}": ${message}`);
  }
  const states: State[] = deleted.map(({ id, revision, modifyTimeUs }) => ({
    ...absent(id, revision),
    timeUs: modifyTimeUs,
  }));
  const wrong: string[] = [];
  for (const { id, fingerprint, revision, modifyTimeUs: timeUs, content } of items) {
    const version = toVersion(id, content);
    if (version === undefined || !same(version.fingerprint, fingerprint?.value)) wrong.push(id);
    else states.push({ id, fingerprint: version.fingerprint, revision, timeUs, size: version.bytes.length, version });
  }
  return { states, wrong };
}

/** A piece of a large content. It is kept beyond the exchange, should that be cut, until the content is whole. */
function readChunk({ downloads }: Replica, id: string, chunk: ContentChunk): Received {
  const { revision, offset, data, size, text } = chunk;
  const begun = downloads.get(id);
  const isNext = begun?.length === offset && begun.revision === revision && begun.size === size;
  if (offset !== 0 && !isNext) throw outOfOrder(`a piece of "${id}" does not go on from the one before it`);
  const before: Download =
    offset !== 0 && begun !== undefined
      ? begun
      : { revision, size, timeUs: chunk.modifyTimeUs, text, pieces: [], length: 0 };
  const length = before.length + data.length;
  if (length > size || (data.length === 0 && length < size)) throw outOfOrder(`a piece of "${id}" does not fit`);
  const pieces = [...before.pieces, data];
  downloads.set(id, { ...before, pieces, length });
  if (length < size) return { states: [], wrong: [] };
  downloads.delete(id);
  const version = versionOf(id, Buffer.concat(pieces), text);
  if (!same(version.fingerprint, chunk.fingerprint?.value)) return { states: [], wrong: [id] };
  return {
    states: [{ id, fingerprint: version.fingerprint, revision, timeUs: before.timeUs, size, version }],
    wrong: [],
  };
}
