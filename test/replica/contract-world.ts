import { afterEach, beforeEach } from "vitest";
import type { Action } from "../../client/replica/action.js";
import type { ApplyResult } from "../../client/replica/apply-batch.js";
import type { LocalState } from "../../client/replica/local-state.js";
import type { OutgoingQuery } from "../../client/replica/outgoing-batch.js";
import type { ReplicaStore } from "../../client/replica/store.js";
import { fingerprintOf } from "../../core/fingerprint.js";
import type { Harness } from "./drive.js";
import { hex } from "./model.js";

export const NOW = 1_700_000_000_000_000;
/** All that is pending. */
export const ALL: OutgoingQuery = {
  select: { after: 0, through: Number.MAX_SAFE_INTEGER },
  maxBytes: 1 << 20,
  maxChanges: 1000,
  eager: false,
};

export type Part<K extends Action["kind"]> = Partial<Extract<Action, { kind: K }>> & { id: string };

/** Takes a deletion, unless the part says otherwise. */
export function take(part: Part<"take">): Action {
  return { kind: "take", sequence: 0, upsert: undefined, revision: 1, modifyTimeUs: NOW, conflict: undefined, ...part };
}

/** Takes a text. */
export function takeText(id: string, text: string, part: Partial<Part<"take">> = {}): Action {
  return take({ id, upsert: { content: text, fingerprint: fingerprintOf(id, text) }, ...part });
}

type Base = { fingerprint: Uint8Array | undefined; revision: number };

/** Moves the base, of whose content nothing is known. */
export function rebase({ base, ...part }: Omit<Part<"rebase">, "base"> & { id: string; base: Base }): Action {
  const onto = { modifyTimeUs: NOW, ...base };
  return { kind: "rebase", sequence: 0, content: undefined, overrides: undefined, base: onto, ...part };
}

/** A replica that is new in each test. */
export interface ReplicaWorld {
  readonly replica: ReplicaStore;
  /** Opens its file once more. */
  reopen(): void;
  apply(...actions: Action[]): ApplyResult;
  stateOf(id: string): LocalState;
  sequenceOf(id: string): number;
  /** In hex. */
  sendingsOf(id: string): (string | undefined)[];
}

/** Opens a replica before each test of a suite, and removes it after. */
export function useReplica(open: () => Harness): ReplicaWorld {
  let harness: Harness;
  beforeEach(() => {
    harness = open();
  });
  afterEach(() => harness.dispose());
  const stateOf = (id: string): LocalState => {
    const [state] = harness.replica().lookup([id]);
    if (state === undefined) throw new Error("no answer");
    return state;
  };
  return {
    get replica() {
      return harness.replica();
    },
    reopen: () => harness.reopen(),
    apply: (...actions) => harness.replica().apply({ actions, nowUs: NOW }),
    stateOf,
    sequenceOf: (id) => stateOf(id).sequence,
    sendingsOf: (id) => stateOf(id).sendings.map(hex),
  };
}
