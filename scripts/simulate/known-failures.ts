/** Seeds that are known to fail, and why: to be empty. */
export const KNOWN_FAILURES: ReadonlyMap<number, string> = new Map();
