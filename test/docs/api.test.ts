import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { create, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import * as client from "../../client/index.js";
import { buildDescriptorSet } from "../../scripts/docs/descriptor-set.js";
import { buildLibraryPages } from "../../scripts/docs/library.js";
import { protoPages } from "../../scripts/docs/proto-page.js";
import * as server from "../../server/index.js";

const root = fileURLToPath(new URL("../../", import.meta.url));
/** What a registry has to be asked for is asked for where everything has to be there. */
const installed = existsSync(join(root, "scripts", "docs", "tools", "node_modules", ".package-lock.json"));
const leftOut = !installed && process.env["CI"] === undefined;

describe("the page of the contract", () => {
  it("has a text for every element, and a place for every type that it links to", async () => {
    const { text, undocumented } = protoPages(await buildDescriptorSet(root), "tercet.v1");
    expect(undocumented).toEqual([]);
    const headings = [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
      heading?.toLowerCase().replace(/[^\w -]/g, ""),
    );
    const links = [...text.matchAll(/\]\(#([^)]*)\)/g)].map(([, target]) => target);
    expect(links.length).toBeGreaterThan(100);
    for (const target of links) expect(headings).toContain(target);
    expect(new Set(headings).size).toBe(headings.length);
    for (const file of ["item", "item_service", "sync", "sync_service", "collection", "collection_service", "error"]) {
      expect(text).toContain(`## tercet/v1/${file}.proto`);
    }
    expect(text.match(/`content` \| oneof, of the next/g)?.length).toBeGreaterThan(3);
    expect(text).toContain("| 1 | `token` | bytes | Opaque: send it back as it came");
  });

  it("names what has no text", () => {
    const message = {
      name: "M",
      field: [{ name: "f", number: 1, type: 9, oneofIndex: 0 }],
      oneofDecl: [{ name: "o" }],
    };
    const service = { name: "S", method: [{ name: "Call", inputType: ".p.M", outputType: ".p.M" }] };
    const file = { name: "p.proto", package: "p", messageType: [message], service: [service] };
    const set = create(FileDescriptorSetSchema, {
      file: [{ ...file, enumType: [{ name: "E", value: [{ name: "V", number: 0 }] }] }],
    });
    const { undocumented } = protoPages(toBinary(FileDescriptorSetSchema, set), "p");
    expect([...undocumented].sort()).toEqual(["E", "M", "M.f", "M.o", "S", "S.Call", "V", "p.proto"].sort());
  });
});

const name = `the pages of the library${leftOut ? ": left out, until npm run docs has installed typedoc" : ""}`;
describe(name, () => {
  it.skipIf(leftOut)(
    "are built, and every export has a text",
    async () => {
      const out = mkdtempSync(join(tmpdir(), "tercet-typedoc-"));
      try {
        // It ends with an error where an export has no text.
        await buildLibraryPages(root, out);
        for (const [side, exported] of Object.entries({ client, server })) {
          const page = readFileSync(join(out, "modules", `${side}.html`), "utf8");
          for (const each of Object.keys(exported)) expect(page).toContain(each);
        }
      } finally {
        rmSync(out, { recursive: true, force: true });
      }
    },
    300_000,
  );
});
