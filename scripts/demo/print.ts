import type { CellFigures, DemoFigures, ExchangeFigures } from "./figures.js";
import { bytes, colors as c, clip, count, duration, many, memory, percent } from "./format.js";
import type { DemoTeller } from "./run-demo.js";

type Write = (text: string) => void;

const COLUMNS = [
  ["sent", 9],
  ["received", 10],
  ["del. up", 9],
  ["down", 6],
  ["settled", 9],
  ["conflicts", 11],
  ["trips", 7],
  ["bytes up", 10],
  ["down", 10],
] as const;
const NAME_WIDTH = 18;
const WIDTH = 100;

function row(name: string, cells: readonly string[]): string {
  return name.padEnd(NAME_WIDTH) + cells.map((cell, index) => cell.padStart(COLUMNS[index]?.[1] ?? 0)).join("");
}

/** Tells the story on a terminal, or into a file. */
export function createTeller(write: Write, terminal: boolean, verbose: boolean): DemoTeller {
  const clear = (): void => void (terminal && write("\r\x1b[2K"));
  return {
    begin(what) {
      if (terminal) write(c.dim(`… ${what}`));
    },
    loaded({ items, contentBytes, loadMs }) {
      clear();
      write(
        `Replica A was filled offline with ${count(items)} places, ${bytes(contentBytes)} of JSON, in ${duration(loadMs)}.\n`,
      );
      write("In each round both replicas are edited offline; A's edits reach the server before B exchanges.\n\n");
      write(
        `${c.bold(
          row(
            "Exchange",
            COLUMNS.map(([name]) => name),
          ),
        )}\n`,
      );
    },
    exchanged(exchange, fullCopyBytes) {
      clear();
      write(exchangeLines(exchange, fullCopyBytes, verbose));
    },
  };
}

function exchangeLines(exchange: ExchangeFigures, fullCopyBytes: number, verbose: boolean): string {
  const { replica, name, sent, received, sentDeletions, deleted, settled, conflicts, roundTrips } = exchange;
  const figures = [sent, received, sentDeletions, deleted, settled, conflicts, roundTrips].map(count);
  const line = row(`${replica} ${name}`, [...figures, bytes(exchange.bytesSent), bytes(exchange.bytesReceived)]);
  const moved = exchange.bytesSent + exchange.bytesReceived;
  const isFirst = name.startsWith("first");
  const facts = [
    duration(exchange.durationMs),
    ...(isFirst ? [`${count(exchange.itemsPerSecond)} items/s`] : [`${percent(moved, fullCopyBytes)} of a full copy`]),
    `peak memory: client ${memory(exchange.clientMemoryPeak)}, server ${memory(exchange.serverMemoryPeak)}`,
    `${exchange.verified ? "proved" : "NOT PROVED"} ${exchange.fingerprint.slice(0, 12)}`,
  ];
  const proof = verbose ? `${c.dim(`  ${exchange.fingerprint}`)}\n` : "";
  return `${line}\n${c.dim(`  ${facts.join(" · ")}`)}\n${proof}`;
}

/** The tables after the story. */
export function printFigures(write: Write, figures: DemoFigures, verbose: boolean): void {
  write(
    `\nA full copy is what B's first pull took: ${bytes(figures.fullCopyBytes)}. Bytes are gRPC messages with their framing,\n` +
      "without HTTP/2's. Trips: how often the client had to wait for an answer before it could go on.\n\n",
  );
  printCells(write, figures.cells);
  printConflicts(write, figures);
  write(`${c.bold("Proof")}\n`);
  for (const { side, items, fingerprint } of figures.ends) {
    const shown = verbose ? fingerprint : fingerprint.slice(0, 12);
    write(
      `  ${(side === "server" ? side : `replica ${side}`).padEnd(11)}${count(items).padStart(8)} items  ${shown}\n`,
    );
  }
  const held = figures.checks.filter((check) => check.ok).length;
  const verdict = `${held} of ${figures.checks.length} checks hold`;
  write(
    `  ${figures.ok ? c.green(`all three equal, ${verdict}`) : c.red(verdict)}, ${duration(figures.durationMs)} in all\n`,
  );
  for (const { claim, ok, detail } of figures.checks) {
    if (!ok) write(c.red(`  does not hold: ${claim}${detail === undefined ? "" : ` (${detail})`}\n`));
    else if (verbose) write(c.dim(`  holds: ${claim}\n`));
  }
}

function printCells(write: Write, cells: readonly CellFigures[]): void {
  const table = (client: string, server: string, items: string, a: string, b: string): string =>
    `  ${client.padEnd(11)}${server.padEnd(18)}${items.padStart(5)}   ${a.padEnd(31)}${b}`;
  write(`${c.bold(table("client B", "server", "items", "standard SERVER", "standard CLIENT"))}\n`);
  const byStandard = (standard: string): CellFigures[] => cells.filter((cell) => cell.standard === standard);
  const client = byStandard("CLIENT");
  for (const [index, cell] of byStandard("SERVER").entries()) {
    const other = client[index];
    const server = cell.equal ? `${cell.server}, equal` : cell.server;
    const shown = [cell, other].map((each) => (each === undefined ? "" : outcome(each)));
    const line = table(cell.client, server, count(cell.items + (other?.items ?? 0)), shown[0] ?? "", shown[1] ?? "");
    write(`${(cell.problem ?? other?.problem) ? c.red(line) : line}\n`);
  }
  write(`  ${c.dim("* conflict: what gave way is kept in a conflict record on the side that gave way")}\n\n`);
}

function outcome(cell: CellFigures): string {
  return `${cell.movement}${cell.record === undefined ? "" : " *"}${cell.problem === undefined ? "" : " (!)"}`;
}

function printConflicts(write: Write, figures: DemoFigures): void {
  write(`${c.bold("Conflict records")}, one of each kind\n`);
  for (const side of ["client", "server"] as const) {
    const records = figures.conflicts.filter((record) => record.side === side);
    const standard = side === "client" ? "SERVER" : "CLIENT";
    const place = side === "client" ? "in replica B" : "at the server";
    write(`  ${many(records.length, "record")} ${place}, of the exchange under ${standard}\n`);
    for (const cell of figures.cells) {
      if (cell.standard !== standard || cell.record !== side) continue;
      const record = records.find(({ id }) => id === cell.example);
      if (record === undefined) continue;
      const prevailed = record.prevailed === undefined ? "a deletion" : record.prevailed.slice(0, 12);
      const content = record.content === undefined ? c.dim("(a deletion)") : clip(record.content, 90);
      write(
        `    #${record.number} ${clip(record.id, 50)}: ${record.kind}, gave way to ${prevailed}\n      ${c.dim(content)}\n`,
      );
    }
  }
  write("\n");
}

/** What to type to look around. */
export function printLookAround(write: Write, address: string, { collection, example }: DemoFigures): void {
  const call = (method: string, request?: object): string => {
    const data = request === undefined ? "" : `-d '${JSON.stringify(request)}' `;
    const line = `  grpcurl -plaintext ${data}${address} ${method}`;
    return line.length <= WIDTH ? `${line}\n` : `  grpcurl -plaintext ${data}\\\n    ${address} ${method}\n`;
  };
  write(`\n${c.bold("To look around")}, with grpcurl\n`);
  write(call("list"));
  write(call("describe tercet.v1.SyncService.Exchange"));
  write(call("tercet.v1.CollectionService/GetCollection", { collection }));
  write(call("tercet.v1.ItemService/GetItem", { collection, id: example }));
  write(call("tercet.v1.ItemService/ListChanges", { collection, page_size: 3, inline_bytes: 1000 }));
  write(call("tercet.v1.CollectionService/ListConflicts", { collection, page_size: 3 }));
}
