import { bytes, count } from "../demo/format.js";
import { milliseconds } from "./print.js";
import type { Measured } from "./summary.js";

/** A row of the table: what it is, of which workload, and what there is to say of a contender in it. */
interface Row {
  readonly title: string;
  readonly workload: string;
  cell(measured: Measured): string | undefined;
}

const rate = ({ itemsPerSecond }: Measured) =>
  itemsPerSecond === undefined ? undefined : count(Math.round(itemsPerSecond.median / 100) * 100);
const time = ({ ms }: Measured) => milliseconds(ms.median);
const wire = ({ wire: carried }: Measured) => (carried === undefined ? undefined : bytes(Math.round(carried.bytes)));

const ROWS: readonly Row[] = [
  { title: "first pull, items/s", workload: "W1", cell: rate },
  { title: "first push, items/s", workload: "W2", cell: rate },
  { title: "1,000 changed on each side", workload: "W3", cell: time },
  { title: "the same, bytes on the wire", workload: "W3", cell: wire },
  { title: "nothing changed", workload: "W4", cell: time },
  { title: "recovery, 1,000 differ, bytes", workload: "W5", cell: wire },
  { title: "recovery, 1,000 differ, time", workload: "W5", cell: time },
];

/** Contenders in the order of the columns. */
const COLUMNS: readonly (readonly [string, string])[] = [
  ["tercet", "Tercet"],
  ["bare", "bare copy"],
  ["rest", "REST, express"],
  ["nats", "NATS KV"],
  ["etcd", "etcd"],
  ["pouchdb", "PouchDB"],
];

/** The size that the table is of. */
const ITEMS = 100_000;

/** The README's table of what was measured with 100,000 items, as Markdown: a column for each contender that was there. */
export function readmeTable(measured: readonly Measured[]): string {
  const of = measured.filter(({ scenario }) => scenario.items === ITEMS);
  const columns = COLUMNS.filter(([name]) => of.some(({ contender }) => contender === name));
  const rows = ROWS.map(({ title, workload, cell }) => {
    const cells = columns.map(([name]) => {
      const found = of.find(({ contender, scenario }) => contender === name && scenario.name === workload);
      return (found === undefined ? undefined : cell(found)) ?? "–";
    });
    return { title, cells };
  });
  const present = rows.filter(({ cells }) => cells.some((each) => each !== "–"));
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [
    line(["", ...columns.map(([, title]) => title)]).replace("|  |", "| |"),
    line(["---", ...columns.map(() => "---")]),
    ...present.map(({ title, cells }) => line([title, ...cells])),
  ].join("\n");
}

const BEGIN = "<!-- bench: npm run bench:table -->";
const END = "<!-- end of bench -->";

/** The README with another table. @throws Error where it has no place for it. */
export function withTable(readme: string, table: string): string {
  const [from, to] = [readme.indexOf(BEGIN), readme.indexOf(END)];
  if (from < 0 || to < from) throw new Error(`there is no place between "${BEGIN}" and "${END}"`);
  return `${readme.slice(0, from + BEGIN.length)}\n${table}\n${readme.slice(to)}`;
}
