import { expect, test } from "vitest";
import { createClientExchange } from "../../client/protocol/exchange.js";
import { type ClientOperation, type ClientResult, runOperation } from "../../client/protocol/operation.js";
import { createDriver } from "../../core/drive.js";
import type { Fault } from "../../core/fault.js";
import { DEFAULT_LIMITS } from "../../core/limits.js";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import type { ExchangeRequest } from "../../gen/tercet/v1/sync.js";
import { createServerExchange } from "../../server/protocol/exchange.js";
import { exchange } from "./pair.js";
import { clean, elsewhere, together } from "./together.js";
import { change, contents, operationsOn, serverContents } from "./world.js";

const { CHANGE_STANDARD_SERVER: SERVER } = ChangeStandard;
const BEGAN_US = 1_760_000_000_000_000;
const SECOND_US = 1_000_000;
const STEP_US = 60 * SECOND_US;

/** Both machines, with nothing between them, where the client's application takes its time over conflicts. */
function slowly() {
  const { store, replica } = together();
  change(replica, { x: "mine" });
  elsewhere(store, { x: "theirs" });
  let nowUs = BEGAN_US;
  const faults: (Fault | undefined)[] = [];
  const sent: ExchangeRequest[] = [];
  const answers: ((result: ClientResult) => void)[] = [];
  const client = createClientExchange({
    standard: SERVER,
    create: false,
    recreate: false,
    client: "slow",
    limits: {},
    stepTimeoutUs: STEP_US,
    mode: "sync",
    live: false,
    onHistoryChange: "offer",
    resolves: true,
  });
  const server = createServerExchange({
    limits: DEFAULT_LIMITS,
    skewUs: STEP_US,
    stepTimeoutUs: STEP_US,
    heartbeatUs: STEP_US,
  });
  const toFault = (error: unknown): Fault => {
    throw error;
  };
  const later: (() => void)[] = [];
  const clientDriver = createDriver(client, {
    send(message) {
      sent.push(message);
      later.push(() => serverDriver.receive(message, nowUs));
      return true;
    },
    store(operation: ClientOperation) {
      if (operation.kind !== "resolve") return runOperation(replica, operation);
      return new Promise<ClientResult>((resolve) => answers.push(resolve));
    },
    close(fault) {
      faults.push(fault);
      later.push(() => serverDriver.ended());
    },
    toFault,
    yieldThen: (resume) => void later.push(resume),
  });
  const serverDriver = createDriver(server, {
    send(message) {
      later.push(() => clientDriver.receive(message, nowUs));
      return true;
    },
    store: operationsOn(store, () => nowUs),
    close: (fault) => void faults.push(fault),
    toFault,
    yieldThen: (resume) => void later.push(resume),
  });
  const settle = (): void => {
    for (let next = later.shift(); next !== undefined; next = later.shift()) next();
  };
  clientDriver.resume();
  settle();
  return {
    store,
    replica,
    faults,
    sent,
    pass(seconds: number) {
      for (let second = 0; second < seconds; second++) {
        nowUs += SECOND_US;
        clientDriver.tick(nowUs);
        serverDriver.tick(nowUs);
        settle();
      }
    },
    async answer(result: ClientResult) {
      answers.shift()?.(result);
      await new Promise(setImmediate);
      settle();
    },
  };
}

test("an application may take longer over a conflict than the server waits for a step", async () => {
  const slow = slowly();
  slow.pass(300);
  expect(slow.faults).toEqual([]);
  // A word each second, and no more.
  const signs = slow.sent.filter(({ message }) => message?.$case === "taken").length;
  expect(signs).toBeGreaterThan(100);
  expect(signs).toBeLessThanOrEqual(301);
  await slow.answer({ kind: "resolve", resolution: { kind: "mine" } });
  expect(slow.faults).toEqual([undefined, undefined]);
  expect(contents(slow.replica)).toEqual({ x: "mine" });
  expect(serverContents(slow.store)).toEqual({ x: "mine" });
});

test("an item that is changed whenever the application is asked about it is held in the end, and the others go on", () => {
  const { store, replica } = together({ x: "old", y: "old" });
  change(replica, { x: "mine", y: "mine" });
  elsewhere(store, { x: "theirs", y: "theirs" });
  let asked = 0;
  const { report } = clean(
    exchange({
      store,
      replica,
      resolver({ id }) {
        if (id === "y") return { kind: "mine" };
        asked += 1;
        change(replica, { x: `again ${asked}` });
        return { kind: "mine" };
      },
    }),
  );
  expect(asked).toBe(8);
  expect(report.conflicts).toMatchObject([
    { id: "y", prevailed: "mine" },
    { id: "x", prevailed: "held" },
  ]);
  expect([contents(replica), serverContents(store)]).toEqual([
    { x: "again 8", y: "mine" },
    { x: "theirs", y: "mine" },
  ]);
  // Once it is left alone it is judged like any other.
  clean(exchange({ store, replica, resolver: () => ({ kind: "mine" }) }));
  expect(serverContents(store)).toEqual({ x: "again 8", y: "mine" });
});
