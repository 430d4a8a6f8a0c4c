import { createHash } from "node:crypto";

/** Bytes of every content. All are of one size, so that the contents that moved can be told from their number. */
export const CONTENT_BYTES = 200;
/** The version of every item before anybody changes it. */
export const FIRST_VERSION = "first";

const SEED = "tercet figures 1";
/** Its base64 is longer than any content needs. */
const NOISE_BYTES = 120;

/** `item-00000042` */
export function idOf(index: number): string {
  return `item-${String(index).padStart(8, "0")}`;
}

/** The content of an item in one of its versions: JSON that does not compress, and is the same on every machine. */
export function contentOf(index: number, version: string): string {
  const hash = createHash("shake256", { outputLength: NOISE_BYTES });
  const noise = hash.update(`${SEED} ${index} ${version}`).digest("base64");
  const begin = `{"number":${index},"version":"${version}","data":"`;
  return `${begin}${noise.slice(0, CONTENT_BYTES - begin.length - 2)}"}`;
}

/** So many of the indices below `items`, evenly spread; two spreads of other phases (0 to 1) share none where they are sparse. */
export function spread(items: number, count: number, phase: number): number[] {
  return Array.from({ length: count }, (_, index) => Math.floor(((index + phase) * items) / count));
}
