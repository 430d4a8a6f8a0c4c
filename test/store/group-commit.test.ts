import { describe, expect, it } from "vitest";
import { createGroupCommit } from "../../server/store/group-commit.js";
import { createMemoryStore } from "../../server/store/memory.js";
import type { Store } from "../../server/store/store.js";
import type { WriteBatch } from "../../server/store/write-batch.js";
import { batchOf, bytesOf, createCollection, EPOCH, put } from "./build.js";

/** A memory store that notes how many batches each of its transactions has, and turns of the event loop run by hand. */
async function setUp(mode: "sync" | "async") {
  const memory = createMemoryStore({ epoch: EPOCH });
  await createCollection(memory);
  const transactions: number[] = [];
  let broken = false;
  const write: Store["write"] = (batches) => {
    transactions.push(batches.length);
    const attempt = () => {
      if (broken) throw new Error("disk full");
      return memory.write(batches);
    };
    return mode === "sync" ? attempt() : Promise.resolve().then(attempt);
  };
  const turns: (() => void)[] = [];
  const commit = createGroupCommit({ write }, (flush) => turns.push(flush));
  return {
    memory,
    transactions,
    commit,
    turns,
    turn() {
      turns.shift()?.();
    },
    fail(next: boolean) {
      broken = next;
    },
  };
}

function failing(requestId: string): WriteBatch {
  const answer = (): Uint8Array => {
    throw new Error(`no answer to ${requestId}`);
  };
  return batchOf([put(requestId, "1")], { remember: { requestId, digest: bytesOf(32, 1), answer } });
}

describe.each(["sync", "async"] as const)("group commit over a store that is %s", (mode) => {
  it("commits in one transaction what arrives in one turn, in order", async () => {
    const { commit, transactions, turns, turn } = await setUp(mode);
    const written = [
      commit.write(batchOf([put("a", "1")])),
      commit.write(batchOf([put("a", "2"), put("b", "1")])),
      commit.write(batchOf([put("a", "1")], { uid: bytesOf(16, 99) })),
    ];
    expect(transactions).toEqual([]);
    expect(turns).toHaveLength(1);
    turn();
    expect((await Promise.all(written)).map((one) => one?.revision)).toEqual([1, 3, undefined]);
    expect(transactions).toEqual([3]);
    await commit.idle();
    expect(turns).toHaveLength(0);
    const late = commit.write(batchOf([put("c", "1")]));
    turn();
    expect((await late)?.revision).toBe(4);
    expect(transactions).toEqual([3, 1]);
  });

  it("bounds a transaction by writes and by bytes, and takes other turns between", async () => {
    const { commit, transactions, turns, turn } = await setUp(mode);
    const many = (from: number) => batchOf(Array.from({ length: 900 }, (_, index) => put(`${from + index}`, "")));
    const kibibytes = (id: string, count: number) => batchOf([put(id, Buffer.alloc(count * 1024))]);
    const batches = [many(0), many(900), many(1_800), kibibytes("a", 320), kibibytes("b", 256), kibibytes("c", 576)];
    const written = batches.map((batch) => commit.write(batch));
    for (const [index, until] of [2, 4, 5, 6].entries()) {
      expect(transactions).toHaveLength(index);
      expect(turns).toHaveLength(1);
      turn();
      await written[until - 1];
      // The next turn is asked for once the transaction is done.
      await new Promise(setImmediate);
    }
    expect(transactions).toEqual([2, 2, 1, 1]);
    const revisions = (await Promise.all(written)).map((one) => one?.revision);
    expect(revisions).toEqual([900, 1_800, 2_700, 2_701, 2_702, 2_703]);
    await commit.idle();
  });

  it("fails only the batch that fails", async () => {
    const { commit, transactions, turn } = await setUp(mode);
    const written = Promise.allSettled([
      commit.write(batchOf([put("a", "1")])),
      commit.write(failing("bad")),
      commit.write(batchOf([put("b", "1")])),
    ]);
    turn();
    const [a, bad, b] = await written;
    expect(a).toMatchObject({ status: "fulfilled", value: { revision: 1 } });
    expect(bad).toMatchObject({ status: "rejected", reason: new Error("no answer to bad") });
    expect(b).toMatchObject({ status: "fulfilled", value: { revision: 2 } });
    expect(transactions).toEqual([3, 1, 1, 1]);
  });

  it("rejects where the storage fails, and goes on", async () => {
    const { commit, turn, fail, memory } = await setUp(mode);
    fail(true);
    const written = Promise.allSettled([
      commit.write(batchOf([put("a", "1")])),
      commit.write(batchOf([put("b", "1")])),
    ]);
    turn();
    expect((await written).map((one) => one.status)).toEqual(["rejected", "rejected"]);
    expect(memory.getCollection("c")).toMatchObject({ revision: 0 });
    await commit.idle();
    fail(false);
    const again = commit.write(batchOf([put("a", "1")]));
    turn();
    expect((await again)?.revision).toBe(1);
  });

  it("is idle at once with nothing to do, and otherwise only after the last commit", async () => {
    const { commit, turn } = await setUp(mode);
    await commit.idle();
    const order: string[] = [];
    const written = commit.write(batchOf([put("a", "1")])).then(() => order.push("written"));
    const idle = commit.idle().then(() => order.push("idle"));
    turn();
    await Promise.all([written, idle]);
    expect(order).toEqual(["written", "idle"]);
  });
});

it("flushes by itself", async () => {
  const store = createMemoryStore({ epoch: EPOCH });
  await createCollection(store);
  const commit = createGroupCommit(store);
  expect((await commit.write(batchOf([put("a", "1")])))?.revision).toBe(1);
  await commit.idle();
});
