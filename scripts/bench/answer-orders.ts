import type { Answer } from "./orders.js";

/** Makes this process, started by fork, answer its parent's orders one after the other, and end when its parent is gone. */
export function answerOrders<O extends { readonly kind: string }>(
  obey: (order: O) => unknown,
  parentGone: () => Promise<void>,
): void {
  process.on("message", (order: O) => {
    Promise.resolve()
      .then(() => obey(order))
      .then(
        (value): Answer => ({ value }),
        (error: unknown): Answer => ({
          failed: error instanceof Error ? (error.stack ?? error.message) : String(error),
        }),
      )
      // Whoever is gone hears nothing more, and that is no error.
      .then((answer) => process.send?.(answer, undefined, undefined, () => undefined))
      .catch(() => process.exit(1));
  });
  process.once("disconnect", () => {
    parentGone()
      .catch(() => undefined)
      .finally(() => process.exit());
  });
  // Ctrl-C reaches the whole process group: the parent decides when this ends.
  process.on("SIGINT", () => undefined);
}
