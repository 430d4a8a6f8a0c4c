import { describe, expect, test } from "vitest";
import { createSendingWindow, type Sending } from "../../client/protocol/send-content.js";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import { exchange, type PairOptions, type PairOutcome } from "./pair.js";
import { change, contents, newReplica, newStore, serverContents } from "./world.js";

// What the simulation found, as the shortest tale that shows it.

function clean(options: PairOptions): PairOutcome {
  const outcome = exchange(options);
  expect(outcome.fault).toBeUndefined();
  expect(outcome.report.verified).toBe(true);
  return outcome;
}

describe("after a recovery in another history", () => {
  test("what was equal there counts as of its end: a server that loses it is given it back", () => {
    const first = newStore();
    const empty = first.clone(Buffer.alloc(8, 2));
    const replica = newReplica(1);
    change(replica, { a: "1" });
    clean({ store: first, replica });
    // The server was set back, and somebody else has put the same there, at a later revision.
    const other = newReplica(2);
    change(other, { z: "z" });
    clean({ store: empty, replica: other });
    const between = empty.clone(Buffer.alloc(8, 3));
    change(other, { a: "1" });
    clean({ store: empty, replica: other });
    clean({ store: empty, replica });
    // Set back once more, to where it had not been put yet: with the number of the first history it would count as real.
    const { report } = clean({ store: between, replica, standard: ChangeStandard.CHANGE_STANDARD_SERVER });
    expect(report.recovery?.offered).toEqual(["a"]);
    expect(contents(replica)).toEqual({ a: "1", z: "z" });
    expect(serverContents(between)).toEqual({ a: "1", z: "z" });
  });
});

describe("a change that gives way while two pushes of its item are on their way", () => {
  test("the verdict on the first one does not hide what becomes of the second", () => {
    const window = createSendingWindow();
    const sending = (trip: number, id = "a"): Sending => {
      return { id, sequence: 1, fingerprint: undefined, bytes: 1, trip, again: trip > 1, resent: false };
    };
    for (const each of [sending(1), sending(2), sending(2, "b")]) window.add(each);
    window.displace("a");
    const [first, second, other] = window.take(0, 3) ?? [];
    expect([first, second, other].map((each) => window.displaced(each as Sending))).toEqual([true, true, false]);
    expect(window.displaced(second as Sending)).toBe(false);
  });
});
