import { Metadata, status } from "@grpc/grpc-js";
import { ErrorReason, type Fault, reasonName } from "../../../core/fault.js";
import type { Case } from "../case.js";
import { same, sameSet } from "../expect.js";
import { COLLECTION, type Place, refused } from "../place.js";

const R = ErrorReason;

/** What a server refuses with, and how a client is to tell it. */
const REFUSALS: readonly (readonly [name: string, fault: Fault, code: string])[] = [
  ["going-away", { reason: R.ERROR_REASON_GOING_AWAY, message: "later", retryAfterMs: 1500 }, "UNAVAILABLE"],
  [
    "storage-failed",
    { reason: R.ERROR_REASON_STORAGE_FAILED, message: "busy", retryAfterMs: 250, metadata: { storage: "busy" } },
    "UNAVAILABLE",
  ],
  [
    "storage-full",
    { reason: R.ERROR_REASON_STORAGE_FAILED, message: "full", metadata: { storage: "full" } },
    "RESOURCE_EXHAUSTED",
  ],
  [
    "storage-damaged",
    { reason: R.ERROR_REASON_STORAGE_FAILED, message: "bad", metadata: { storage: "damaged" } },
    "DATA_LOSS",
  ],
  ["internal", { reason: R.ERROR_REASON_INTERNAL, message: "a fault" }, "INTERNAL"],
  ["window-exceeded", { reason: R.ERROR_REASON_WINDOW_EXCEEDED, message: "too much" }, "RESOURCE_EXHAUSTED"],
  ["token-malformed", field(R.ERROR_REASON_TOKEN_MALFORMED, "open.token"), "INVALID_ARGUMENT"],
  ["token-foreign", { reason: R.ERROR_REASON_TOKEN_FOREIGN, message: "another's" }, "FAILED_PRECONDITION"],
  ["unsupported", { reason: R.ERROR_REASON_UNSUPPORTED, message: "not here" }, "UNIMPLEMENTED"],
  ["invalid-field", field(R.ERROR_REASON_INVALID_FIELD, "open.limits.window_bytes"), "INVALID_ARGUMENT"],
  ["invalid-collection-name", field(R.ERROR_REASON_INVALID_COLLECTION_NAME, "open.collection"), "INVALID_ARGUMENT"],
  ["unknown-standard", field(R.ERROR_REASON_UNKNOWN_STANDARD, "open.standard"), "INVALID_ARGUMENT"],
];

/** Statuses that are none of Tercet's: from proxies, and from servers that are something else. */
const STATUSES: readonly (readonly [name: string, code: number, text: string])[] = [
  ["permission-denied", status.PERMISSION_DENIED, "PERMISSION_DENIED"],
  ["unauthenticated", status.UNAUTHENTICATED, "UNAUTHENTICATED"],
  ["unimplemented", status.UNIMPLEMENTED, "UNIMPLEMENTED"],
  ["resource-exhausted", status.RESOURCE_EXHAUSTED, "RESOURCE_EXHAUSTED"],
  ["unavailable", status.UNAVAILABLE, "UNAVAILABLE"],
  ["aborted", status.ABORTED, "ABORTED"],
];

/** Errors with their details. */
export const errorCases: readonly Case[] = [
  ...REFUSALS.flatMap(([name, fault, code]): Case[] => [
    { name: `errors/refused-at-once/${name}`, run: (place) => refusedAtOnce(place, fault, code) },
  ]),
  ...STATUSES.map(([name, code, text]): Case => {
    return { name: `errors/without-details/${name}`, run: (place) => withoutDetails(place, code, text) };
  }),
  { name: "errors/details-that-are-garbage", run: garbage },
  {
    name: "errors/collection-not-found",
    async run(place) {
      const replica = await place.replica();
      await replica.put("a", "1");
      await refused(place.sync(replica), { code: "NOT_FOUND", reason: "COLLECTION_NOT_FOUND" });
      sameSet(
        "pending",
        (await replica.pending()).map(({ id }) => id),
        ["a"],
      );
      same("report", await place.sync(replica, { create: true }), { sent: 1, verified: true });
    },
  },
  {
    name: "errors/create-finds-the-collection-there",
    async run(place) {
      const replica = await place.equal({ a: "1" });
      same("report", await place.sync(replica, { create: true }), { received: 0, sent: 0, verified: true });
    },
  },
  {
    name: "errors/nobody-listens",
    async run(place) {
      const replica = await place.equal({ a: "1" });
      await replica.put("a", "2");
      const nobody = await place.fake(() => Promise.resolve());
      await nobody.stop();
      await refused(replica.sync({ server: nobody.address }), { code: "UNAVAILABLE", reason: "" });
      same("report", await place.sync(replica), { sent: 1, verified: true });
    },
  },
  {
    name: "errors/silent-server-and-a-deadline",
    async run(place) {
      const replica = await place.equal({ a: "1" });
      await replica.put("a", "2");
      const silent = await place.fake((end) => end.over);
      await refused(replica.sync({ server: silent.address, timeout_ms: 300 }), { code: "DEADLINE_EXCEEDED" });
      same("report", await place.sync(replica), { sent: 1, verified: true });
    },
  },
  {
    name: "errors/replica-of-another-server",
    async run(place) {
      const replica = await place.equal({ a: "1" });
      const { api } = await place.server();
      await api.createCollection("others");
      const relay = await place.relay({
        up(message) {
          if (message.$case !== "open") return undefined;
          message.value.collection = "others";
          return { instead: [message] };
        },
      });
      const exchange = replica.sync({ server: relay.address });
      await refused(exchange, { code: "FAILED_PRECONDITION", reason: "TOKEN_FOREIGN" });
      same("items", (await replica.list()).length, 1);
    },
  },
  {
    name: "errors/an-error-leaves-everything-as-it-was",
    async run(place) {
      const replica = await place.equal({ a: "1", b: "1" });
      await replica.change({ a: "2", b: null, c: "1" });
      const before = [await replica.list(), await replica.pending(), await replica.status()];
      const fake = await place.fake(async (end) => {
        await end.receive();
        end.refuse({ reason: R.ERROR_REASON_INTERNAL, message: "a fault" });
      });
      await refused(replica.sync({ server: fake.address }), { code: "INTERNAL", reason: "INTERNAL" });
      same("the replica", [await replica.list(), await replica.pending(), await replica.status()], before);
      same("collection", (await (await place.server()).api.getCollection(COLLECTION)).fingerprint?.count, 2);
    },
  },
];

function field(reason: ErrorReason, name: string): Fault {
  return { reason, message: `${name}: no good`, fields: [{ field: name, description: "no good" }] };
}

async function refusedAtOnce(place: Place, fault: Fault, code: string): Promise<void> {
  const replica = await place.replica();
  await replica.put("a", "1");
  const fake = await place.fake(async (end) => {
    await end.receive();
    end.refuse(fault);
  });
  const fields = (fault.fields ?? []).map((each) => each.field);
  const expected = { code, reason: reasonName(fault.reason), fields };
  const told = await refused(replica.sync({ server: fake.address, create: true }), expected);
  same("retry_after_ms", told.retryAfterMs, fault.retryAfterMs);
  sameSet(
    "pending",
    (await replica.pending()).map(({ id }) => id),
    ["a"],
  );
}

async function withoutDetails(place: Place, code: number, text: string): Promise<void> {
  const replica = await place.replica();
  const fake = await place.fake(async (end) => {
    await end.receive();
    end.fail({ code, details: "no details" });
  });
  await refused(replica.sync({ server: fake.address }), { code: text, reason: "", fields: [] });
}

/** Details that can't be read are left aside. */
async function garbage(place: Place): Promise<void> {
  const replica = await place.replica();
  const metadata = new Metadata();
  metadata.set("grpc-status-details-bin", Buffer.from([0xff, 0xff, 0xff, 0x01, 0x02]));
  const fake = await place.fake(async (end) => {
    await end.receive();
    end.fail({ code: status.PERMISSION_DENIED, details: "no", metadata });
  });
  await refused(replica.sync({ server: fake.address }), { code: "PERMISSION_DENIED", reason: "" });
}
