import { readdirSync, readFileSync } from "node:fs";
import { expanded, type Json } from "../../scripts/vectors/json-text.js";

/** Where the vectors lie. */
export const VECTORS = new URL("./vectors/", import.meta.url);

/** A file of vectors, every `$repeat` in it written out. */
export function readVectors<T>(name: string): T {
  return expanded(JSON.parse(readFileSync(new URL(name, VECTORS), "utf8")) as Json) as T;
}

/** Names of all files of vectors, those of transcripts with their folder. */
export function listVectors(): readonly string[] {
  const files = readdirSync(VECTORS, { recursive: true, encoding: "utf8" });
  return files.map((name) => name.replaceAll("\\", "/")).filter((name) => name.endsWith(".json"));
}

/** Bytes from hex. */
export const unhex = (text: string): Buffer => Buffer.from(text, "hex");
