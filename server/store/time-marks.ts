const MINUTE_US = 60_000_000;

/** The minute since 1970 that a time lies in. */
export function minuteOf(timeUs: number): number {
  return Math.floor(timeUs / MINUTE_US);
}

/** The last revision that a collection came to in a minute. */
export interface TimeMark {
  readonly minute: number;
  readonly revision: number;
}

/**
 * The marks with one more commit. A clock that was set back does not make a commit older than those before it: it counts to
 * the latest minute there is.
 */
export function markTime(marks: readonly TimeMark[], revision: number, nowUs: number): readonly TimeMark[] {
  const last = marks.at(-1);
  const minute = Math.max(minuteOf(nowUs), last?.minute ?? 0);
  return [...(last?.minute === minute ? marks.slice(0, -1) : marks), { minute, revision }];
}
