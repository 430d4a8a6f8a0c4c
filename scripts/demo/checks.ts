import type { StandardName } from "../../client/index.js";
import type { Movement } from "./cells.js";
import type { CellFigures, Check, EndSide, ExchangeFigures } from "./figures.js";
import type { Side } from "./jobs.js";
import { runJob } from "./processes.js";
import type { ServerSide, ServerView } from "./server-view.js";

/** A round, once it is over. */
export interface RoundOutcome {
  readonly standard: StandardName;
  /** B's exchange, and A's after it. */
  readonly figures: ExchangeFigures;
  readonly caughtUp: ExchangeFigures;
  readonly cells: readonly CellFigures[];
  readonly after: { readonly server: ServerSide; readonly A: Side; readonly B: Side };
}

/** Did every cell end as the table says, does the report count what happened, are all three equal? */
export function checkRound({ standard, figures, caughtUp, cells, after }: RoundOutcome): Check[] {
  const wrong = cells.find((cell) => cell.problem !== undefined);
  const claim = `under ${standard} every cell of the table ends as it says`;
  const cellCheck: Check =
    wrong === undefined
      ? { claim, ok: true }
      : { claim, ok: false, detail: `${wrong.client} x ${wrong.server}, ${wrong.example}: ${wrong.problem}` };
  const count = (...movements: readonly Movement[]): number =>
    sum(cells.filter((cell) => movements.includes(cell.expected.movement)));
  const conflicts = sum(cells.filter((cell) => cell.expected.record !== undefined));
  const told = (name: string, got: number, wanted: number): Check => ({
    claim: `under ${standard} the report counts ${wanted} ${name}`,
    ok: got === wanted,
    detail: `it says ${got}`,
  });
  return [
    cellCheck,
    told("contents sent", figures.sent, count("server takes content")),
    told("deletions sent", figures.sentDeletions, count("server deletes")),
    told("contents received", figures.received, count("client takes content")),
    told("deletions received", figures.deleted, count("client deletes")),
    told("items settled", figures.settled, count("settled, nothing moves")),
    told("conflicts", figures.conflicts, conflicts),
    {
      claim: `after ${standard} the server, A and B are equal`,
      ok: allEqual([after.server, after.A, after.B]) && after.A.pending === 0 && after.B.pending === 0,
      detail: [after.server, after.A, after.B].map((side) => `${side.count} ${side.fingerprint}`).join(", "),
    },
    {
      claim: `after ${standard} A took what B's exchange left at the server, and sent nothing`,
      ok: caughtUp.sent + caughtUp.sentDeletions + caughtUp.conflicts === 0,
    },
  ];
}

function sum(cells: readonly CellFigures[]): number {
  return cells.reduce((total, cell) => total + cell.items, 0);
}

function allEqual(sides: readonly { readonly count: number; readonly fingerprint: string }[]): boolean {
  const [first, ...others] = sides;
  return others.every((side) => side.count === first?.count && side.fingerprint === first.fingerprint);
}

/** The proof at the end: every replica computes its fingerprint from all its contents anew. */
export async function checkEnds(
  files: { readonly A: string; readonly B: string },
  view: ServerView,
  exchanges: readonly ExchangeFigures[],
): Promise<{ readonly ends: readonly EndSide[]; readonly checks: readonly Check[] }> {
  const server = await view.collection();
  const [A, B] = await Promise.all([
    runJob<"audit">({ kind: "audit", file: files.A }),
    runJob<"audit">({ kind: "audit", file: files.B }),
  ]);
  const last = exchanges.at(-1);
  const unproven = exchanges.filter((exchange) => !exchange.verified);
  return {
    ends: [
      { side: "server", items: server.count, fingerprint: server.fingerprint },
      { side: "A", items: A.side.items, fingerprint: A.side.fingerprint },
      { side: "B", items: B.side.items, fingerprint: B.side.fingerprint },
    ],
    checks: [
      {
        claim: "every exchange proved both sides equal",
        ok: unproven.length === 0,
        detail: unproven.map(({ name }) => name).join(", "),
      },
      { claim: "no change was rejected", ok: exchanges.every((exchange) => exchange.rejected === 0) },
      {
        claim: "an exchange with nothing to do takes one round trip and moves nothing",
        ok: last?.roundTrips === 1 && last.itemsPerSecond === 0,
        detail: `${last?.roundTrips} round trips`,
      },
      { claim: "A's and B's contents, hashed anew, give their fingerprints", ok: A.right && B.right },
      { claim: "in the end the server, A and B are equal", ok: allEqual([server, A.side, B.side]) },
      {
        claim: "in the end the replicas hold as many items as the server",
        ok: A.side.items === server.count && B.side.items === server.count,
      },
    ],
  };
}
