import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import type { Json } from "../../scripts/vectors/json-text.js";
import { protoFromJson } from "../../scripts/vectors/proto-json.js";
import { readVectors } from "../conformance/read.js";
import { sumOf } from "../rpc/build.js";

const root = fileURLToPath(new URL("../../", import.meta.url));
const page = readFileSync(join(root, "docs", "protocol.md"), "utf8");

interface Transcript {
  readonly exchanges: readonly { readonly messages: readonly { readonly from: string; readonly message?: Json }[] }[];
}

/** The bytes of a block: of each line what is before its explanation. */
function bytesOf(block: string): string {
  return block
    .split("\n")
    .map((line) => {
      const words = line.trim().split(/\s+/);
      const end = words.findIndex((word) => !/^([0-9a-f]{2})+$/.test(word));
      return words.slice(0, end < 0 ? undefined : end).join("");
    })
    .join("");
}

describe("docs/protocol.md", () => {
  const { messages } = readVectors<Transcript>("exchanges/recovery-lost-checkpoint.json").exchanges[0] ?? {
    messages: [],
  };
  const blocks = [...page.matchAll(/<!-- message (\d+) -->\n```text\n([\s\S]*?)```/g)];

  it("shows the messages of a recovery", () => {
    expect(blocks.map(([, number]) => Number(number))).toEqual([1, 2, 4, 5, 6]);
  });

  it.each(blocks.map(([, number, block]) => [Number(number), block ?? ""] as const))(
    "has message %i of the transcript, byte by byte",
    (number, block) => {
      const { from, message } = messages[number] ?? { from: "" };
      const type = from === "client" ? "ExchangeRequest" : "ExchangeResponse";
      const bytes = protoFromJson(type, message ?? {});
      expect(bytesOf(block)).toBe(Buffer.from(bytes).toString("hex"));
    },
  );

  it("says how the example ends", () => {
    const end = messages.at(-3)?.message as
      | { readonly page?: { readonly proof: { readonly sum: string } } }
      | undefined;
    expect(page).toContain(Buffer.from(end?.page?.proof.sum ?? "none", "base64").toString("hex"));
    const sizes = messages.map(({ from, message }) => {
      const type = from === "client" ? "ExchangeRequest" : "ExchangeResponse";
      return message === undefined ? 0 : protoFromJson(type, message).length;
    });
    const bytes = sizes.reduce((sum, size) => sum + size, 0);
    expect(page).toContain(`Three round trips and ${bytes} bytes of messages`);
  });

  it("has fingerprints that are right", () => {
    const rows = [...page.matchAll(/^\| `(.)` \| (?:`(.)`|\(empty\)) \| `([0-9a-f]{64})` \|$/gm)];
    expect(rows).toHaveLength(3);
    for (const [, id = "", content = "", fingerprint] of rows) {
      expect(createHash("sha256").update(`${id}\0${content}`).digest("hex")).toBe(fingerprint);
    }
    const items = Object.fromEntries(rows.map(([, id = "", content = ""]) => [id, content]));
    const { count, sum } = sumOf(items);
    expect(page).toContain(`| count ${count} | sum | \`${Buffer.from(sum).toString("hex")}\` |`);
  });
});

describe.each(["README.md", "docs/protocol.md", "docs/compatibility.md", "proto/README.md"])("links of %s", (name) => {
  const text = readFileSync(join(root, name), "utf8");
  const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = ""]) => target);

  it("lead to files that are there", () => {
    const files = links.filter((target) => !/^https?:|^#/.test(target)).map((target) => target.replace(/#.*$/, ""));
    const missing = files.filter((target) => !existsSync(join(root, dirname(name), target)));
    // The kit's page comes with the kit.
    expect(missing.filter((target) => !target.endsWith("test/conformance/README.md"))).toEqual([]);
  });

  it("lead to headings that are there", () => {
    const headings = [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) => {
      return heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, "")
        .replaceAll(" ", "-");
    });
    for (const target of links.filter((each) => each.startsWith("#"))) expect(headings).toContain(target.slice(1));
  });
});
