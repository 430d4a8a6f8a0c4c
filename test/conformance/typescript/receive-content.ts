import type { ContentChunk, Contents } from "../../../gen/tercet/v1/sync.js";
import { proved, toVersion } from "./change-info.js";
import { ClientError, later, type Replica, type State, stateOf, UNPROVED, versionOf } from "./replica.js";
import type { Session } from "./session.js";
import { inParts, outOfOrder } from "./stream.js";

/*
 * Step 3, towards the client: asks for contents that were not inline, and proves each by its fingerprint.
 */

const IDS_AT_ONCE = 1000;

/**
 * Fetches the contents of these items, within the window. What comes may be of a later revision than was told, or a deletion.
 * A content that is not what its fingerprint says is fetched once more, then the exchange fails.
 */
export async function fetchContents(session: Session, wanted: readonly State[]): Promise<State[]> {
  const { stream, replica } = session;
  const states: State[] = [];
  const { windowBytes, windowItems } = session.limits;
  const most = Math.min(IDS_AT_ONCE, windowItems);
  for (const slice of inParts(wanted, ({ size }) => size + 64, windowBytes, most)) {
    const waiting = new Set(slice.map(({ id }) => id));
    const wrongOnce = new Set(slice.flatMap(({ id, fingerprint }) => (fingerprint === UNPROVED ? [id] : [])));
    // What was cut in mid-content goes on from there.
    const items = [...waiting].map((id) => ({ id, offset: 0, revision: 0, ...resumeAt(replica, id) }));
    stream.send({ $case: "fetch", value: { items } });
    for (let current = ""; waiting.size > 0; ) {
      const message = await stream.receiveOnly("contents", "chunk");
      if (message.$case === "chunk") current = message.value.id || current;
      const isChunk = message.$case === "chunk";
      const read = isChunk
        ? readChunk(replica, current, message.value)
        : readContents(session, message.value as Contents);
      for (const state of read) {
        const { id, revision } = state;
        if (!waiting.has(id)) throw outOfOrder(`the content of "${id}" was not asked for`);
        if (state.fingerprint !== UNPROVED) {
          waiting.delete(id);
          states.push(state);
          session.fetchedRevision = Math.max(session.fetchedRevision, revision);
          continue;
        }
        if (wrongOnce.has(id)) throw unverified(`the content of "${id}" does not agree with its fingerprint, twice`);
        wrongOnce.add(id);
        stream.send({ $case: "fetch", value: { items: [{ id, offset: 0, revision: 0 }] } });
      }
    }
  }
  return states;
}

export function unverified(message: string): ClientError {
  return new ClientError("UNVERIFIED", message);
}

function resumeAt(
  { downloads }: Replica,
  id: string,
): { readonly offset: number; readonly revision: number } | undefined {
  const begun = downloads.get(id);
  return begun && { offset: begun.length, revision: begun.revision };
}

function readContents(session: Session, { items, deleted, refused, witness }: Contents): State[] {
  session.heard = later(session.heard, witness);
  const [first] = refused;
  if (first !== undefined)
    throw new ClientError("ITEM_TOO_LARGE", `the server can't send "${first.id}": ${first.message}`);
  const gone = deleted.map(({ id, revision, modifyTimeUs }) => stateOf(id, undefined, revision, modifyTimeUs));
  const states = items.map(({ id, fingerprint, revision, modifyTimeUs, content }) => {
    return proved(stateOf(id, toVersion(id, content), revision, modifyTimeUs), fingerprint?.value);
  });
  return [...gone, ...states];
}

/** A piece of a large content. It is kept beyond the exchange, should that be cut, until the content is whole. */
function readChunk({ downloads }: Replica, id: string, chunk: ContentChunk): State[] {
  const { revision, offset, data, size, text } = chunk;
  const first = { revision, size, timeUs: chunk.modifyTimeUs, text, pieces: [], length: 0 };
  const before = offset === 0 ? first : downloads.get(id);
  const goesOn = before?.length === offset && before.revision === revision && before.size === size;
  const length = offset + data.length;
  if (!goesOn || length > size || (data.length === 0 && length < size)) {
    throw outOfOrder(`a piece of "${id}" does not go on from the one before it`);
  }
  const pieces = [...before.pieces, data];
  downloads.set(id, { ...before, pieces, length });
  if (length < size) return [];
  downloads.delete(id);
  const version = versionOf(id, Buffer.concat(pieces), text);
  return [proved(stateOf(id, version, revision, before.timeUs), chunk.fingerprint?.value)];
}
