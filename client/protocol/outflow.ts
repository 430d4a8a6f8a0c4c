import { asBuffer } from "../../core/content.js";
import { WHOLE_BYTES } from "../../core/limits.js";
import type { Limits, PushBatch } from "../../gen/tercet/v1/sync.js";
import type { OutgoingBatch, OutgoingChange, OutgoingQuery } from "../replica/outgoing-batch.js";
import { columnsOf, type OutgoingColumns } from "../replica/outgoing-columns.js";
import type { ReplicaState } from "../replica/replica-state.js";
import { cutRun, toColumnsBatch } from "./encode-pushes.js";
import { fillPortions } from "./fill-portions.js";
import type { LargeChange, LargeSending } from "./send-chunks.js";
import { changeBytes, createSendingWindow, type SendingWindow, toPushBatch } from "./send-content.js";

const MAX_BATCH_CHANGES = 4096;
const MAX_TAKEN_BYTES = 1024 * 1024;
/** After so many lost races a change stays pending for another time. */
const MAX_RACES = 5;

/** Which pending changes are to be sent, and which have been. */
export interface Outflow {
  readonly window: SendingWindow;
  /** Every change that was pending when the exchange began has been sent once, and nothing is to be sent again. */
  readonly idle: boolean;
  /** What to take from the replica next, if the window has room. `compared`: the feed has been read to its end mark. */
  nextQuery(compared: boolean): OutgoingQuery | undefined;
  /** The eager query, before anything else: all that is small and was never sent. Undefined: nothing is. */
  eagerQuery(): OutgoingQuery | undefined;
  /** What was taken, as what is to be done with it. `except`: what is about to give way, and is not sent. */
  taken(query: OutgoingQuery, batch: OutgoingBatch, known: number, except: ReadonlySet<string>): Taken;
  /**
   * The chunks of a large change have been sent, and it was taken once more: its push, on the base that it has now. Undefined
   * where it is not what was sent any more.
   */
  takenLarge(
    sending: LargeSending,
    batch: OutgoingBatch,
    known: number,
    except: ReadonlySet<string>,
  ): { readonly push: PushBatch; readonly trip: number } | undefined;
  /** A pending change has a new base, from an answer of round trip `trip`: it is to be sent, unless its turn is still to come. */
  again(id: string, sequence: number, trip: number): void;
  /** A push that was sent again lost its race. */
  lostRace(id: string): void;
  /** The server took the item's change or said no to it, it gave way, or nothing is pending any more: its race is over. */
  settled(id: string): void;
  /** Changes that lost their races time and again, and have not been settled since. */
  readonly contended: readonly string[];
  /** Whether there are such. */
  readonly contends: boolean;
  /**
   * Live: the application has made changes up to this sequence number. They are to be sent only once no push is without its
   * verdict, as a later change of an item has the base that the verdict on the earlier one says.
   */
  extend(through: number): void;
  /** Live: contended changes are tried again; not while a push is without its verdict, as it may be of one of them. */
  retry(trip: number): void;
  /** The comparison is complete; what is sent because of it belongs to this round trip. */
  compared(next: number): void;
}

/** What is to be done with pending changes that were taken. */
export interface Taken {
  /** To push, in this round trip. */
  readonly pushes: readonly PushBatch[];
  readonly trip: number;
  /** Changes whose contents are larger than a message: their chunks are to be sent first. */
  readonly large: readonly LargeSending[];
  /** What the server would not take: its contents are larger than the item limit that it told. Not sent. */
  readonly tooLarge: readonly OutgoingChange[];
}

/** The outflow of an exchange that begins in this state. `largest`: bytes of the largest content that the server takes. */
export function createOutflow(
  state: ReplicaState,
  limits: () => Limits,
  largest: () => number = () => limits().itemBytes,
): Outflow {
  const window = createSendingWindow();
  let through = state.lastSequence;
  const eagerSent = new Set<number>();
  const resend = new Map<string, number>();
  const races = new Map<string, number>();
  const contended = new Set<string>();
  /** Those of them that wait to be tried again. */
  const resting = new Set<string>();
  let cursor = state.pending === 0 ? through : 0;
  let firstTrip = 2;

  function room(): boolean {
    const { windowBytes, windowItems } = limits();
    if (window.bytes === 0) return true;
    return window.bytes + takenBytes() <= windowBytes && window.items + maxChanges() <= windowItems;
  }

  /** Changes that were to be sent again have been taken; in which round trip they are sent. */
  function takenAgain(ids: readonly string[], batch: OutgoingBatch): number {
    const taken = new Set(batch.changes.map((change) => change.id));
    let trip = firstTrip;
    for (const id of [...taken, ...ids]) {
      trip = Math.max(trip, resend.get(id) ?? 0);
      // What was taken is on its way; what was not, and comes no more, is not pending any longer.
      if (!batch.more || taken.has(id)) resend.delete(id);
      if (!batch.more && !taken.has(id)) settled(id);
    }
    return trip;
  }

  function settled(id: string): void {
    if (!races.delete(id)) return;
    contended.delete(id);
    resting.delete(id);
  }

  function maxChanges(): number {
    return Math.max(1, Math.min(MAX_BATCH_CHANGES, limits().windowItems >> 2));
  }

  /** What is taken at a time is several messages: it costs the replica a durable transaction. */
  function takenBytes(): number {
    const { windowBytes, messageBytes } = limits();
    return Math.max(messageBytes, Math.min(MAX_TAKEN_BYTES, windowBytes >> 2));
  }

  /** New items that were never sent: nothing of them was sent eagerly, or is on its way. */
  function takenColumns(columns: OutgoingColumns, known: number): Taken {
    const runs = cutRun(columns, limits().messageBytes);
    for (const run of runs) window.addRun({ ...run, trip: firstTrip });
    return { pushes: runs.map((run) => toColumnsBatch(run, known)), trip: firstTrip, large: [], tooLarge: [] };
  }

  function select(selection: OutgoingQuery["select"]): OutgoingQuery {
    return { select: selection, maxBytes: takenBytes(), maxChanges: maxChanges(), eager: false };
  }

  return {
    window,
    get idle() {
      return cursor >= through && resend.size === 0;
    },
    eagerQuery() {
      // Without a token there is nothing that the server could hold an eager change against.
      if (cursor >= through || state.token.length === 0) return undefined;
      const { eagerBytes } = limits();
      return { select: { after: 0, through }, maxBytes: eagerBytes, maxChanges: maxChanges(), eager: true };
    },
    nextQuery(compared) {
      if (!room()) return undefined;
      if (resend.size > 0) return select({ ids: [...resend.keys()].slice(0, maxChanges()) });
      return compared && cursor < through ? select({ after: cursor, through }) : undefined;
    },
    taken(query, batch, known, except) {
      const creations = except.size === 0 ? columnsOf(batch) : undefined;
      if (creations !== undefined && creations.maxSize <= largest()) {
        cursor = batch.more ? creations.firstSequence + creations.count - 1 : through;
        return takenColumns(creations, known);
      }
      const again = "ids" in query.select;
      const trip = "ids" in query.select ? takenAgain(query.select.ids, batch) : query.eager ? 1 : firstTrip;
      const most = largest();
      const taken = atomsOf(batch.changes).filter((atom) =>
        atom.every(({ id, sequence }) => {
          if (except.has(id)) return false;
          // Sent because of an answer, or at the beginning: its turn has been already.
          return again || query.eager || !(eagerSent.has(sequence) || window.has(sequence));
        }),
      );
      const fits = (atom: readonly OutgoingChange[]): boolean =>
        atom.every(({ upsert }) => (upsert?.size ?? 0) <= (atom.length > 1 ? Math.min(most, WHOLE_BYTES) : most));
      const fitting = taken.filter(fits);
      const large = query.eager ? [] : fitting.flat().filter(isLarge);
      const atoms = fitting.filter((atom) => !atom.some(isLarge));
      const changes = atoms.flat();
      // Eager, the limit is the one last heard of; the server may say another one before they are taken again.
      const allFit = query.eager || fitting.length === taken.length;
      const tooLarge = allFit ? [] : taken.filter((atom) => !fits(atom)).flat();
      for (const { id } of tooLarge) settled(id);
      if (query.eager) {
        for (const change of changes) eagerSent.add(change.sequence);
        if (!batch.more && !batch.skipped && atoms.length === taken.length) cursor = through;
      } else if (!again) cursor = batch.more ? (batch.changes.at(-1)?.sequence ?? through) : through;
      for (const change of changes) {
        const { id, sequence, upsert, resent } = change;
        window.add({ id, sequence, fingerprint: upsert?.fingerprint, bytes: changeBytes(change), trip, again, resent });
      }
      const seen = query.eager ? undefined : known;
      const messages = { bytes: limits().messageBytes, items: Number.POSITIVE_INFINITY };
      return {
        pushes: fillPortions(atoms, changeBytes, messages).map((cut) => toPushBatch(cut, seen, known)),
        trip,
        large: large.map((change) => ({ change, trip, again })),
        tooLarge,
      };
    },
    takenLarge({ change: first, trip, again }, { changes }, known, except) {
      const { id, sequence } = first;
      const change = changes.find((each) => each.id === id && each.sequence === sequence);
      const due = Math.max(trip, resend.get(id) ?? 0);
      if (change?.upsert === undefined || !isLarge(change) || except.has(id)) return undefined;
      resend.delete(id);
      // It was taken twice, and is sent once.
      const push = { ...change, resent: first.resent };
      const { fingerprint, upload } = change.upsert;
      const common = { id, sequence, fingerprint, bytes: changeBytes(change), trip: due, again, resent: first.resent };
      window.add({ ...common, upload: asBuffer(upload.id).toString("hex") });
      return { push: toPushBatch([push], known, known), trip: due };
    },
    again(id, sequence, trip) {
      const later = sequence > cursor && sequence <= through && !eagerSent.has(sequence);
      if (!later && !resting.has(id)) resend.set(id, trip);
    },
    lostRace(id) {
      const lost = (races.get(id) ?? 0) + 1;
      races.set(id, lost);
      if (lost < MAX_RACES) return;
      contended.add(id);
      resting.add(id);
      resend.delete(id);
    },
    settled,
    extend(last) {
      through = Math.max(through, last);
    },
    retry(trip) {
      for (const id of contended) {
        if (resting.delete(id)) races.set(id, 0);
        resend.set(id, trip);
      }
    },
    get contended() {
      return [...contended];
    },
    get contends() {
      return contended.size > 0;
    },
    compared(next) {
      firstTrip = next;
    },
  };
}

function isLarge(change: OutgoingChange): change is LargeChange {
  return change.upsert?.upload !== undefined;
}

/** Changes one by one, but those of an atomic group together. */
function atomsOf(changes: readonly OutgoingChange[]): readonly (readonly OutgoingChange[])[] {
  const atoms: OutgoingChange[][] = [];
  let group = 0;
  for (const change of changes) {
    if (change.group !== 0 && change.group === group) atoms.at(-1)?.push(change);
    else atoms.push([change]);
    group = change.group;
  }
  return atoms;
}
