/** Whether somebody wants the command to end. */
export interface Interruption {
  readonly signal: AbortSignal;
  /** From now on Ctrl-C and SIGTERM end the process. */
  stop(): void;
}

/** The first Ctrl-C or SIGTERM aborts the signal; a second one ends the process. */
export function watchInterruption(): Interruption {
  const controller = new AbortController();
  const abort = (): void => {
    stop();
    controller.abort();
  };
  function stop(): void {
    process.off("SIGINT", abort);
    process.off("SIGTERM", abort);
  }
  process.on("SIGINT", abort);
  process.on("SIGTERM", abort);
  return { signal: controller.signal, stop };
}
