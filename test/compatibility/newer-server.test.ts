import { describe, expect, it } from "vitest";
import type { PushOutcome, RangeOutcome } from "../../gen/tercet/v1/sync.js";
import { compact, equalWorld, type World } from "../../scripts/vectors/scenario.js";

const UNKNOWN = 9999 as PushOutcome;

/** The first verdict of an exchange has an outcome that the client does not know. */
function syncWithUnknownOutcome(world: World): unknown {
  let told = false;
  return world.record({
    damage(message) {
      if (told || message.$case !== "verdicts") return undefined;
      told = true;
      for (const verdict of message.value.verdicts) verdict.outcome = UNKNOWN;
      return "an outcome of a later version";
    },
  });
}

describe("a server of a later version", () => {
  it("answers a push with an outcome that the client does not know: a comparison settles what was made", () => {
    const world = equalWorld({ a: "1", b: "1" });
    world.change({ a: "2", c: "new" });
    expect(syncWithUnknownOutcome(world)).toMatchObject({ report: { verified: true } });
    const settled = world.record() as { readonly after: { readonly replica: { readonly items: readonly object[] } } };
    expect(settled).toMatchObject({ report: { verified: true, roundTrips: 1, sent: 0 } });
    for (const item of settled.after.replica.items) expect(item).not.toHaveProperty("pending");
  });
  it("answers a range with an outcome that the client does not know: it ends the exchange, and the next one recovers", () => {
    const world = equalWorld({ a: "1", b: "1", c: "1" });
    world.elsewhere({ a: null, b: "2" });
    compact(world.server);
    const ended = world.record({
      damage(message) {
        if (message.$case !== "ranges") return undefined;
        message.value.outcomes = message.value.outcomes.map(() => UNKNOWN as RangeOutcome);
        return "an outcome of a later version";
      },
    }) as { readonly messages: readonly object[] };
    expect(ended.messages.at(-1)).toMatchObject({ from: "client", cancel: { reason: "OUT_OF_ORDER" } });
    expect(world.record()).toMatchObject({ report: { verified: true, recovery: { differences: 2 } } });
  });
});
