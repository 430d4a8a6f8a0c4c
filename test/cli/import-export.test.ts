import { readdirSync, writeFileSync } from "node:fs";
import { afterAll, describe, test } from "vitest";
import { type Desk, desk, endDesks, type Json } from "./harness.js";

afterAll(endDesks);

async function contents({ json }: Desk, replica: string): Promise<Record<string, unknown>> {
  const items = await json(["export", "--wrapped", "--replica", replica]);
  return Object.fromEntries(items.map(({ id, text, data }) => [id, text ?? { data }]));
}

async function fingerprints({ json }: Desk, replica: string): Promise<unknown[]> {
  return (await json(["list", "--replica", replica])).map(({ id, fingerprint }) => [id, fingerprint]);
}

function places(error: Json): unknown[] {
  return (error["records"] as Json[]).map(({ line, index, reason }) => [line ?? index, reason]);
}

const INTO_A = ["--replica", "a.replica", "--collection", "c"];

describe.concurrent("import", () => {
  test("NDJSON with a byte order mark, CRLF, blank lines and no last line end", async ({ expect }) => {
    const here = desk();
    writeFileSync(
      here.path("x.ndjson"),
      '\ufeff{"id":"a","n":1}\r\n\r\n   \r\n{"id": "b",\t"s": "x  y\\" z"}\n\n{"id":"c"}',
    );
    expect((await here.run(["import", "x.ndjson", "--id", "id", ...INTO_A])).stdout).toBe("imported 3 items\n");
    expect(await contents(here, "a.replica")).toEqual({
      a: '{"id":"a","n":1}',
      b: '{"id":"b","s":"x  y\\" z"}',
      c: '{"id":"c"}',
    });
  });

  test("a JSON array over many lines, with every digit kept", async ({ expect }) => {
    const here = desk();
    const array = ' [\n {"id": 1, "x": [1.0, {"y": "],{"}]} ,\n {"id": "two", "big": 12345678901234567890} ]\n';
    const ran = await here.run(["import", "-", "--id", "id", ...INTO_A], { input: array });
    expect(ran.stdout).toBe("imported 2 items\n");
    expect(await contents(here, "a.replica")).toEqual({
      1: '{"id":1,"x":[1.0,{"y":"],{"}]}',
      two: '{"id":"two","big":12345678901234567890}',
    });
    writeFileSync(here.path("none.json"), "[ ]");
    expect(await here.one(["import", "none.json", "--id", "id", ...INTO_A])).toMatchObject({ imported: 0 });
  });

  test("nested ids and number ids; a literal name with a dot goes first", async ({ expect }) => {
    const here = desk();
    writeFileSync(here.path("x"), '{"k":{"n":7}}\n{"k.n":"dot","k":{"n":8}}\n');
    await here.run(["import", "x", "--id", "k.n", ...INTO_A]);
    expect(Object.keys(await contents(here, "a.replica"))).toEqual(["7", "dot"]);
  });

  test("an import that fails leaves no replica behind, and does not offer what is of no use", async ({ expect }) => {
    const here = desk();
    const args = ["import", "-", "--id", "id", "--collection", "c", "--replica", "new.replica"];
    const bad = await here.error(args, { input: "{}\n[]\n" });
    expect(bad["message"]).toMatch(/Nothing was imported: no record is good$/);
    expect(readdirSync(here.directory)).toEqual([]);
    // One that was there stays.
    await here.run(["init", "--collection", "c", "--replica", "new.replica"]);
    await here.error(args, { input: "{}\n" });
    expect(readdirSync(here.directory)).toContain("new.replica");
  });

  test("bad records are told by line, and nothing is imported unless --skip-bad", async ({ expect }) => {
    const here = desk();
    const lines = [
      '{"id":"good"}',
      "",
      '{"id":"broken"',
      '{"no":"id"}',
      '{"id":""}',
      '{"id":"good","again":true}',
      "[1]",
      '{"id":1.5}',
      '{"id":"tab\\t"}',
      `{"id":"${"y".repeat(600)}"}`,
      '{"id":"last"}',
    ];
    writeFileSync(
      here.path("x.ndjson"),
      Buffer.concat([Buffer.from(lines.join("\n")), Buffer.from("\n\xff\n", "latin1")]),
    );
    await here.run(["init", ...INTO_A]);
    const refused = await here.error(["import", "x.ndjson", "--id", "id", ...INTO_A]);
    expect(refused).toMatchObject({ status: 1, code: "INVALID_ARGUMENT", reason: "BAD_RECORDS", bad: 9, good: 2 });
    const expected = [
      [3, "MALFORMED_JSON"],
      [4, "ID_MISSING"],
      [5, "INVALID_ID"],
      [6, "DUPLICATE_ID"],
      [7, "NOT_AN_OBJECT"],
      [8, "INVALID_ID"],
      [9, "INVALID_ID"],
      [10, "INVALID_ID"],
      [12, "MALFORMED_FILE"],
    ];
    expect(places(refused)).toEqual(expected);
    expect(await contents(here, "a.replica")).toEqual({});

    const text = await here.run(["import", "x.ndjson", "--id", "id", ...INTO_A]);
    expect(text).toMatchObject({ status: 1, stdout: "" });
    expect(text.stderr).toMatch(
      /^tercet: line 3 is not valid JSON: .*\(and 8 more\)\. Nothing was imported; --skip-bad/,
    );
    expect(text.stderr).toContain('  line 6 has the id "good" of line 1 again\n');

    const skipped = await here.one(["import", "x.ndjson", "--id", "id", "--skip-bad", ...INTO_A], 3);
    expect(skipped).toMatchObject({ imported: 2, skipped: 9 });
    expect(places(skipped)).toEqual(expected);
    expect(await contents(here, "a.replica")).toEqual({ good: '{"id":"good"}', last: '{"id":"last"}' });
  });

  test("bad elements of an array are told by index, also where it is cut off", async ({ expect }) => {
    const here = desk();
    writeFileSync(here.path("x.json"), '[{"id":"a"},,{"id":1e3},{"id":"a"},{"b":}]');
    writeFileSync(here.path("cut.json"), '[{"id":"a"},{"id":"b"');
    writeFileSync(here.path("more.json"), '[{"id":"a"}] {"id":"b"}');
    const [bad, cut, more] = await Promise.all([
      here.error(["import", "x.json", "--id", "id", "--replica", "1", "--collection", "c"]),
      here.error(["import", "cut.json", "--id", "id", "--replica", "2", "--collection", "c"]),
      here.error(["import", "more.json", "--id", "id", "--replica", "3", "--collection", "c"]),
    ]);
    expect(places(bad)).toEqual([
      [1, "MALFORMED_JSON"],
      [3, "DUPLICATE_ID"],
      [4, "MALFORMED_JSON"],
    ]);
    expect(places(cut)).toEqual([[1, "MALFORMED_FILE"]]);
    expect(places(more)).toEqual([[1, "MALFORMED_FILE"]]);
  });

  test("many records, which lie across the pieces that the file is read in", async ({ expect }) => {
    const here = desk();
    const records = Array.from({ length: 30_000 }, (_, at) => ({ id: `é-${at}`, text: "ü".repeat(at % 40) }));
    writeFileSync(here.path("x.ndjson"), records.map((record) => `${JSON.stringify(record)}\n`).join(""));
    writeFileSync(here.path("x.json"), JSON.stringify(records, null, 1));
    const a = await here.run(["import", "x.ndjson", "--id", "id", ...INTO_A]);
    const b = await here.run(["import", "x.json", "--id", "id", "--replica", "b.replica", "--collection", "c"]);
    expect([a.stdout, b.stdout]).toEqual(["imported 30,000 items\n", "imported 30,000 items\n"]);
    expect(await fingerprints(here, "b.replica")).toEqual(await fingerprints(here, "a.replica"));
  });
});

describe.concurrent("export", () => {
  test("JSON objects go out as they stand, other contents with their id", async ({ expect }) => {
    const here = desk({ TERCET_REPLICA: "a.replica" });
    await here.run(["put", "a", '{"id": "a"}', "--collection", "c"]);
    await here.run(["put", "b", "plain"]);
    await here.run(["put", "c", "--file", "-", "--bytes"], { input: Buffer.from([255]) });
    await here.run(["put", "d", '{\n "id": "d"\n}']);
    const lines = ['{"id": "a"}', '{"id":"b","text":"plain"}', '{"id":"c","data":"/w=="}', '{"id":"d"}'];
    expect((await here.run(["export"])).stdout).toBe(`${lines.join("\n")}\n`);
    expect((await here.run(["export", "-", "--format", "json"])).stdout).toBe(`[\n${lines.join(",\n")}\n]\n`);
    expect((await here.run(["export", "--prefix", "b"])).stdout).toBe(`${lines[1]}\n`);
    expect(await here.one(["export", "out.ndjson"])).toEqual({ exported: 4, file: "out.ndjson" });
  });

  test("what --wrapped exports is the same replica when it is imported", async ({ expect }) => {
    const here = desk({ TERCET_REPLICA: "a.replica" });
    await here.run(["put", "a", '{ "spaced":  1 }', "--collection", "c"]);
    await here.run(["put", "b", "", "--collection", "c"]);
    await here.run(["put", "c", "--file", "-", "--bytes"], { input: Buffer.from([255, 0]) });
    await here.run(["put", "d", "two\nlines"]);
    for (const format of ["ndjson", "json"]) {
      await here.run(["export", `out.${format}`, "--wrapped", "--format", format]);
      const into = ["--replica", format, "--collection", "c"];
      expect(await here.one(["import", `out.${format}`, "--wrapped", ...into])).toMatchObject({ imported: 4 });
      expect(await contents(here, format)).toEqual(await contents(here, "a.replica"));
      expect(await fingerprints(here, format)).toEqual(await fingerprints(here, "a.replica"));
    }
    const bad = await here.error(["import", "-", "--wrapped"], {
      input: '{"id":"x"}\n{"id":"y","data":"?"}\n{"text":"z"}',
    });
    expect(places(bad)).toEqual([
      [1, "CONTENT_MISSING"],
      [2, "CONTENT_MISSING"],
      [3, "ID_MISSING"],
    ]);
  });

  test("what is exported plainly is the same replica when its records have their ids", async ({ expect }) => {
    const here = desk({ TERCET_REPLICA: "a.replica" });
    const input = '{"key":{"id":"x"},"n":1}\n{"key":{"id":"y"},"n":2}\n';
    await here.run(["import", "-", "--id", "key.id", "--collection", "c"], { input });
    expect((await here.run(["export"])).stdout).toBe(input);
  });

  test("to somewhere that can't be written, nothing is left behind", async ({ expect }) => {
    const here = desk({ TERCET_REPLICA: "a.replica" });
    await here.run(["put", "a", "1", "--collection", "c"]);
    expect(await here.error(["export", "no/where"])).toMatchObject({ status: 1, reason: "FILE_NOT_FOUND" });
  });
});
