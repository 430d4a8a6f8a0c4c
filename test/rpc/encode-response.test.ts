import { expect, test } from "vitest";
import { fingerprintOf } from "../../core/fingerprint.js";
import { ExchangeResponse } from "../../gen/tercet/v1/sync.js";
import { toColumnsPage } from "../../server/protocol/encode-changes.js";
import { encodeResponse } from "../../server/rpc/encode-response.js";
import type { ChangeColumns } from "../../server/store/change-columns.js";

const STATE = {
  through: 1,
  end: true,
  revision: 1,
  compactedRevision: 0,
  total: { count: 0, sum: Buffer.alloc(32) },
  lineage: [],
};
const REST = { checkpoint: undefined, end: true, proof: undefined };
const FINGERPRINT = fingerprintOf("id", "content");
const COLUMNS: ChangeColumns = {
  count: 1,
  ids: Buffer.from("id\n"),
  idEnds: Uint32Array.of(2),
  contents: Buffer.from("content"),
  contentEnds: Uint32Array.of(7),
  isText: true,
  fingerprints: FINGERPRINT,
  revisions: Float64Array.of(1),
  timesUs: Float64Array.of(5),
};
const CHANGE = {
  id: "id",
  revision: 1,
  fingerprint: FINGERPRINT,
  size: 7,
  modifyTimeUs: 5,
  group: 0,
  content: "content",
};

/** A page of columns; whether somebody has looked at its changes. */
function columnsPage() {
  let looked = false;
  const read = {
    ...STATE,
    get changes() {
      looked = true;
      return [CHANGE];
    },
  };
  const page = toColumnsPage(read, COLUMNS, REST);
  return { page, looked: () => looked };
}

test("a page of columns is encoded without its changes being made one by one", () => {
  const { page, looked } = columnsPage();
  const bytes = encodeResponse({ message: { $case: "page", value: page } });
  expect(looked()).toBe(false);
  const plain = ExchangeResponse.encode({ message: { $case: "page", value: { ...page } } }).finish();
  expect(looked()).toBe(true);
  expect(bytes).toEqual(Buffer.from(plain));
});

test("a page is encoded once for all of its readers", () => {
  const { page } = columnsPage();
  const shared = { $case: "page", value: page } as const;
  expect(encodeResponse({ message: shared })).toBe(encodeResponse({ message: shared }));
  const one = { $case: "page", value: { ...page } } as const;
  expect(encodeResponse({ message: one })).toBe(encodeResponse({ message: one }));
});
