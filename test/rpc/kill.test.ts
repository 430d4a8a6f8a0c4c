import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createRangeSum, toRangeFingerprint, totalOf } from "../../core/range-sum.js";
import { type ChangeInfo, ChangeKind } from "../../gen/tercet/v1/item.js";
import { PushOutcome } from "../../gen/tercet/v1/sync.js";
import { streamOver } from "../../scripts/conformance/stream-client.js";
import { runs } from "../runs.js";
import type { Api } from "./api.js";
import { batch, upsert } from "./build.js";
import { connect, startTestServer } from "./harness.js";

const SCRIPT = fileURLToPath(new URL("serve-child.js", import.meta.url));
const BUILT = fileURLToPath(new URL("../../dist/server/index.js", import.meta.url));
const KILLS = runs(20);
/** Pushes without a verdict at any time: that many transactions are under way when the server dies. */
const AHEAD = 6;
const collection = "c";

let directory: string;
let child: ChildProcess | undefined;

beforeAll(() => {
  expect(existsSync(BUILT), "the server is built (npm run build)").toBe(true);
  directory = mkdtempSync(join(tmpdir(), "tercet-kill-"));
});
afterAll(() => {
  child?.kill("SIGKILL");
  rmSync(directory, { recursive: true, force: true });
});

async function startChild(): Promise<string> {
  child = spawn(process.execPath, [SCRIPT, directory], { stdio: ["ignore", "pipe", "inherit"] });
  if (child.stdout === null) throw new Error("no output to read");
  const [line] = await once(createInterface({ input: child.stdout }), "line");
  return String(line);
}

/** A small generator of numbers, so that a failure can be run again. */
function createRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

it(`has every acknowledged change after ${KILLS} kill -9 in the middle of pushes`, async () => {
  const random = createRandom(7727);
  /** Revision that the server said an item was committed with. */
  const acknowledged = new Map<string, number>();
  for (let round = 0; round < KILLS; round++) {
    const client = connect(await startChild());
    const stream = streamOver(client);
    stream.open({ collection, create: true });
    await stream.next("opened");
    const last = 1 + random(12);
    const sent: string[][] = [];
    const send = (): void => {
      const ids = Array.from({ length: 1 + random(40) }, (_, i) => `${round}/${sent.length}/${i}`);
      sent.push(ids);
      stream.send(
        batch(
          ids.map((id) => upsert(id, `content of ${id}`)),
          0,
        ),
      );
    };
    for (let i = 0; i < AHEAD; i++) send();
    for (let verdict = 0; verdict < last; verdict++) {
      const { verdicts } = await stream.skipTo("verdicts");
      const [given] = verdicts;
      expect(given).toMatchObject({ outcome: PushOutcome.PUSH_OUTCOME_APPLIED });
      for (const [index, id] of (sent[verdict] as string[]).entries())
        acknowledged.set(id, (given?.revision ?? 0) + index);
      send();
    }
    const exited = once(child as ChildProcess, "exit");
    child?.kill("SIGKILL");
    await exited;
    await stream.status();
    client.close();
  }

  const test = await startTestServer({ directory });
  try {
    const found = await readAll(test.api);
    for (const [id, revision] of acknowledged) expect(found.get(id)).toMatchObject({ revision });
    const sum = createRangeSum();
    for (const { fingerprint, id } of found.values()) {
      expect(fingerprint).toEqual(upsert(id, `content of ${id}`).fingerprint);
      sum.add(fingerprint?.value as Buffer);
    }
    const { collection: state } = await test.api.getCollection({ collection });
    expect(state?.fingerprint).toEqual(toRangeFingerprint(totalOf(sum)));
    expect(new Set([...found.values()].map(({ revision }) => revision)).size).toBe(found.size);
  } finally {
    await test.stop();
  }
});

async function readAll(api: Api): Promise<Map<string, ChangeInfo>> {
  const found = new Map<string, ChangeInfo>();
  for (let token: Buffer = Buffer.alloc(0), end = false; !end; ) {
    const page = await api.listChanges({ collection, token });
    for (const change of page.changes) {
      expect(change.kind).toBe(ChangeKind.CHANGE_KIND_UPSERTED);
      found.set(change.id, change);
    }
    token = page.checkpoint?.token ?? token;
    end = page.end;
  }
  return found;
}
