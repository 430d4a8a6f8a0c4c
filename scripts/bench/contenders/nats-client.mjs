// A bucket of JetStream's key-value store, watched into SQLite.
import { connect, StringCodec } from "nats";
import { openLocalStore } from "./local-store.mjs";

const BUCKET = "bench";
const TAKE_ITEMS = 5000;
/** Writes under way at once. */
const PUT_AT_ONCE = 1000;

/** Opens or makes its file. See ClientModule in ../contender.ts. */
export async function openContender(place) {
  const store = openLocalStore(place);
  const codec = StringCodec();
  const connection = place.address === undefined ? undefined : await connect({ servers: place.address });
  const kv = await connection?.jetstream().views.kv(BUCKET, { history: 1 });
  const manager = await connection?.jetstreamManager();

  /** Revision of the last write. */
  async function head() {
    return (await manager.streams.info(`KV_${BUCKET}`)).state.last_seq;
  }

  async function push(own) {
    let sent = 0;
    for (;;) {
      const items = store.pending(PUT_AT_ONCE);
      if (items.length === 0) return sent;
      const revisions = await Promise.all(items.map(({ id, content }) => kv.put(id, codec.encode(content))));
      for (const revision of revisions) own.add(revision);
      store.settle(items.at(-1).number);
      sent += items.length;
    }
  }

  /** Takes what came after the checkpoint, up to a revision. */
  async function pull(through, own) {
    const from = store.checkpoint();
    const resume = from === 0 ? {} : { resumeFromRevision: from + 1 };
    const watch = await kv.watch({ ...resume });
    let batch = [];
    let received = 0;
    const take = (checkpoint) => {
      store.take(batch, checkpoint);
      received += batch.length;
      batch = [];
    };
    for await (const entry of watch) {
      if (!own.has(entry.revision)) batch.push({ id: entry.key, content: codec.decode(entry.value) });
      if (batch.length >= TAKE_ITEMS) take(entry.revision);
      if (entry.revision >= through) break;
    }
    take(through);
    watch.stop();
    return received;
  }

  return {
    put: (items) => store.put(items),
    warm: async () => void (await head()),
    async sync() {
      const before = store.checkpoint();
      const own = new Set();
      const sent = await push(own);
      const through = await head();
      // Nobody else wrote: there is nothing to read.
      if (through === before + sent) {
        store.setCheckpoint(through);
        return { sent, received: 0 };
      }
      return { sent, received: await pull(through, own) };
    },
    forget: () => store.forget(),
    count: () => store.count(),
    get: (id) => store.get(id),
    async close() {
      await connection?.close();
      store.close();
    },
  };
}
