/**
 * Counts round trips: how often the client had to wait for an answer before it could send what it sent next. Each message
 * of the client belongs to a round trip, and what the server answers to it belongs to the same; a message that depends on
 * an answer belongs to the one after. Waiting for room in the window of pushes is not counted: it is kept full.
 */
export interface RoundTrips {
  /** The latest round trip in which something was sent. */
  readonly count: number;
  /** Something is sent in this round trip. */
  sent(trip: number): void;
  /** What was answered in this round trip is taken up. */
  begin(trip: number): void;
  /** It is through. */
  end(): void;
  /** The round trip of what depends on what was taken up, and on all before it. */
  next(): number;
  /** A Fetch is sent: its round trip. */
  fetch(): number;
  /** Its answer has come. */
  fetched(): void;
  /** A Done is sent behind everything else, in `earliest` or later: its round trip. */
  done(earliest: number): number;
  /** Dones without a proof. */
  readonly proofsDue: number;
  /** The round trip of the proof that comes next, and of the pages before it. */
  readonly proofTrip: number;
  /** A proof has come. */
  proved(): void;
  /** The Dones so far will not be answered. */
  forget(): void;
}

/** Nothing was sent yet. */
export function createRoundTrips(): RoundTrips {
  const proofs: number[] = [];
  let count = 0;
  let waited = 0;
  let current = 0;
  let fetching = 0;
  const next = (): number => Math.max(waited, current) + 1;
  return {
    get count() {
      return count;
    },
    sent(trip) {
      count = Math.max(count, trip);
    },
    begin(trip) {
      current = trip;
    },
    end() {
      waited = Math.max(waited, current);
    },
    next,
    fetch() {
      fetching = next();
      return fetching;
    },
    fetched() {
      waited = Math.max(waited, fetching);
    },
    done(earliest) {
      const trip = Math.max(count, earliest);
      proofs.push(trip);
      return trip;
    },
    get proofsDue() {
      return proofs.length;
    },
    get proofTrip() {
      return proofs[0] ?? 1;
    },
    proved() {
      proofs.shift();
    },
    forget() {
      proofs.length = 0;
    },
  };
}
