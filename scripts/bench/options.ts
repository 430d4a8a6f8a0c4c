import yargs from "yargs";
import { hideBin } from "yargs/helpers";
import { CONTENDERS } from "./contenders.js";
import { WORKLOADS } from "./scenarios.js";

/** What was asked for. */
export interface BenchOptions {
  /** Names of workloads and of contenders. */
  readonly only: readonly string[];
  readonly contenders: readonly string[];
  /** Items of the collections. */
  readonly sizes: readonly number[];
  readonly runs: number;
  /** Count bytes on the wire, in one more run of each. */
  readonly wire: boolean;
  /** Also 5,000,000 items. */
  readonly large: boolean;
  /** Where CPU profiles go, if there are to be any. */
  readonly profile: string | undefined;
  /** Files that are written. */
  readonly json: string;
  readonly markdown: string;
  readonly svg: string;
}

const LEAST_ITEMS = 100;
const WORKLOADS_HELP = `W1   first pull of all items into an empty replica
W2   first push of all items to an empty server
W3   1,000 items changed on each side
W4   nothing changed, 20 times on one connection
W5   recovery of a replica without its checkpoint, 1,000 items differ
W6   W1 and W2 with random ids (UUIDs); with --large also 5,000,000 items
W7   1,000 replicas push one change each, 64 at a time; Tercet alone, whatever -n
W8   one large item of 64 MiB, pulled and pushed
W9   live: from a put at one replica to the event at another, idle and under load; Tercet alone
W10  1,000 and 10,000 live exchanges: memory of each, one change fanned out to all; readers that stop; Tercet alone
W11  W1 to W4 over a link of 20 ms round trip

Every run has a server and a client process of its own, on files that were just copied; contenders take turns, run by run.
The time begins with the connection made. Targets are meant for 100,000 items and more; a miss does not change the exit
status. With all contenders it takes about half an hour; try --contender tercet,bare.`;

/** Reads the command line; ends the process where it makes no sense. */
export function readOptions(argv: readonly string[]): BenchOptions {
  const names = CONTENDERS.map(({ name }) => name);
  const parsed = yargs(hideBin([...argv]))
    .scriptName("npm run bench --")
    .usage(
      `$0 [options]\n\nMeasures Tercet beside other ways to synchronise, and beside a bare copy.\n\n${WORKLOADS_HELP}`,
    )
    .option("only", { type: "string", default: WORKLOADS.join(","), describe: "Workloads" })
    .option("contender", { type: "string", default: names.join(","), describe: "Contenders" })
    .option("n", { type: "string", default: "100000", describe: "Items; W3, W4 and W11 take the first number" })
    .option("runs", { type: "number", default: 3, describe: "Timed runs of each" })
    .option("wire", { type: "boolean", default: true, describe: "Count bytes and turns, in one more run" })
    .option("large", { type: "boolean", default: false, describe: "W6 with 5,000,000 items, too (takes long)" })
    .option("profile", { type: "string", describe: "Write CPU profiles of Tercet's processes here, of one more run" })
    .option("json", { type: "string", default: "bench-results/bench.json", describe: "All figures of all runs" })
    .option("markdown", { type: "string", default: "bench-results/bench.md", describe: "The tables" })
    .option("svg", { type: "string", default: "bench-results/bench.svg", describe: "The chart" })
    .check(({ only, contender, n, runs }) => {
      const unknown = [
        ...listIn(only).filter((name) => !WORKLOADS.some((workload) => workload === name)),
        ...listIn(contender).filter((name) => !names.includes(name)),
      ];
      if (unknown.length > 0) return `unknown: ${unknown.join(", ")}`;
      if (!Number.isInteger(runs) || runs < 1) return "--runs must be 1 or more";
      const right = sizesIn(n).every((size) => Number.isInteger(size) && size >= LEAST_ITEMS);
      return right || `--n must be numbers of ${LEAST_ITEMS} or more, with commas between them`;
    })
    .version(false)
    .strict()
    .parseSync();
  const { only, contender, n, ...rest } = parsed;
  return { ...rest, only: listIn(only), contenders: listIn(contender), sizes: sizesIn(n), profile: rest.profile };
}

function listIn(text: string): string[] {
  return text.split(",").map((each) => each.trim());
}

function sizesIn(text: string): number[] {
  return listIn(text).map(Number);
}
