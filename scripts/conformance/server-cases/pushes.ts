import { ErrorReason, reasonName } from "../../../core/fault.js";
import { fingerprintOf, toFingerprint } from "../../../core/fingerprint.js";
import { createRangeSum, toRangeFingerprint, totalOf } from "../../../core/range-sum.js";
import type { ChangeStandard } from "../../../gen/tercet/v1/item.js";
import { Capability, Push, PushBatch, PushOutcome, type Verdict } from "../../../gen/tercet/v1/sync.js";
import { holds, same } from "../expect.js";
import { sameRefusal } from "../refusal.js";
import { pushOf } from "../server-api.js";
import type { ServerCase, ServerPlace } from "../server-place.js";

const CAPABILITIES = [Capability.CAPABILITY_CHUNKS, Capability.CAPABILITY_GROUPS, Capability.CAPABILITY_RECONCILE];
const print = (id: string, content: string) => toFingerprint(fingerprintOf(id, content));
const put = (id: string, content: string, more: Partial<Push> = {}): Push =>
  Push.create({ ...pushOf(id, content), ...more });
const remove = (id: string, more: Partial<Push> = {}): Push => Push.create({ ...pushOf(id, null), ...more });

/** A push that is rejected by itself, and why. */
const BAD: readonly (readonly [name: string, push: Push, reason: string])[] = [
  ["empty-id", put("", "1"), "INVALID_ID"],
  ["id-of-513-bytes", put("x".repeat(513), "1"), "INVALID_ID"],
  ["control-character", put("a\nb", "1"), "INVALID_ID"],
  ["c1-control-character", put("a\u0085b", "1"), "INVALID_ID"],
  ["unknown-kind", put("x", "1", { kind: 9 as 1 }), "UNKNOWN_KIND"],
  ["no-kind", put("x", "1", { kind: 0 }), "UNKNOWN_KIND"],
  ["no-content", put("x", "1", { content: undefined }), "CONTENT_MISSING"],
  ["deletion-with-a-content", remove("x", { content: { $case: "text", value: "1" } }), "CONTENT_MISSING"],
  ["unknown-standard", put("x", "1", { overrides: 9 as ChangeStandard }), "UNKNOWN_STANDARD"],
  [
    "unknown-algorithm",
    put("x", "1", { fingerprint: { algorithm: 9 as 1, value: Buffer.alloc(32) } }),
    "UNKNOWN_ALGORITHM",
  ],
  [
    "fingerprint-of-31-bytes",
    put("x", "1", { fingerprint: { algorithm: 1, value: Buffer.alloc(31) } }),
    "FINGERPRINT_MISMATCH",
  ],
  ["fingerprint-of-another-content", put("x", "1", { fingerprint: print("x", "2") }), "FINGERPRINT_MISMATCH"],
  ["fingerprint-of-another-id", put("x", "1", { fingerprint: print("y", "1") }), "FINGERPRINT_MISMATCH"],
  ["no-fingerprint-at-all", put("x", "1", { fingerprint: undefined }), "FINGERPRINT_MISMATCH"],
  [
    "expected-of-an-unknown-algorithm",
    put("x", "1", { expected: { algorithm: 9 as 1, value: Buffer.alloc(32) } }),
    "UNKNOWN_ALGORITHM",
  ],
  ["negative-time", put("x", "1", { modifyTimeUs: -1 }), "INVALID_FIELD"],
  ["negative-group", put("x", "1", { group: -1 }), "INVALID_FIELD"],
  ["negative-revision-seen", put("x", "1", { revisionSeen: -1 }), "INVALID_FIELD"],
  ["unknown-upload", put("x", "1", { content: undefined, uploadId: Buffer.alloc(16, 1) }), "UPLOAD_INVALID"],
];

/** What becomes of pushes. */
export const pushCases: readonly ServerCase[] = [
  ...BAD.map(([name, push, reason]): ServerCase => {
    return { name: `server/push-rejected/${name}`, run: (place) => rejected(place, push, reason) };
  }),
  {
    name: "server/push-rejected/duplicate-id",
    async run(place) {
      const { verdicts } = await pushed(
        place,
        await place.collection(),
        [put("a", "1"), put("b", "1"), put("a", "2")],
        0,
      );
      same("verdicts", verdicts.map(describe), ["0 REJECTED DUPLICATE_ID", "1 APPLIED", "2 REJECTED DUPLICATE_ID"]);
    },
  },
  {
    name: "server/push/compare-and-set",
    async run(place) {
      const collection = await place.collection();
      await place.api.edit(collection, { a: "1", b: "1", c: "1", d: "1" });
      const seen = (await place.api.getCollection(collection)).revision;
      const { verdicts } = await pushed(
        place,
        collection,
        [
          put("a", "2", { expected: print("a", "1") }),
          put("b", "2", { expected: print("b", "not this") }),
          put("c", "2"),
          put("d", "1", { expected: print("d", "0") }),
          put("e", "1", { expected: print("e", "never") }),
          put("f", "1"),
          remove("none", { expected: print("none", "1") }),
        ],
        seen,
      );
      const outcomes = ["APPLIED", "CONFLICT", "CONFLICT", "ALREADY_APPLIED", "CONFLICT", "APPLIED", "ALREADY_APPLIED"];
      same(
        "verdicts",
        verdicts.map(describe),
        outcomes.map((outcome, at) => `${at} ${outcome}`),
      );
      const conflict = verdicts.find(({ ordinal }) => ordinal === 1);
      same("current of a conflict", conflict?.current, { id: "b", kind: 1, fingerprint: print("b", "1") });
      const items = await place.api.getContents(collection, ["a", "b", "c", "d", "e", "f"]);
      same("items", Object.fromEntries(items), { a: "2", b: "1", c: "1", d: "1", f: "1" });
    },
  },
  {
    name: "server/push/there-and-back-is-a-conflict",
    async run(place) {
      const collection = await place.collection();
      await place.api.edit(collection, { x: "old" });
      const seen = (await place.api.getCollection(collection)).revision;
      await place.api.edit(collection, { x: "away" });
      await place.api.edit(collection, { x: "old" });
      const { verdicts } = await pushed(place, collection, [put("x", "mine", { expected: print("x", "old") })], seen);
      same("verdicts", verdicts.map(describe), ["0 CONFLICT"]);
    },
  },
  {
    name: "server/push/created-and-deleted-there-is-a-conflict",
    async run(place) {
      const collection = await place.collection();
      await place.api.edit(collection, { kept: "1" });
      const seen = (await place.api.getCollection(collection)).revision;
      await place.api.edit(collection, { x: "theirs" });
      await place.api.edit(collection, { x: null });
      const { verdicts } = await pushed(place, collection, [put("x", "mine")], seen);
      same("verdicts", verdicts.map(describe), ["0 CONFLICT"]);
    },
  },
  {
    name: "server/push/without-anything-to-hold-it-against",
    async run(place) {
      const collection = await place.collection();
      const { verdicts } = await pushed(place, collection, [put("x", "1"), put("y", "1")], undefined);
      same("outcomes", [...new Set(verdicts.map(({ outcome }) => outcome))], [PushOutcome.PUSH_OUTCOME_COMPARE_FIRST]);
      same("items", (await place.api.listItems(collection)).size, 0);
    },
  },
  {
    name: "server/push/override-is-recorded",
    async run(place) {
      const collection = await place.collection();
      await place.api.edit(collection, { x: "theirs" });
      const seen = (await place.api.getCollection(collection)).revision;
      const overriding = put("x", "mine", { expected: print("x", "theirs"), overrides: 2 });
      same("verdicts", (await pushed(place, collection, [overriding], seen)).verdicts.map(describe), ["0 APPLIED"]);
      const records = await place.api.conflicts(collection);
      same("records", records, [{ id: "x", kind: 1, standard: 2, content: { value: "theirs" } }]);
    },
  },
  {
    name: "server/push/fence-gives-a-new-revision",
    async run(place) {
      const collection = await place.collection();
      await place.api.edit(collection, { x: "1" });
      const seen = (await place.api.getCollection(collection)).revision;
      const fence = put("x", "1", { expected: print("x", "1"), fence: true });
      const { verdicts } = await pushed(place, collection, [fence], seen);
      holds("a new revision", (verdicts[0]?.revision ?? 0) > seen, verdicts);
      const late = await pushed(place, collection, [put("x", "late", { expected: print("x", "1") })], seen);
      same("the late one", late.verdicts.map(describe), ["0 CONFLICT"]);
    },
  },
  {
    name: "server/push/fingerprints-of-a-batch",
    async run(place) {
      const collection = await place.collection();
      const pushes = [put("a", "1", { fingerprint: undefined }), put("b", "2", { fingerprint: undefined })];
      const sum = createRangeSum();
      for (const [id, content] of [
        ["a", "1"],
        ["b", "2"],
      ] as const)
        sum.add(fingerprintOf(id, content));
      const fingerprint = toRangeFingerprint(totalOf(sum));
      const good = await pushed(place, collection, pushes, 0, { fingerprint });
      same("verdicts", good.verdicts.map(describe), ["0 APPLIED", "1 APPLIED"]);
      fingerprint.count += 1;
      const bad = await pushed(place, collection, pushes, 0, { fingerprint });
      same("verdicts", bad.verdicts.map(describe), [
        "0 REJECTED FINGERPRINT_MISMATCH",
        "1 REJECTED FINGERPRINT_MISMATCH",
      ]);
    },
  },
  ...groupCases(),
  {
    name: "server/push/ordinals-go-on-counting",
    async run(place) {
      const collection = await place.collection();
      const stream = place.stream();
      stream.open({ collection, capabilities: CAPABILITIES });
      for (const id of ["a", "b", "c"]) {
        stream.send({ $case: "push", value: PushBatch.create({ pushes: [put(id, "1")], revisionSeen: 0 }) });
      }
      stream.done();
      await stream.next("opened");
      const { verdicts } = await stream.untilProof();
      same("verdicts", verdicts.flatMap(spread).map(describe), ["0 APPLIED", "1 APPLIED", "2 APPLIED"]);
      stream.end();
      same("status", (await stream.status()).code, 0);
    },
  },
  {
    name: "server/push/more-than-the-window",
    async run(place) {
      const collection = await place.collection();
      const stream = place.stream();
      stream.open({ collection });
      const pushes = Array.from({ length: 40_000 }, () => Push.create());
      for (let at = 0; at < 4; at++) stream.send({ $case: "push", value: PushBatch.create({ pushes }) });
      sameRefusal("refusal", await stream.status(), { code: "RESOURCE_EXHAUSTED", reason: "WINDOW_EXCEEDED" });
    },
  },
];

function groupCases(): ServerCase[] {
  return [
    {
      name: "server/push/group-is-one-revision",
      async run(place) {
        const collection = await place.collection();
        const { verdicts } = await pushed(
          place,
          collection,
          [put("a", "1", { group: 1 }), put("b", "1", { group: 1 })],
          0,
        );
        same("verdicts", verdicts.map(describe), ["0 APPLIED", "1 APPLIED"]);
        same("revision", (await place.api.getCollection(collection)).revision, 1);
      },
    },
    {
      name: "server/push/group-with-a-conflict-is-not-made",
      async run(place) {
        const collection = await place.collection();
        await place.api.edit(collection, { a: "1" });
        const seen = (await place.api.getCollection(collection)).revision;
        const group = [put("a", "2", { group: 1, expected: print("a", "0") }), put("b", "2", { group: 1 })];
        const { verdicts } = await pushed(place, collection, [...group, put("c", "2")], seen);
        same("verdicts", verdicts.map(describe), ["0 CONFLICT", "1 CONFLICT", "2 APPLIED"]);
        same("ids", [...(await place.api.listItems(collection)).keys()], ["a", "c"]);
      },
    },
    {
      name: "server/push/group-with-a-bad-member-is-rejected",
      async run(place) {
        const collection = await place.collection();
        const group = [put("a", "1", { group: 1 }), put("", "1", { group: 1 })];
        const { verdicts } = await pushed(place, collection, [...group, put("c", "1")], 0);
        same(
          "outcomes",
          verdicts.map(({ outcome }) => outcome),
          [5, 5, 1],
        );
        same("ids", [...(await place.api.listItems(collection)).keys()], ["c"]);
      },
    },
    {
      name: "server/push/group-in-parts-is-rejected",
      async run(place) {
        const collection = await place.collection();
        const parts = [put("a", "1", { group: 1 }), put("b", "1"), put("c", "1", { group: 1 })];
        const { verdicts } = await pushed(place, collection, parts, 0);
        const wanted = ["0 REJECTED GROUP_INVALID", "1 APPLIED", "2 REJECTED GROUP_INVALID"];
        same("verdicts", verdicts.map(describe), wanted);
      },
    },
  ];
}

/** Pushes in one exchange, and the verdicts on each of them in order. */
async function pushed(
  place: ServerPlace,
  collection: string,
  pushes: Push[],
  revisionSeen: number | undefined,
  more: Partial<PushBatch> = {},
): Promise<{ readonly verdicts: readonly Verdict[] }> {
  const stream = place.stream();
  stream.open({ collection, capabilities: CAPABILITIES });
  stream.send({ $case: "push", value: { ...PushBatch.create({ pushes, ...more }), revisionSeen } });
  stream.done();
  await stream.next("opened");
  const { verdicts } = await stream.untilProof();
  stream.end();
  same("status", (await stream.status()).code, 0);
  return { verdicts: verdicts.flatMap(spread) };
}

/** One verdict for each push. */
function spread(verdict: Verdict): Verdict[] {
  return Array.from({ length: verdict.count }, (_, at) => {
    return {
      ...verdict,
      ordinal: verdict.ordinal + at,
      count: 1,
      revision: verdict.revision + (verdict.oneRevision ? 0 : at),
    };
  });
}

function describe({ ordinal, outcome, reason }: Verdict): string {
  const name = Object.entries(PushOutcome).find(([, value]) => value === outcome)?.[0] ?? String(outcome);
  const why = reason === ErrorReason.ERROR_REASON_UNSPECIFIED ? "" : ` ${reasonName(reason)}`;
  return `${ordinal} ${name.replace("PUSH_OUTCOME_", "")}${why}`;
}

/** It does not hold up the other, and leaves nothing. */
async function rejected(place: ServerPlace, push: Push, reason: string): Promise<void> {
  const collection = await place.collection();
  const { verdicts } = await pushed(place, collection, [push, put("good", "1")], 0);
  same("verdicts", verdicts.map(describe), [`0 REJECTED ${reason}`, "1 APPLIED"]);
  same("ids", [...(await place.api.listItems(collection)).keys()], ["good"]);
}
