// A PouchDB on LevelDB that replicates both ways.
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import PouchDB from "pouchdb";

const BATCH_DOCUMENTS = 1000;

/** Opens or makes its folder. See ClientModule in ../contender.ts. */
export function openContender(place) {
  const local = new PouchDB(join(place.directory, "client"));
  const remote = place.address === undefined ? undefined : new PouchDB(`http://${place.address}/bench`);
  const forgotten = join(place.directory, "forgotten");

  /** One direction after the other, which is quicker than `PouchDB.sync`: both at once get in each other's way. */
  async function replicate(action, options) {
    const push = action === "pull" ? undefined : await local.replicate.to(remote, options);
    const pull = action === "push" ? undefined : await local.replicate.from(remote, options);
    return { push, pull };
  }

  return {
    async put(items) {
      const { rows } = await local.allDocs({ keys: items.map(([id]) => id) });
      const documents = items.map(([id, content], index) => {
        const rev = rows[index]?.value?.rev;
        return rev === undefined ? { _id: id, content } : { _id: id, _rev: rev, content };
      });
      const failed = (await local.bulkDocs(documents)).find(({ ok }) => ok !== true);
      if (failed !== undefined) throw new Error(`${failed.id}: ${failed.message}`);
    },
    warm: async () => void (await remote.info()),
    async sync(action) {
      const checkpoint = existsSync(forgotten) ? { checkpoint: false } : {};
      const options = { batch_size: BATCH_DOCUMENTS, ...checkpoint };
      const done = await replicate(action, options);
      rmSync(forgotten, { force: true });
      return { sent: done.push?.docs_written ?? 0, received: done.pull?.docs_written ?? 0 };
    },
    forget: () => writeFileSync(forgotten, ""),
    count: async () => (await local.info()).doc_count,
    async get(id) {
      const { rows } = await local.allDocs({ keys: [id], include_docs: true });
      return rows[0]?.doc?.content;
    },
    async close() {
      await local.close();
      await remote?.close();
    },
  };
}
