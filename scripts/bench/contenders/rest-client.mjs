// The client of the feed: reads the pages after its checkpoint, and posts what is pending, in batches.
import { Agent, request } from "node:http";
import { openLocalStore } from "./local-store.mjs";

const PAGE_ITEMS = 5000;

/** Opens or makes its file. See ClientModule in ../contender.ts. */
export function openContender(place) {
  const store = openLocalStore(place);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });

  /** One request, on the one connection. */
  function ask(path, body) {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const headers =
      text === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(text) };
    return new Promise((resolve, reject) => {
      const method = text === undefined ? "GET" : "POST";
      const call = request(`http://${place.address}${path}`, { agent, method, headers }, (response) => {
        const chunks = [];
        response.on("data", (chunk) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          const answer = Buffer.concat(chunks).toString("utf8");
          if (response.statusCode !== 200) reject(new Error(`${method} ${path}: ${response.statusCode} ${answer}`));
          else resolve(JSON.parse(answer));
        });
      });
      call.on("error", reject);
      call.end(text);
    });
  }

  async function pull() {
    let received = 0;
    for (let more = true; more; ) {
      const page = await ask(`/changes?since=${store.checkpoint()}&limit=${PAGE_ITEMS}`);
      if (page.items.length > 0) store.take(page.items, page.items.at(-1).seq);
      received += page.items.length;
      more = page.more;
    }
    return received;
  }

  async function push() {
    let sent = 0;
    for (;;) {
      const items = store.pending(PAGE_ITEMS);
      if (items.length === 0) return sent;
      const { first, last } = await ask("/items", { items: items.map(({ id, content }) => ({ id, content })) });
      // Where nobody else was in between, one's own changes need not be read again.
      store.settle(items.at(-1).number, first === store.checkpoint() + 1 ? last : undefined);
      sent += items.length;
    }
  }

  return {
    put: (items) => store.put(items),
    warm: async () => void (await ask(`/changes?since=${Number.MAX_SAFE_INTEGER}&limit=1`)),
    async sync() {
      const received = await pull();
      return { sent: await push(), received };
    },
    forget: () => store.forget(),
    count: () => store.count(),
    get: (id) => store.get(id),
    close() {
      agent.destroy();
      store.close();
    },
  };
}
