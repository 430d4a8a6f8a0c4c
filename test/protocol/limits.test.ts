import { describe, expect, test } from "vitest";
import { ErrorReason } from "../../gen/tercet/v1/error.js";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import { exchange } from "./pair.js";
import { clean, elsewhere, together } from "./together.js";
import { change, contents, newReplica, newStore } from "./world.js";

const CLIENT = ChangeStandard.CHANGE_STANDARD_CLIENT;

describe("limits", () => {
  test("what is larger than the server takes is marked and not sent, and does not hold up the others", () => {
    const store = newStore();
    const replica = newReplica(1);
    change(replica, { big: "x".repeat(5000), small: "1" });
    const outcome = exchange({ store, replica, serverLimits: { itemBytes: 1000 } });
    expect(outcome.report).toMatchObject({ verified: true, sent: 1, rejected: [{ id: "big" }] });
    expect(outcome.requestBytes).toBeLessThan(1000);
    expect(replica.listPending(0, 10)).toMatchObject([
      { id: "big", rejected: { reason: ErrorReason.ERROR_REASON_ITEM_TOO_LARGE } },
    ]);
    // Tried again with every exchange: the server may take more by now.
    expect(exchange({ store, replica }).report).toMatchObject({ sent: 1, rejectedCount: 0 });
  });

  test("no message is over its size, whatever the data", () => {
    const { store, replica } = together({});
    change(replica, Object.fromEntries(Array.from({ length: 400 }, (_, i) => [`i${i}`, "x".repeat(i * 40)])));
    const limits = { messageBytes: 32 * 1024, windowBytes: 64 * 1024, eagerBytes: 1000 };
    const up = clean(exchange({ store, replica, serverLimits: limits }));
    const down = clean(exchange({ store, replica: newReplica(2), serverLimits: limits }));
    for (const request of up.requests) expect(JSON.stringify(request).length).toBeLessThan(64 * 1024);
    expect(up.requests.length).toBeGreaterThan(50);
    expect(down.responses.length).toBeGreaterThan(50);
    const perMessage = down.responseBytes / down.responses.length;
    expect(perMessage).toBeLessThan(40 * 1024);
  });

  test("large contents are fetched within the window, a wait for each", () => {
    const { store } = together(
      Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`i${i}`, `${i}`.repeat(2000)])),
    );
    const replica = newReplica(2);
    const serverLimits = { inlineBytes: 100, windowBytes: 20_000, messageBytes: 16 * 1024 };
    const outcome = clean(exchange({ store, replica, serverLimits, lockstep: true }));
    const fetches = outcome.requests.flatMap((r) =>
      r.message?.$case === "fetch" ? [r.message.value.items.length] : [],
    );
    expect(fetches.length).toBeGreaterThan(5);
    expect(Math.max(...fetches)).toBeLessThanOrEqual(serverLimits.windowBytes / 2000);
    expect(outcome.report).toMatchObject({ received: 60, roundTrips: outcome.trips });
  });

  test("pages wait where contents have to be fetched, so that the client need not hold them", () => {
    const items = Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [`i${i}`, "x".repeat(100 + (i % 50))]));
    const { store } = together(items);
    const replica = newReplica(2);
    let ahead = 0;
    let most = 0;
    const outcome = clean(
      exchange({
        store,
        replica,
        serverLimits: { inlineBytes: 1, messageBytes: 16 * 1024, windowBytes: 64 * 1024 },
        lockstep: true,
        tamperResponse(message) {
          if (message.message?.$case === "page") ahead += message.message.value.changes.length;
          most = Math.max(most, ahead);
          return message;
        },
        tamperRequest(message) {
          if (message.message?.$case === "taken") ahead = 0;
          return message;
        },
      }),
    );
    expect(outcome.report.received).toBe(3000);
    // A window of ids and contents, and the page that goes beyond it.
    expect(most).toBeLessThan((64 * 1024) / 164 + 300);
    expect(contents(replica)).toEqual(items);
  });

  test("what may be without a verdict is bounded by items, too", () => {
    const { store, replica } = together({});
    change(replica, Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`i${i}`, "1"])));
    let under = 0;
    let most = 0;
    const outcome = exchange({
      store,
      replica,
      serverLimits: { windowItems: 40 },
      clientLimits: { eagerBytes: 1 },
      tamperRequest(message) {
        if (message.message?.$case === "push") under += message.message.value.pushes.length;
        most = Math.max(most, under);
        return message;
      },
      tamperResponse(message) {
        const verdicts = message.message?.$case === "verdicts" ? message.message.value.verdicts : [];
        for (const verdict of verdicts) under -= verdict.count;
        return message;
      },
    });
    expect(clean(outcome).report.sent).toBe(500);
    expect(most).toBeLessThanOrEqual(40);
  });
});

describe("progress", () => {
  test("a long push among other writers still gets checkpoints, and is not echoed after a cut", () => {
    const { store, replica } = together({});
    change(replica, Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`i${i}`, "x".repeat(400)])));
    let pushes = 0;
    const limits = { serverLimits: { windowBytes: 64 * 1024, messageBytes: 16 * 1024 } };
    exchange({
      store,
      replica,
      ...limits,
      tamperRequest(message) {
        if (message.message?.$case === "push" && ++pushes === 2) elsewhere(store, { other: "1" });
        return message;
      },
      cutAfter: 120,
    });
    const { pending, revision } = replica.state();
    expect(pending).toBeLessThan(1500);
    expect(revision).toBeGreaterThan(300);
    const again = clean(exchange({ store, replica, ...limits }));
    const told = again.responses.flatMap((r) => (r.message?.$case === "page" ? r.message.value.changes : []));
    expect(told.length).toBeLessThan(200);
  });

  test("an exchange whose last change turns out to be too large for the server ends all the same", () => {
    const { store, replica } = together();
    let wrote = false;
    const outcome = exchange({
      store,
      replica,
      standard: CLIENT,
      serverLimits: { itemBytes: 1000 },
      beforeClientOperation(kind) {
        if (kind !== "lookup" || wrote) return;
        wrote = true;
        change(replica, { x: "x".repeat(2000) });
      },
      meanwhile(delivered) {
        if (delivered === 0) elsewhere(store, { x: "theirs" });
      },
    });
    expect(outcome.cut).toBe(false);
    expect(outcome.report).toMatchObject({ verified: true, rejected: [{ id: "x" }] });
  });
});
