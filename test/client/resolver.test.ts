import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Replica, ResolverAnswer } from "../../client/index.js";
import { type Place, refusal, startPlace } from "./harness.js";

describe("a resolver of the application", () => {
  let place: Place;
  let mine: Replica;
  beforeEach(async () => {
    place = await startPlace();
    mine = place.replica("mine");
    const theirs = place.replica("theirs");
    mine.put("x", "base");
    await mine.sync({ server: place.server, create: true });
    await theirs.sync({ server: place.server });
    mine.put("x", "mine");
    theirs.put("x", "theirs");
    await theirs.sync({ server: place.server });
  });
  afterEach(() => place.stop());

  it.each([{ content: "both", deleted: false }, { content: "both", deleted: undefined }, { content: "both" }])(
    "%o is a content",
    async (answer) => {
      await mine.sync({ server: place.server, resolver: () => answer as ResolverAnswer });
      expect(mine.get("x")?.content).toBe("both");
    },
  );

  it.each([{ deleted: true }, { deleted: true, content: undefined }])("%o is a deletion", async (answer) => {
    await mine.sync({ server: place.server, resolver: () => answer as ResolverAnswer });
    expect(mine.get("x")).toBeUndefined();
  });

  it.each([null, undefined, 5, "MINE", {}, { deleted: false }, { deleted: 1 }, { content: "both", deleted: true }])(
    "%o is refused, and nothing is changed",
    async (answer) => {
      const told = await refusal(() => mine.sync({ server: place.server, resolver: () => answer as never }));
      expect(told).toMatchObject({ code: "INVALID_ARGUMENT", reason: "INVALID_FIELD", fields: ["resolver"] });
      expect([mine.get("x")?.content, mine.status().pending]).toEqual(["mine", 1]);
    },
  );

  it("one that throws nothing is not taken for a failure of the file", async () => {
    const syncing = mine.sync({ server: place.server, resolver: () => Promise.reject(undefined) });
    await expect(syncing).rejects.toThrow("the resolver failed, without saying why");
  });

  it("decides where the collection binds a standard, too", async () => {
    const report = await mine.sync({ server: place.server, standard: "SERVER", resolver: () => "mine" });
    expect(report.conflicts).toMatchObject([{ id: "x", prevailed: "mine" }]);
  });
});

describe("a transaction that is over", () => {
  let place: Place;
  beforeEach(async () => {
    place = await startPlace();
  });
  afterEach(() => place.stop());

  it("takes no more changes", async () => {
    const replica = place.replica();
    const used = replica.transaction((transaction) => {
      transaction.put("in", "1");
      return { transaction };
    });
    for (const late of [
      () => used.transaction.put("late", "1"),
      () => used.transaction.delete("in"),
      () => used.transaction.get("in"),
    ]) {
      expect(await refusal(late)).toMatchObject({ code: "FAILED_PRECONDITION" });
    }
    expect([...replica.list()].map(({ id }) => id)).toEqual(["in"]);
  });

  it("is none where its function answers anything to wait for", async () => {
    const replica = place.replica();
    // biome-ignore lint/suspicious/noThenProperty: that is what it is about.
    const later = { then: () => undefined };
    const told = await refusal(() =>
      replica.transaction((transaction) => {
        transaction.put("x", "1");
        return later;
      }),
    );
    expect(told).toMatchObject({ fields: ["changes"] });
    expect(replica.status().items).toBe(0);
  });
});
