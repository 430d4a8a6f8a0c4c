import pc from "picocolors";

/** Colours, or none: as the terminal and NO_COLOR say. */
export const colors: ReturnType<typeof pc.createColors> = pc.createColors(
  pc.isColorSupported && process.stdout.isTTY === true && !process.env["NO_COLOR"],
);

/** `171,075` */
export function count(value: number): string {
  return value.toLocaleString("en-US");
}

/** `22.9 MB` (10^6), `8.1 kB`, `73 B` */
export function bytes(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)} MB`;
  return value >= 1000 ? `${(value / 1000).toFixed(1)} kB` : `${value} B`;
}

/** `182 MB` (10^6) */
export function memory(value: number): string {
  return `${Math.round(value / 1e6)} MB`;
}

/** `1.62 s`, `14 ms` */
export function duration(ms: number): string {
  return ms >= 1000 ? `${(ms / 1000).toFixed(2)} s` : `${Math.round(ms)} ms`;
}

/** `0.12 %` */
export function percent(part: number, whole: number): string {
  return `${((part * 100) / whole).toPrecision(2)} %`;
}

/** `1 round trip`, `2 round trips` */
export function many(value: number, noun: string): string {
  return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}

/** At most so wide, with an ellipsis. */
export function clip(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, width - 1)}…`;
}
