import { fingerprint } from "./independent.js";
import { recordScript } from "./record.js";
import { equalWorld, type Scenario, world } from "./scenario.js";

const GOOD = fingerprint("good", "1").toString("base64");
const OPEN = { open: { collection: "things", client: "vectors" } };

/** What a server does with clients that break the rules: only the client's messages matter. */
export const scriptScenarios: readonly Scenario[] = [
  {
    name: "token-malformed",
    description: "A token that no server made ends the exchange.",
    exchanges() {
      const made = equalWorld({ x: "old" });
      const token = Buffer.from("not a token").toString("base64");
      return [recordScript(made.server, [[{ open: { ...OPEN.open, token } }]])];
    },
  },
  {
    name: "token-damaged",
    description: "A token of this server in which a bit is flipped ends the exchange.",
    exchanges() {
      const made = equalWorld({ x: "old" });
      const token = Buffer.from(made.replica.state().token);
      token[20] = (token[20] ?? 0) ^ 1;
      return [recordScript(made.server, [[{ open: { ...OPEN.open, token: token.toString("base64") } }]])];
    },
  },
  {
    name: "out-of-order-first",
    description: "A client whose first message is not Open.",
    exchanges: () => [recordScript(world().server, [[{ done: {} }]])],
  },
  {
    name: "out-of-order-second-open",
    description: "A client that sends Open twice, after an exchange that was in order so far.",
    exchanges: () => [recordScript(world().server, [[OPEN, { done: {} }], [OPEN]])],
  },
  {
    name: "window-exceeded",
    description:
      "A client that sends far more changes than the window allows, without waiting for a verdict: more than twice window_items and 65,536.",
    exchanges() {
      const open = { open: { ...OPEN.open, limits: { windowItems: "16" } } };
      const push = { push: { pushes: { $repeat: { item: {}, count: 65_569 } } } };
      return [recordScript(world().server, [[open], [push]])];
    },
  },
  {
    name: "bad-pushes",
    description:
      "Pushes that are not acceptable, each in its own way, are rejected by themselves; the good one is made.",
    exchanges() {
      const made = equalWorld({ x: "old" });
      const upserted = { kind: "CHANGE_KIND_UPSERTED", text: "1" };
      const pushes = [
        { id: "", ...upserted },
        { id: "unknown kind", kind: 9, text: "1" },
        { id: "no content", kind: "CHANGE_KIND_UPSERTED" },
        { id: "deletion with content", kind: "CHANGE_KIND_DELETED", text: "1" },
        { id: "unknown standard", ...upserted, overrides: 9 },
        { id: "unknown algorithm", ...upserted, fingerprint: { algorithm: 9, value: "AAAA" } },
        {
          id: "short fingerprint",
          ...upserted,
          fingerprint: { algorithm: "FINGERPRINT_ALGORITHM_SHA256", value: "AAAA" },
        },
        { id: "negative group", ...upserted, group: "-1" },
        { id: "negative time", ...upserted, modifyTimeUs: "-1" },
        { id: "twice", ...upserted },
        { id: "twice", ...upserted },
        { id: "no fingerprint at all", ...upserted },
        {
          id: "good",
          ...upserted,
          fingerprint: { algorithm: "FINGERPRINT_ALGORITHM_SHA256", value: GOOD },
        },
      ];
      return [recordScript(made.server, [[OPEN, { push: { pushes, revisionSeen: "1" } }, { done: {} }]])];
    },
  },
  {
    name: "unknown-messages-ignored",
    description:
      "A message that the server does not know is ignored, and the exchange goes on: here one without any field.",
    exchanges: () => [recordScript(world().server, [[OPEN, {}, { done: {} }]])],
  },
];
