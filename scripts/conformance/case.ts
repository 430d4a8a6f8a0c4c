import type { Place } from "./place.js";

/** A named case. Names never change: lists of known failures and reports go by them. */
export interface Case {
  readonly name: string;
  run(place: Place): Promise<void>;
}
