import type { RecordedConflict } from "../../core/recorded-conflict.js";
import { createLiveStore } from "../../server/store/live-store.js";
import type { Store } from "../../server/store/store.js";
import type { WriteBatch } from "../../server/store/write-batch.js";
import { COLLECTION, type Hosts, type ServerFiles, type ServerHost } from "./hosts.js";
import { type CommitJudge, judgeCommit } from "./judge-commit.js";
import type { Told } from "./model-contents.js";
import { createHistory, type History } from "./model-history.js";
import type { Recorded } from "./model-replica.js";
import { answerOf, collectionOf, NO_STANDARD } from "./outsider.js";
import type { Sabotage } from "./sabotage.js";

/** The server's data, and the history that the model keeps of them. */
export interface ServerSide {
  /** Seen by the model, and then by whatever the sabotage puts before it. */
  readonly store: Store;
  readonly history: History;
  /** Uid of the collection; undefined while there is none. */
  readonly uid: Uint8Array | undefined;
  newUid(): Uint8Array;
  /** Calls the listener whenever the collection has advanced to a revision; Infinity: it is gone. */
  listen(listener: (revision: number) => void): void;
  /** The process ends and another one starts: a new epoch. */
  restart(): void;
  /** Copies the data; answers the number of the backup. The process has to be restarted for it. */
  backup(): number;
  /** Puts a backup in the place of the data, counted from the latest. False: there is none. */
  restore(which: number): boolean;
  compact(through: number): void;
  create(nowUs: number): void;
  /** Deletes the collection. */
  remove(): void;
  /** All conflict records of the collection. */
  records(): readonly Recorded[];
  dispose(): void;
}

interface Backup {
  readonly files: ServerFiles;
  readonly history: History;
}

const ALL = Number.MAX_SAFE_INTEGER;

/** A server without a collection. */
export function createServerSide(hosts: Hosts, judge: CommitJudge, sabotage: Sabotage | undefined): ServerSide {
  let epochs = 0;
  let uids = 0;
  const backups: Backup[] = [];
  let host: ServerHost = hosts.server(nextEpoch());
  let history = createHistory(judge.serial());
  const listeners: ((revision: number) => void)[] = [];
  let store = wrapped();

  function nextEpoch(): Uint8Array {
    if (sabotage?.sameEpoch !== true || epochs === 0) epochs += 1;
    const id = Buffer.alloc(8);
    id.writeUInt32BE(epochs, 4);
    return id;
  }

  function wrapped(): Store {
    const seen = observe(host.store);
    return createLiveStore(sabotage?.store?.(seen) ?? seen, (_, revision) => {
      if (sabotage?.deaf !== "server") for (const listener of listeners) listener(revision);
    });
  }

  /** The store, with every transaction told to the model. */
  function observe(real: Store): Store {
    return {
      ...real,
      createCollection(creation) {
        const result = answerOf(real.createCollection(creation));
        if (result.created) history = createHistory(judge.serial());
        return result;
      },
      write: (batches) => batches.map((batch) => writeOne(real, batch)),
    };
  }

  function writeOne(real: Store, batch: WriteBatch): ReturnType<typeof firstWritten> {
    const before = collectionOf(real, COLLECTION)?.conflicts ?? 0;
    const written = firstWritten(real, batch);
    if (written === undefined) return undefined;
    const made = (collectionOf(real, COLLECTION)?.conflicts ?? 0) - before;
    judgeCommit(judge, history, batch, written, made > 0 ? recordsOf(real, batch.uid, made) : []);
    return written;
  }

  return {
    get store() {
      return store;
    },
    get history() {
      return history;
    },
    get uid() {
      return collectionOf(host.store, COLLECTION)?.uid;
    },
    newUid() {
      uids += 1;
      return Buffer.alloc(16, uids);
    },
    listen: (listener) => void listeners.push(listener),
    restart() {
      host.restart(nextEpoch());
      store = wrapped();
    },
    backup() {
      backups.push({ files: host.snapshot(), history: history.copy(judge.serial()) });
      return backups.length - 1;
    },
    restore(which) {
      const backup = backups.at(-1 - (which % Math.max(backups.length, 1)));
      if (backup === undefined) return false;
      host.dispose();
      host = backup.files.open(nextEpoch());
      history = backup.history.copy(judge.serial());
      store = wrapped();
      return true;
    },
    compact(through) {
      const uid = collectionOf(host.store, COLLECTION)?.uid;
      const horizon = uid && answerOf(store.compact({ uid, through }));
      if (horizon !== undefined) history.compacted = horizon;
    },
    create(nowUs) {
      uids += 1;
      const creation = { name: COLLECTION, uid: Buffer.alloc(16, uids), standard: NO_STANDARD, nowUs };
      answerOf(store.createCollection(creation));
    },
    remove() {
      const uid = collectionOf(host.store, COLLECTION)?.uid;
      if (uid !== undefined) answerOf(store.deleteCollection(uid));
      history = createHistory(judge.serial());
    },
    records() {
      const uid = collectionOf(host.store, COLLECTION)?.uid;
      return uid === undefined ? [] : recordsOf(host.store, uid, ALL);
    },
    dispose: () => void host.dispose(),
  };
}

function firstWritten(store: Store, batch: WriteBatch) {
  return answerOf(store.write([batch]))[0];
}

function recordsOf(store: Store, uid: Uint8Array, limit: number): readonly Recorded[] {
  const records = answerOf(store.listConflicts({ uid, id: "", before: ALL, limit: Math.min(limit, 1_000_000) }));
  return records.map(({ id, number }: RecordedConflict) => {
    return { id, content: answerOf(store.getConflict(uid, number))?.content as Told };
  });
}
