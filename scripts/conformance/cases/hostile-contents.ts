import type { Fate } from "../relay.js";
import type { ServerMessage } from "../stream-server.js";
import {
  before,
  FINE,
  flipped,
  type Hostile,
  inEvery,
  type Lie,
  OUT_OF_ORDER,
  once,
  spoilChange,
  spoilContent,
  UNSUPPORTED,
  UNVERIFIED,
  unasked,
} from "./lies.js";

/** Contents that are not what they should be. */
export const contentLies: readonly Hostile[] = [
  { name: "inline-content-wrong-once", lie: once("page", spoilContent), end: FINE },
  {
    name: "inline-content-wrong-always",
    lie: (message, told) => inEvery("page", spoilContent)(message, told) ?? spoilFetched(message),
    end: UNVERIFIED,
  },
  {
    name: "page-fingerprint-wrong",
    lie: once("page", (page) => {
      if (page.fingerprint === undefined) return false;
      page.fingerprint.sum = flipped(page.fingerprint.sum);
      return true;
    }),
    end: FINE,
  },
  {
    name: "page-fingerprint-with-a-wrong-count",
    lie: once("page", (page) => {
      if (page.fingerprint === undefined) return false;
      page.fingerprint.count += 1;
      return true;
    }),
    end: FINE,
  },
  {
    name: "page-fingerprint-missing",
    lie: once("page", (page) => {
      if (page.fingerprint === undefined) return false;
      page.fingerprint = undefined;
      return true;
    }),
    end: FINE,
  },
  { name: "fetched-content-wrong-once", lie: fetchedLie(1), end: FINE, fetched: true },
  { name: "fetched-content-wrong-always", lie: fetchedLie(Number.POSITIVE_INFINITY), end: UNVERIFIED, fetched: true },
  {
    name: "fetched-content-of-another-item",
    lie: once("contents", (value) => {
      for (const item of value.items) item.id = "z";
      return value.items.length > 0;
    }),
    end: OUT_OF_ORDER,
    fetched: true,
  },
  { name: "contents-that-nobody-asked-for", lie: before("page", unasked("a", "false")), end: OUT_OF_ORDER },
  {
    name: "chunk-that-nobody-asked-for",
    lie: before("page", {
      $case: "chunk",
      value: {
        uploadId: Buffer.alloc(0),
        id: "a",
        revision: 3,
        offset: 0,
        data: Buffer.from("false"),
        size: 5,
        text: true,
        fingerprint: undefined,
        modifyTimeUs: 1,
      },
    }),
    end: OUT_OF_ORDER,
  },
];

/** A content that was fetched, spoilt. */
function spoilFetched(message: ServerMessage): Fate<ServerMessage> {
  if (message.$case !== "contents") return undefined;
  for (const item of message.value.items) item.content = { $case: "text", value: "false" };
  return { instead: [message] };
}

function fetchedLie(times: number): Lie {
  return inEvery(
    "contents",
    (value) => {
      for (const item of value.items) item.content = { $case: "text", value: "false" };
      return value.items.length > 0;
    },
    times,
  );
}

/** Changes that can't be taken. */
export const changeLies: readonly Hostile[] = [
  {
    name: "unknown-kind",
    lie: inEvery("page", (page) => spoilChange(page, (info) => Object.assign(info, { kind: 9 }))),
    end: UNSUPPORTED,
  },
  {
    name: "kind-unspecified",
    lie: inEvery("page", (page) => spoilChange(page, (info) => Object.assign(info, { kind: 0 }))),
    end: UNSUPPORTED,
  },
  {
    name: "unknown-algorithm",
    fetched: true,
    lie: inEvery("page", (page) =>
      spoilChange(page, (info) => {
        if (info.fingerprint !== undefined) Object.assign(info.fingerprint, { algorithm: 9 });
      }),
    ),
    end: UNSUPPORTED,
  },
  {
    name: "fingerprint-of-31-bytes",
    fetched: true,
    lie: inEvery("page", (page) =>
      spoilChange(page, (info) => {
        if (info.fingerprint !== undefined) info.fingerprint.value = info.fingerprint.value.subarray(1);
      }),
    ),
    end: "error",
  },
  {
    name: "fingerprint-missing",
    fetched: true,
    lie: inEvery("page", (page) =>
      spoilChange(page, (info) => {
        info.fingerprint = undefined;
      }),
    ),
    end: "error",
  },
  {
    name: "empty-id",
    lie: inEvery("page", (page) =>
      spoilChange(page, (info) => {
        info.id = "";
      }),
    ),
    end: "either",
  },
  {
    name: "unknown-standard",
    lie: inEvery("opened", (opened) => {
      Object.assign(opened, { standard: 9 });
      return true;
    }),
    end: UNSUPPORTED,
  },
];
