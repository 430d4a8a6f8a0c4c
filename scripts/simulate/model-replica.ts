import type { ReplicaStore } from "../../client/replica/store.js";
import { hexOf, type Told } from "./model-contents.js";
import type { Happening } from "./model-events.js";
import type { Committed } from "./model-history.js";

/** What is to be seen of one id of a replica, through its public methods. */
export interface Face {
  readonly content: Told;
  /** 0: nothing is pending. */
  readonly sequence: number;
  readonly held: boolean;
  /** It is a change of an atomic group, and shares its fate. */
  readonly grouped: boolean;
  readonly modifyTimeUs: number;
  /** In hex; undefined: no item, or nothing known. */
  readonly base: string | undefined;
  readonly baseRevision: number;
  readonly sendings: number;
}

/** A conflict record, as far as it counts. */
export interface Recorded {
  readonly id: string;
  readonly content: Told;
}

/** A replica as it stands, seen from outside. */
export interface Sight {
  readonly faces: ReadonlyMap<string, Face>;
  readonly token: string;
  readonly revision: number;
  readonly pending: number;
  readonly conflicts: number;
}

/** What the model knows of a replica file: it goes with the file when that is copied. */
export interface ReplicaModel {
  sight: Sight;
  /** What its application changed, and has not been settled. */
  readonly pending: Map<string, Happening>;
  /** Which commit the base of an id is, where that is known. */
  readonly base: Map<string, Committed>;
  /** All commits up to this one it has taken, by its checkpoint. */
  seen: number;
  /** Something was damaged in it on purpose: not judged until an exchange has proved it. */
  damaged: boolean;
}

/** Looks at a replica. */
export function lookAt(store: ReplicaStore, ids: readonly string[]): Sight {
  const faces = new Map<string, Face>();
  for (const state of store.lookup(ids)) {
    const { id, sequence, pending, base, sendings } = state;
    faces.set(id, {
      content: store.get(id)?.content as Told,
      sequence,
      held: pending?.held === true,
      grouped: pending?.group !== undefined,
      modifyTimeUs: pending?.modifyTimeUs ?? store.get(id)?.modifyTimeUs ?? 0,
      base: hexOf(base?.fingerprint),
      baseRevision: base?.revision ?? 0,
      sendings: sendings.length,
    });
  }
  const { token, revision, pending, conflicts } = store.state();
  return { faces, token: hexOf(token) ?? "", revision, pending, conflicts };
}

/** The latest so many conflict records of a replica. */
export function latestRecords(store: ReplicaStore, count: number): readonly Recorded[] {
  if (count <= 0) return [];
  return store.listConflicts(Number.MAX_SAFE_INTEGER, count).map(({ number, id }) => {
    return { id, content: store.getConflict(number)?.content as Told };
  });
}

/** The model of a replica in which nothing has happened. */
export function newReplicaModel(store: ReplicaStore, ids: readonly string[]): ReplicaModel {
  return {
    sight: lookAt(store, ids),
    pending: new Map(),
    base: new Map(),
    seen: 0,
    damaged: false,
  };
}

/** The model of a copy of the file. */
export function copyReplicaModel(model: ReplicaModel): ReplicaModel {
  return { ...model, pending: new Map(model.pending), base: new Map(model.base) };
}
