import { describe, expect, test } from "vitest";
import { fingerprintOf } from "../../core/fingerprint.js";
import { ErrorReason } from "../../gen/tercet/v1/error.js";
import { ChangeStandard } from "../../gen/tercet/v1/item.js";
import type { ExchangeRequest, ExchangeResponse } from "../../gen/tercet/v1/sync.js";
import { exchange } from "./pair.js";
import { clean, elsewhere, together } from "./together.js";
import { change, contents, newReplica, newStore, serverContents } from "./world.js";

const SERVER = ChangeStandard.CHANGE_STANDARD_SERVER;

describe("R4 verified content", () => {
  test("a content that is damaged on the way up is rejected by itself and stays pending, marked", () => {
    const store = newStore();
    const replica = newReplica(1);
    change(replica, { good: "good", bad: "bad" });
    const tamperRequest = (message: ExchangeRequest): ExchangeRequest => {
      if (message.message?.$case !== "push") return message;
      for (const push of message.message.value.pushes) {
        push.fingerprint = { algorithm: 1, value: fingerprintOf(push.id, push.content?.value ?? "") };
        if (push.id === "bad") push.content = { $case: "text", value: "damaged" };
      }
      return message;
    };
    const { report, fault } = exchange({ store, replica, tamperRequest });
    expect(fault).toBeUndefined();
    expect(report).toMatchObject({ sent: 1, verified: true });
    expect(report.rejected).toMatchObject([{ id: "bad", reason: ErrorReason.ERROR_REASON_FINGERPRINT_MISMATCH }]);
    expect(serverContents(store)).toEqual({ good: "good" });
    expect(replica.listPending(0, 10)).toMatchObject([{ id: "bad", rejected: { reason: report.rejected[0]?.reason } }]);
    clean(exchange({ store, replica }));
    expect(serverContents(store)).toEqual({ good: "good", bad: "bad" });
    expect(replica.state().rejected).toBe(0);
  });

  test("a batch whose range fingerprint does not agree stores nothing of what it covers", () => {
    const store = newStore();
    const replica = newReplica(1);
    change(replica, { a: "1", b: "2" });
    const tamperRequest = (message: ExchangeRequest): ExchangeRequest => {
      const push = message.message?.$case === "push" ? message.message.value.pushes[0] : undefined;
      if (push !== undefined) push.content = { $case: "text", value: "damaged" };
      return message;
    };
    const { report } = exchange({ store, replica, tamperRequest });
    expect(report.rejectedCount).toBe(2);
    expect(serverContents(store)).toEqual({});
  });

  test("a page that is damaged on the way down is fetched once more", () => {
    const { store } = together({ x: "1", y: "2" });
    const replica = newReplica(2);
    const tamperResponse = (message: ExchangeResponse): ExchangeResponse => {
      const info = message.message?.$case === "page" ? message.message.value.changes[0] : undefined;
      if (info !== undefined) info.content = { $case: "text", value: "damaged" };
      return message;
    };
    clean(exchange({ store, replica, tamperResponse }));
    expect(contents(replica)).toEqual({ x: "1", y: "2" });
  });

  test("a content that stays wrong fails the exchange, names the item, and leaves what was checkpointed", () => {
    const { store, replica } = together({ x: "1" });
    elsewhere(store, { bad: "two" });
    const tamperResponse = (message: ExchangeResponse): ExchangeResponse => {
      if (message.message?.$case !== "contents") return message;
      for (const item of message.message.value.items) item.content = { $case: "text", value: "damaged" };
      return message;
    };
    const outcome = exchange({ store, replica, tamperResponse, clientLimits: { inlineBytes: 1 } });
    expect(outcome.fault).toMatchObject({ reason: ErrorReason.ERROR_REASON_UNVERIFIED, metadata: { id: "bad" } });
    expect(contents(replica)).toEqual({ x: "1" });
    clean(exchange({ store, replica }));
    expect(contents(replica)).toEqual({ x: "1", bad: "two" });
  });
});

describe("R4 for contents that come with a fingerprint", () => {
  test("the content of a conflict's verdict is checked, and fetched once more", () => {
    const { store, replica } = together();
    change(replica, { x: "mine" });
    let wrote = false;
    const outcome = exchange({
      store,
      replica,
      standard: SERVER,
      clientLimits: { eagerBytes: 1 },
      // Another client is faster than the push, and the feed passes it before the push comes.
      tamperRequest(message) {
        if (message.message?.$case === "push" && !wrote) {
          wrote = true;
          elsewhere(store, { x: "theirs" });
        }
        return message;
      },
      tamperResponse(message) {
        const verdicts = message.message?.$case === "verdicts" ? message.message.value.verdicts : [];
        for (const { current } of verdicts)
          if (current !== undefined) current.content = { $case: "text", value: "damaged" };
        return message;
      },
    });
    clean(outcome);
    expect(contents(replica)).toEqual({ x: "theirs" });
  });

  test("a page's content with a fingerprint of its own likewise", () => {
    const { store } = together({ x: "1", y: "2" });
    const replica = newReplica(2);
    const tamperResponse = (message: ExchangeResponse): ExchangeResponse => {
      if (message.message?.$case !== "page") return message;
      for (const info of message.message.value.changes) {
        info.fingerprint = { algorithm: 1, value: fingerprintOf(info.id, info.content?.value ?? "") };
        if (info.id === "x") info.content = { $case: "text", value: "damaged" };
      }
      message.message.value.fingerprint = undefined;
      return message;
    };
    clean(exchange({ store, replica, tamperResponse }));
    expect(contents(replica)).toEqual({ x: "1", y: "2" });
  });
});
