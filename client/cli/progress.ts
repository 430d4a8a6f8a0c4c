/** A progress bar on standard error, where that is a terminal; elsewhere nothing. */
export interface Progress {
  /** How far it is; `words` stands behind the bar. */
  update(done: number, total: number, words: string): void;
  stop(): void;
}

const SILENT: Progress = { update: () => undefined, stop: () => undefined };

/** Begins a bar. With `--json` there is none. */
export async function startProgress(json: boolean): Promise<Progress> {
  if (json || process.stderr.isTTY !== true) return SILENT;
  const { SingleBar, Presets } = (await import("cli-progress")).default;
  const bar = new SingleBar(
    { stream: process.stderr, format: "{bar} {percentage} %  {words}", clearOnComplete: true, hideCursor: true },
    Presets.shades_classic,
  );
  bar.start(1, 0, { words: "" });
  return {
    update(done, total, words) {
      bar.setTotal(Math.max(total, done, 1));
      bar.update(done, { words });
    },
    stop: () => bar.stop(),
  };
}
