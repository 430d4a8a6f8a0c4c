/** What a case finds wrong: one line that says what was expected and what came. */
export class Mismatch extends Error {
  override readonly name = "Mismatch";
}

/** A client waited more often than it may, as far as the relay's patience could tell. */
export class TooManyTrips extends Mismatch {}

/** The case can't be run with this testee: it needs a feature that it does not name. */
export class NotApplicable extends Error {
  override readonly name = "NotApplicable";
}

/**
 * Holds what came against what was expected. Of objects only the fields that are expected are looked at.
 *
 * @throws Mismatch with the first difference.
 */
export function same(what: string, came: unknown, expected: unknown): void {
  if (Array.isArray(expected)) {
    if (!Array.isArray(came)) throw mismatch(what, came, expected);
    if (came.length !== expected.length) throw mismatch(what, came, expected);
    for (const [at, each] of expected.entries()) same(`${what}[${at}]`, came[at], each);
    return;
  }
  if (Buffer.isBuffer(expected)) {
    if (Buffer.isBuffer(came) && came.equals(expected)) return;
    throw mismatch(what, came, expected);
  }
  if (typeof expected === "object" && expected !== null) {
    if (typeof came !== "object" || came === null) throw mismatch(what, came, expected);
    for (const [key, each] of Object.entries(expected))
      same(`${what}.${key}`, (came as Record<string, unknown>)[key], each);
    return;
  }
  if (!Object.is(came, expected)) throw mismatch(what, came, expected);
}

/** The same for lists whose order says nothing: sorted by what they are in JSON. */
export function sameSet(what: string, came: readonly unknown[], expected: readonly unknown[]): void {
  const sorted = (list: readonly unknown[]): unknown[] => [...list].sort((a, b) => (show(a) < show(b) ? -1 : 1));
  same(what, sorted(came), sorted(expected));
}

/** @throws Mismatch where it does not hold. */
export function holds(what: string, condition: boolean, came?: unknown): void {
  if (!condition) throw new Mismatch(came === undefined ? what : `${what}; came ${show(came)}`);
}

/** @throws TooManyTrips where a client waited more often than it may. */
export function holdTrips(
  { trips, log }: { readonly trips: number; readonly log: readonly string[] },
  budget: number,
): void {
  if (trips <= budget) return;
  throw new TooManyTrips(`round trips: expected at most ${budget}, came ${trips} (${log.join(", ")})`);
}

function mismatch(what: string, came: unknown, expected: unknown): Mismatch {
  return new Mismatch(`${what}: expected ${show(expected)}, came ${show(came)}`);
}

function show(value: unknown): string {
  const text = JSON.stringify(value, (_, each: unknown) =>
    isBytes(each) ? Buffer.from(each.data).toString("hex") : each,
  );
  if (text === undefined) return "nothing";
  return text.length > 300 ? `${text.slice(0, 300)}… (${text.length} characters)` : text;
}

/** A Buffer as JSON.stringify sees it. */
function isBytes(value: unknown): value is { readonly data: readonly number[] } {
  return typeof value === "object" && value !== null && "type" in value && value.type === "Buffer" && "data" in value;
}
