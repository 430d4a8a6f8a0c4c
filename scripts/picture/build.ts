import { type Captions, drawExchange } from "./draw.js";
import { recordExchange } from "./exchange.js";

/** What happens in each turn, at the side of its messages. */
const CAPTIONS: Captions = [
  ["small changes go along", "at once"],
  ["1. change info", "small contents ride along", "beside verdicts on pushes"],
  ["2. compare", "geneva changed on both", "sides: CLIENT prevails"],
  ["3. content", "to the side that needs it,", "and the proof of equality"],
];

/** The picture of an exchange in README.md: the messages that both sides' own code makes, with their sizes. */
export function buildPicture(): string {
  return drawExchange(recordExchange(), CAPTIONS);
}
