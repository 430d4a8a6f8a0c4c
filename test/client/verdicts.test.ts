import { describe, expect, it } from "vitest";
import type { Action } from "../../client/replica/action.js";
import { createMemoryReplica } from "../../client/replica/memory.js";
import type { ReplicaStore } from "../../client/replica/store.js";
import { createVerdicts, type Verdicts } from "../../client/verdicts.js";
import { fingerprintOf } from "../../core/fingerprint.js";
import { ErrorReason } from "../../gen/tercet/v1/error.js";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";

const { CHANGE_STANDARD_MANUAL: MANUAL, CHANGE_STANDARD_SERVER: SERVER } = ChangeStandard;
const LIMITS = { items: 10, bytes: 10_000 };

/** A memory replica that is watched, with a clock that stands still. */
function start(): {
  verdicts: Verdicts;
  store: ReplicaStore;
  put: typeof put;
  sequence: typeof sequence;
  apply: typeof apply;
} {
  const verdicts = createVerdicts(createMemoryReplica({ collection: "c" }));
  const { store } = verdicts;
  function put(id: string, content: string) {
    return verdicts.write([upsert(id, content)], 1000);
  }
  const sequence = (id: string): number => store.lookup([id])[0]?.sequence ?? 0;
  const apply = (...actions: Action[]) => store.apply({ actions, nowUs: 2000 });
  return { verdicts, store, put, sequence, apply };
}

function upsert(id: string, content: string) {
  return { id, upsert: { content, fingerprint: fingerprintOf(id, content) } };
}

function take(id: string, sequence: number, content: string, conflict: ChangeStandard | undefined): Action {
  return { kind: "take", ...upsert(id, content), sequence, revision: 9, modifyTimeUs: 5, conflict };
}

function held(id: string, sequence: number, content: string): Action {
  const base = { fingerprint: fingerprintOf(id, content), revision: 4, modifyTimeUs: 3 };
  return { kind: "rebase", id, sequence, base, content, overrides: undefined, held: true };
}

describe("the verdict on a local change", () => {
  it("is applied, with the revision, before and after it is asked for", async () => {
    const { put, sequence, apply } = start();
    const change = put("a", "1");
    const waits = change.verdict("a");
    const fingerprint = fingerprintOf("a", "1");
    apply({ kind: "settle", id: "a", sequence: sequence("a"), fingerprint, revision: 7 });
    expect(await waits).toEqual({ outcome: "applied", revision: 7 });
    expect(await change.verdict("a")).toEqual({ outcome: "applied", revision: 7 });
  });

  it("is already where both sides made the same of it, and where there was nothing to do", async () => {
    const { put, sequence, apply } = start();
    const change = put("a", "1");
    apply({ kind: "agree", id: "a", sequence: sequence("a"), revision: 3 });
    expect(await change.verdict("a")).toEqual({ outcome: "already", revision: 3 });
    expect(await put("a", "1").verdict("a")).toMatchObject({ outcome: "already" });
  });

  it("gave way, with the number of its record, whatever else gave way in the same transaction", async () => {
    const { store, put, sequence, apply } = start();
    store.write([upsert("b", "mine")], 1000);
    const change = put("a", "mine");
    const { conflicts } = apply(take("b", sequence("b"), "theirs", SERVER), take("a", sequence("a"), "theirs", SERVER));
    expect(conflicts).toHaveLength(2);
    const verdict = await change.verdict("a");
    expect(verdict.outcome).toBe("gave-way");
    expect(store.getConflict("conflict" in verdict ? verdict.conflict : 0)).toMatchObject({ id: "a", content: "mine" });
  });

  it("is held, and after it is resolved another one", async () => {
    for (const [how, outcome] of [
      ["mine", "applied"],
      ["theirs", "gave-way"],
      [{ merged: upsert("a", "both").upsert }, "gave-way"],
    ] as const) {
      const { store, put, sequence, apply } = start();
      const change = put("a", "mine");
      apply(held("a", sequence("a"), "theirs"));
      expect(await change.verdict("a")).toEqual({ outcome: "held" });
      store.resolveHeld("a", how, 3000);
      const next = change.verdict("a");
      const fingerprint = fingerprintOf("a", "mine");
      apply({ kind: "settle", id: "a", sequence: sequence("a"), fingerprint, revision: 8 });
      expect(await next).toMatchObject({ outcome });
    }
  });

  it("is rejected until another one comes; and nothing is said of what was stale", async () => {
    const { put, sequence, apply } = start();
    const change = put("a", "1");
    const fingerprint = fingerprintOf("a", "1");
    const { stale } = apply(take("a", sequence("a") + 5, "theirs", SERVER));
    expect(stale).toEqual(["a"]);
    const reason = ErrorReason.ERROR_REASON_ITEM_TOO_LARGE;
    apply({ kind: "reject", id: "a", sequence: sequence("a"), reason, message: "too large", resent: false });
    expect(await change.verdict("a")).toEqual({ outcome: "rejected", reason: "ITEM_TOO_LARGE", message: "too large" });
    apply({ kind: "settle", id: "a", sequence: sequence("a"), fingerprint, revision: 2 });
    expect(await change.verdict("a")).toEqual({ outcome: "applied", revision: 2 });
  });

  it("is superseded by a later write, by what returns to the base, and by a record that is restored", async () => {
    const { store, put, sequence, apply } = start();
    const first = put("a", "1");
    const second = put("a", "2");
    expect(await first.verdict("a")).toEqual({ outcome: "superseded" });
    store.write([{ id: "a", upsert: undefined }], 1000);
    expect(await second.verdict("a")).toEqual({ outcome: "superseded" });
    put("b", "mine");
    const { conflicts } = apply(take("b", sequence("b"), "theirs", SERVER));
    const third = put("b", "again");
    store.settleConflict(conflicts[0] as number, true, 1000);
    expect(await third.verdict("b")).toEqual({ outcome: "superseded" });
  });

  it("follows a change whose group gets new sequence numbers", async () => {
    const { verdicts, sequence, apply } = start();
    const group = verdicts.write([upsert("a", "1"), upsert("b", "1")], 1000, LIMITS);
    const before = sequence("a");
    verdicts.write([upsert("b", "2")], 1000, LIMITS);
    expect(sequence("a")).toBeGreaterThan(before);
    expect(await group.verdict("b")).toEqual({ outcome: "superseded" });
    const fingerprint = fingerprintOf("a", "1");
    apply({ kind: "settle", id: "a", sequence: sequence("a"), fingerprint, revision: 7 });
    expect(await group.verdict("a")).toEqual({ outcome: "applied", revision: 7 });
  });

  it("can be asked for of what is pending already, by several", async () => {
    const { verdicts, store, put, sequence, apply } = start();
    expect(verdicts.follow("a")).toBeUndefined();
    const change = put("a", "1");
    const same = put("a", "1");
    const other = verdicts.follow("a");
    const waits = [change, same, other].map((each) => each?.verdict("a"));
    const fingerprint = fingerprintOf("a", "1");
    apply({ kind: "settle", id: "a", sequence: sequence("a"), fingerprint, revision: 7 });
    for (const wait of waits) expect(await wait).toEqual({ outcome: "applied", revision: 7 });
    store.write([upsert("b", "1")], 1000);
    apply(held("b", sequence("b"), "theirs"));
    expect(await verdicts.follow("b")?.verdict("b")).toEqual({ outcome: "held" });
    expect(MANUAL).toBeGreaterThan(0);
  });

  it("can be waited for with a signal, a deadline, and up to the end of the replica", async () => {
    const { verdicts, put } = start();
    const change = put("a", "1");
    const stop = new AbortController();
    const aborted = change.verdict("a", { signal: stop.signal });
    stop.abort();
    await expect(aborted).rejects.toMatchObject({ code: "CANCELLED" });
    await expect(change.verdict("a", { timeoutMs: 1 })).rejects.toMatchObject({ code: "DEADLINE_EXCEEDED" });
    await expect(change.verdict("a", { timeoutMs: 0 })).rejects.toMatchObject({ reason: "INVALID_FIELD" });
    const waits = change.verdict("a");
    verdicts.close(new Error("closed"));
    await expect(waits).rejects.toThrow("closed");
    await expect(change.verdict("a")).rejects.toThrow("closed");
  });
});
