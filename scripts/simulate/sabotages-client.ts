import type { Action } from "../../client/replica/action.js";
import type { ApplyBatch } from "../../client/replica/apply-batch.js";
import { oneByOne } from "../../client/replica/one-by-one.js";
import type { ReplicaStore } from "../../client/replica/store.js";
import { fingerprintOf, toFingerprint } from "../../core/fingerprint.js";
import type { ExchangeRequest, ExchangeResponse } from "../../gen/tercet/v1/sync.js";
import { carriersOf } from "./damage.js";
import type { Sabotage } from "./sabotage.js";

/** What is taken out by something put before a replica, or by messages that are changed on their way. */
export const CLIENT_SABOTAGES: readonly Sabotage[] = [
  {
    name: "live-writes",
    removes: "live: the client does not hear that the application has changed something",
    deaf: "client",
  },
  {
    name: "remembered-sendings",
    removes: "R5: the replica does not remember what it has sent",
    replica: (store) => ({
      ...store,
      lookup: (ids) => store.lookup(ids).map((state) => ({ ...state, sendings: [] })),
      listUnsettledCreations: () => [],
      takeOutgoing(query) {
        const batch = store.takeOutgoing(query);
        return { ...batch, changes: batch.changes.map((change) => ({ ...change, resent: false })) };
      },
    }),
  },
  {
    name: "checkpoint-in-one-transaction",
    removes: "R1: the checkpoint is stored before the contents that it speaks of",
    replica: (store, random, crash) => ({
      ...store,
      apply(batch) {
        const { actions, items, ...progress } = batch;
        if (actions.length === 0 && items === undefined) return store.apply(batch);
        store.apply({ ...progress, actions: [] });
        if (random.chance(0.2)) crash();
        const nowUs = batch.nowUs;
        return store.apply(items === undefined ? { actions, nowUs } : { actions, items, nowUs });
      },
    }),
  },
  {
    name: "conditional-local-writes",
    removes: "R8: what an exchange decided is stored whatever the application did meanwhile",
    replica: (store) =>
      changeActions(store, (action, sequence) => ("revision" in action ? action : { ...action, sequence })),
  },
  {
    name: "conditional-takes",
    removes: "R8: what the server told is stored whatever the application did meanwhile",
    replica: (store) =>
      changeActions(store, (action, sequence) => (action.kind === "take" ? { ...action, sequence } : action)),
  },
  {
    name: "verdict-on-what-was-sent",
    removes: "R8: a verdict clears the pending mark of what was written since",
    replica: (store) =>
      changeActions(store, (action, sequence, fingerprint) => {
        return action.kind === "settle" && sequence !== 0 ? { ...action, sequence, fingerprint } : action;
      }),
  },
  {
    name: "stale-rows-come-back",
    removes: "R8: rows that the application changed meanwhile are not compared again",
    replica: (store) => ({ ...store, apply: (batch) => ({ ...store.apply(batch), stale: [] }) }),
  },
  {
    name: "replica-conflict-records",
    removes: "what gives way at the replica is not kept",
    replica: (store) => {
      return changeActions(store, (action) => (action.kind === "take" ? { ...action, conflict: undefined } : action));
    },
  },
  {
    name: "base-rule",
    removes: "an item that the server lacks is offered to it, though the replica agreed on it before",
    replica: (store) => changeActions(store, (action) => (isDeletion(action) ? offered(action) : action)),
  },
  {
    name: "witness",
    removes: "what the replica has heard of beyond its checkpoint is not told to the server",
    request(message) {
      if (message.message?.$case === "open") message.message.value.witness = Buffer.alloc(0);
      return message;
    },
  },
  {
    name: "fork-rule",
    removes: "in recovery all that the replica has counts as shared history",
    response(message) {
      if (message.message?.$case === "ranges" && message.message.value.head !== undefined) {
        message.message.value.forkRevision = 1_000_000;
      }
      return message;
    },
  },
  {
    name: "content-verified-on-pull",
    removes: "R4: the replica stores contents without checking their fingerprints",
    response: forged,
  },
  {
    name: "content-verified-on-push",
    removes: "R4: the server stores contents without checking their fingerprints",
    request: forged,
  },
];

type Changed = (action: Action, sequence: number, fingerprint: Uint8Array | undefined) => Action;

/** The replica with every action changed on its way, by what is pending at that time. */
function changeActions(store: ReplicaStore, change: Changed): ReplicaStore {
  return {
    ...store,
    apply(given: ApplyBatch) {
      const batch = oneByOne(given);
      const states = store.lookup(batch.actions.map(({ id }) => id));
      const actions = batch.actions.map((action, at) => {
        return change(action, states[at]?.sequence ?? 0, states[at]?.pending?.fingerprint);
      });
      return store.apply({ ...batch, actions });
    },
  };
}

function isDeletion(action: Action): action is Extract<Action, { kind: "take" }> {
  return action.kind === "take" && action.upsert === undefined && action.sequence === 0;
}

function offered({ id, sequence }: Extract<Action, { kind: "take" }>): Action {
  return { kind: "offer", id, sequence, base: undefined, content: undefined, overrides: undefined };
}

/** Some contents damaged, with fingerprints that fit: to the receiver it is as if it did not check. */
function forged<T extends ExchangeRequest | ExchangeResponse>(message: T): T {
  const carriers = carriersOf(message);
  for (const carrier of carriers) {
    if (carrier.content?.$case !== "text") continue;
    const { value } = carrier.content;
    const damaged = value.length % 5 === 0 ? `${value}!` : value;
    carrier.content = { $case: "text", value: damaged };
    // Each by itself: the sum of the whole message does not hold any more.
    carrier.fingerprint = toFingerprint(fingerprintOf(carrier.id, damaged));
  }
  const body = message.message;
  if (body?.$case === "page" || body?.$case === "push") body.value.fingerprint = undefined;
  return message;
}
