/** How often a property is tried: as often as is worth it in CI (TERCET_ALL_RUNS), half as often where somebody is waiting. */
export function runs(all: number): number {
  return (process.env["TERCET_ALL_RUNS"] ?? "") === "" ? Math.ceil(all / 2) : all;
}
