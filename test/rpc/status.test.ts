import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { ErrorReason } from "../../gen/tercet/v1/error.js";
import { toStatus } from "../../server/rpc/status.js";
import { toRefusal } from "./refusal.js";

/** Each reason with the canonical code that the contract names with it: the first word of its comment. */
const contract: { code: string; reason: keyof typeof ErrorReason }[] = [];
let comment: string | undefined;
for (const line of readFileSync(new URL("../../proto/tercet/v1/error.proto", import.meta.url), "utf8").split("\n")) {
  const reason = /^ {2}(ERROR_REASON_[A-Z_]+) = /.exec(line)?.[1];
  if (reason === undefined) comment ??= /^ {2}\/\/ ([A-Z_]+)\b/.exec(line)?.[1];
  else {
    if (comment !== undefined) contract.push({ code: comment, reason: reason as keyof typeof ErrorReason });
    comment = undefined;
  }
}

describe("the status of a fault", () => {
  it("is known for every reason of the contract", () => {
    const reasons = Object.keys(ErrorReason).filter((name) => !/UNSPECIFIED|UNRECOGNIZED/.test(name));
    expect(contract.map(({ reason }) => reason).sort()).toEqual(reasons.sort());
  });

  it.each(contract)("is $code for $reason, as the contract says", ({ code, reason }) => {
    const refusal = toRefusal(toStatus({ reason: ErrorReason[reason], message: "why" }));
    expect(refusal).toMatchObject({ code, reason: reason.replace("ERROR_REASON_", ""), message: "why", fields: [] });
  });

  it("carries fields, facts and when to call again", () => {
    const fields = [{ field: "item.id", description: "must not be empty" }];
    const fault = { reason: ErrorReason.ERROR_REASON_INVALID_ID, message: "why", fields };
    expect(toRefusal(toStatus({ ...fault, metadata: { a: "b" }, retryAfterMs: 1500 }))).toMatchObject({
      fields: ["item.id"],
      metadata: { a: "b" },
      retryMs: 1500,
    });
  });

  it("fits a trailer, and can be written, whatever the message says", () => {
    const long = "ä\ud800".repeat(100_000);
    const fields = Array.from({ length: 100 }, () => ({ field: long, description: long }));
    const reason = ErrorReason.ERROR_REASON_INVALID_ID;
    const { details, metadata } = toStatus({ reason, message: long, fields, metadata: { a: long } });
    const [bytes] = metadata.get("grpc-status-details-bin");
    expect(encodeURI(details).length + Buffer.from(bytes ?? "").toString("base64").length).toBeLessThan(8000);
  });
});
