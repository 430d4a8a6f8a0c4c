// etcd's keys, ranged over and watched into SQLite.
import { Etcd3 } from "etcd3";
import { openLocalStore } from "./local-store.mjs";

const PREFIX = "bench/";
const PREFIX_END = "bench0";
const PAGE_ITEMS = 5000;
/** Most operations of a transaction by etcd's default, and transactions under way at once. */
const TRANSACTION_ITEMS = 128;
const TRANSACTIONS_AT_ONCE = 8;

/** Opens or makes its file. See ClientModule in ../contender.ts. */
export function openContender(place) {
  const store = openLocalStore(place);
  const client = place.address === undefined ? undefined : new Etcd3({ hosts: `http://${place.address}` });
  const idOf = (key) => key.toString("utf8").slice(PREFIX.length);

  /** Revision of the last write. */
  async function head() {
    const { header } = await client.kv.range({ key: Buffer.from(PREFIX), limit: 1, count_only: true });
    return Number(header.revision);
  }

  async function write(items) {
    const success = items.map(({ id, content }) => ({
      request_put: { key: Buffer.from(PREFIX + id), value: Buffer.from(content) },
    }));
    const { header } = await client.kv.txn({ success });
    return Number(header.revision);
  }

  async function push(own) {
    let sent = 0;
    for (;;) {
      const items = store.pending(TRANSACTION_ITEMS * TRANSACTIONS_AT_ONCE);
      if (items.length === 0) return sent;
      const writes = [];
      for (let at = 0; at < items.length; at += TRANSACTION_ITEMS)
        writes.push(write(items.slice(at, at + TRANSACTION_ITEMS)));
      for (const revision of await Promise.all(writes)) own.add(revision);
      store.settle(items.at(-1).number);
      sent += items.length;
    }
  }

  /** Reads everything, as of one revision. */
  async function readAll() {
    let received = 0;
    let revision = 0;
    for (let key = Buffer.from(PREFIX); ; ) {
      const range = {
        key,
        range_end: Buffer.from(PREFIX_END),
        limit: PAGE_ITEMS,
        ...(revision === 0 ? {} : { revision }),
      };
      const page = await client.kv.range(range);
      if (revision === 0) revision = Number(page.header.revision);
      const items = page.kvs.map((kv) => ({ id: idOf(kv.key), content: kv.value.toString("utf8") }));
      store.take(items, page.more ? undefined : revision);
      received += items.length;
      const last = page.kvs.at(-1);
      if (!page.more || last === undefined) return received;
      key = Buffer.concat([last.key, Buffer.of(0)]);
    }
  }

  /** Takes what came after the checkpoint, up to a revision. */
  async function readChanges(through, own) {
    const watcher = await client
      .watch()
      .prefix(PREFIX)
      .startRevision(String(store.checkpoint() + 1))
      .create();
    const items = [];
    await new Promise((resolve, reject) => {
      watcher.on("error", reject);
      watcher.on("data", ({ events }) => {
        for (const { kv } of events) {
          const revision = Number(kv.mod_revision);
          if (!own.has(revision)) items.push({ id: idOf(kv.key), content: kv.value.toString("utf8") });
        }
        const last = events.at(-1);
        if (last !== undefined && Number(last.kv.mod_revision) >= through) resolve();
      });
    });
    store.take(items, through);
    await watcher.cancel();
    return items.length;
  }

  return {
    put: (items) => store.put(items),
    warm: async () => void (await head()),
    async sync() {
      const before = store.checkpoint();
      const own = new Set();
      const sent = await push(own);
      const through = await head();
      if (through === before + own.size || (before === 0 && through === 1 + own.size)) {
        store.setCheckpoint(through);
        return { sent, received: 0 };
      }
      return { sent, received: before === 0 ? await readAll() : await readChanges(through, own) };
    },
    forget: () => store.forget(),
    count: () => store.count(),
    get: (id) => store.get(id),
    close() {
      client?.close();
      store.close();
    },
  };
}
