/** The first Ctrl-C or SIGTERM aborts the signal; a second one ends the process. `stop`: neither does any more. */
export function watchInterruption() {
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
