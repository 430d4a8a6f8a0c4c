import type { Awaitable } from "../store/store.js";

/** Records of a transaction: with contents of 1 MiB each some 50 ms of work, usually far less. */
const SLICE_RECORDS = 50;

/**
 * Removes records a few at a time, so that requests have their turns in between, as long as `goesOn` says so. `remove` removes
 * at most so many (`slice`) and answers how many; the answer is how many in all.
 */
export async function inSlices(
  remove: (limit: number) => Awaitable<number>,
  goesOn: () => boolean,
  slice = SLICE_RECORDS,
): Promise<number> {
  let count = 0;
  while (goesOn()) {
    const removed = await remove(slice);
    count += removed;
    if (removed < slice) break;
    await nextTurn();
  }
  return count;
}

/** Lets everything else that waits in the event loop have its turn. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
