import { expect, test } from "vitest";
import type { MemoryStore } from "../../server/store/memory.js";
import { exchange } from "./pair.js";
import { elsewhere } from "./together.js";
import { contents, newReplica, newStore, serverContents } from "./world.js";

/** A client of its own makes each change, one a revision. */
function others(store: MemoryStore, changes: Readonly<Record<string, string | null>>): void {
  for (const [id, content] of Object.entries(changes)) elsewhere(store, { [id]: content });
}

/** Some contents come by themselves: an exchange may be cut when it has stored what came at once. */
const serverLimits = { inlineBytes: 20 };
const LATER = " comes later and by itself";

/**
 * A pull of what is lost afterwards is cut after so many messages, then the recovery from that history, then the server is
 * restored once more, or goes on.
 */
function restoreTwice(pullCut: number, recoveryCut: number, goesOn: boolean) {
  const lost = newStore();
  others(lost, { a: "a1", b: "b1", c: "c1", d: "d1", e: "e1" });
  const backup = lost.clone(Buffer.alloc(8, 2));
  const replica = newReplica();
  exchange({ store: lost, replica });
  others(lost, { a: "a2", b: "b2", c: `c2${LATER}`, f: "f2", d: "d2" });
  const pull = exchange({ store: lost, replica, cutAfter: pullCut, serverLimits });
  const first = contents(replica);
  // It comes to later revisions than the history that was lost.
  others(backup, { c: "c3", e: `e3${LATER}`, g: "g3", h: "h3", i: "i3", j: "j3" });
  const second = backup.clone(Buffer.alloc(8, 3));
  others(backup, { d: "d4", b: null });
  const recovery = exchange({ store: backup, replica, cutAfter: recoveryCut, serverLimits });
  const between = contents(replica);
  const store = goesOn ? backup : second;
  others(store, { d: "d5" });
  const { report, responses } = exchange({ store, replica, serverLimits });
  const records = replica.listConflicts(Number.MAX_SAFE_INTEGER, 100).map(({ number }) => {
    return replica.getConflict(number)?.content;
  });
  const recovers = responses.some(({ message }) => message?.$case === "ranges");
  return { pull, recovery, first, between, report, recovers, replica, records, served: serverContents(store) };
}

for (const goesOn of [true, false]) {
  const which = goesOn ? "the server as it is then" : "a server that is restored once more";
  test(`wherever a recovery from a lost history is cut, nothing is lost with ${which}`, () => {
    let tries = 0;
    let halfway = 0;
    for (let pullCut = 2; ; pullCut++) {
      let isCut = false;
      for (let recoveryCut = 1; ; recoveryCut++) {
        const world = restoreTwice(pullCut, recoveryCut, goesOn);
        const { first, between, replica, records, served } = world;
        isCut = world.pull.cut;
        if (!world.recovery.cut) break;
        tries += 1;
        expect(world.report.verified).toBe(true);
        // No checkpoint says more than what was taken: else the proof would have found it out.
        expect(world.report.recovery?.why).not.toBe("unverified");
        expect(contents(replica)).toEqual(served);
        expect(replica.state().recovering).toBeUndefined();
        expect(replica.audit()).toBeUndefined();
        const had = [...Object.values(first), ...Object.values(between)].filter((content) =>
          /[24]$/.test(String(content)),
        );
        for (const content of had) {
          if (content === "d4" && goesOn) continue;
          expect([...Object.values(served), ...records], `${content}, cut at ${pullCut}, ${recoveryCut}`).toContain(
            content,
          );
        }
        // News of the second history is there still, and overwritten by nobody who had not seen it.
        expect(served).toMatchObject({ c: "c3", d: "d5", e: `e3${LATER}` });
        halfway += Number(world.recovers && between["c"] === "c3" && between["e"] === "e1");
      }
      if (!isCut) break;
    }
    expect(tries).toBeGreaterThan(20);
    expect(halfway).toBeGreaterThan(3);
  });
}
