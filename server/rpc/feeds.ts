import { asBuffer } from "../../core/content.js";

/** Who waits for changes of which collection. There is no queue: a listener hears how far the collection is by now. */
export interface Feeds {
  /** Calls `listener` some time after the collection of this uid has advanced, with its last revision; the result ends it. */
  listen(uid: Uint8Array, listener: (revision: number) => void): () => void;
  /** The collection has advanced to this revision. Infinity: it is gone. */
  advanced(uid: Uint8Array, revision: number): void;
}

interface Topic {
  readonly listeners: Set<(revision: number) => void>;
  revision: number;
  /** A round is under way. */
  telling: boolean;
}

/** Listeners that are told in one turn of the event loop: about 5 ms of work. */
const TOLD_AT_ONCE = 128;

/**
 * Feeds of a server. What happens while a round of listeners is being told is told in the next round: the more listeners or
 * the more commits, the more changes go into one page. `schedule` runs what comes next in a later turn, and `soon` the first
 * slice after a commit: before the commit is answered, as each answer takes time for which its readers would wait, too.
 */
export function createFeeds(
  schedule: (next: () => void) => void = (next) => void setImmediate(next),
  soon: (first: () => void) => void = queueMicrotask,
): Feeds {
  const topics = new Map<string, Topic>();

  function tell(topic: Topic): void {
    const { revision } = topic;
    const listeners = [...topic.listeners];
    let at = 0;
    function slice(): void {
      const end = Math.min(at + TOLD_AT_ONCE, listeners.length);
      for (; at < end; at++) {
        const listener = listeners[at] as (revision: number) => void;
        // Who has left meanwhile is not to be called any more.
        if (topic.listeners.has(listener)) call(listener, topic.revision);
      }
      if (at < listeners.length) return schedule(slice);
      topic.telling = false;
      if (topic.revision > revision) begin(topic, schedule);
    }
    slice();
  }

  function begin(topic: Topic, when: typeof schedule): void {
    if (topic.telling) return;
    topic.telling = true;
    when(() => tell(topic));
  }

  return {
    listen(uid, listener) {
      const key = keyOf(uid);
      const topic = topics.get(key) ?? { listeners: new Set(), revision: 0, telling: false };
      topics.set(key, topic);
      topic.listeners.add(listener);
      return () => {
        topic.listeners.delete(listener);
        if (topic.listeners.size === 0 && topics.get(key) === topic) topics.delete(key);
      };
    },
    advanced(uid, revision) {
      const topic = topics.get(keyOf(uid));
      if (topic === undefined || revision <= topic.revision) return;
      topic.revision = revision;
      begin(topic, soon);
    },
  };
}

/** What one listener throws is no reason not to tell the others. */
function call(listener: (revision: number) => void, revision: number): void {
  try {
    listener(revision);
  } catch (error) {
    process.nextTick(() => {
      throw error;
    });
  }
}

function keyOf(uid: Uint8Array): string {
  return asBuffer(uid).toString("latin1");
}
