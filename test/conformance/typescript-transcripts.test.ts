import { describe, expect, test } from "vitest";
import { changeStandardFromJSON } from "../../gen/tercet/v1/item.js";
import { Limits } from "../../gen/tercet/v1/sync.js";
import type { Json } from "../../scripts/vectors/json-text.js";
import { protoFromJson } from "../../scripts/vectors/proto-json.js";
import type { ReplicaJson } from "../../scripts/vectors/replica-state.js";
import { createServerWorld, eventFromJson } from "../../scripts/vectors/server-world.js";
import { serverSide } from "../../scripts/vectors/sides.js";
import { listVectors, readVectors } from "./read.js";
import type { Recorded } from "./replay.js";
import { nameOf, readError } from "./typescript/errors.js";
import { sync } from "./typescript/exchange.js";
import { recordsOf, replicaFrom, replicaTo, serveSide } from "./typescript-vectors.js";

/*
 * The reference client against the transcripts: the server's side is the product's state machine, brought to where the
 * transcript begins. Those with faults on the way, or with commits of others in mid-exchange, are for the conformance kit.
 */

interface Transcript {
  readonly name: string;
  readonly exchanges: readonly Recorded[];
}

const transcripts = listVectors()
  .filter((name) => name.startsWith("exchanges/"))
  .map((name) => readVectors<Transcript>(name))
  .filter(({ exchanges }) => exchanges.some(isHonest));

function isHonest({ messages, before }: Recorded): boolean {
  const faulty = messages.some(
    (step) => step.lost || step.damaged !== undefined || step.event !== undefined || step.cut,
  );
  const wishes = before.replica !== undefined;
  return wishes && !faulty;
}

interface ReportJson {
  readonly [field: string]: Json;
}

async function run(recorded: Recorded): Promise<void> {
  const { client, server, before, after } = recorded;
  const clockUs = Number((recorded as unknown as { readonly clockUs: string }).clockUs);
  const world = createServerWorld(server.history.map(eventFromJson));
  const limitsOf = (json: Json): Partial<Limits> => {
    const limits = Object.entries(Limits.decode(protoFromJson("Limits", json)));
    return Object.fromEntries(limits.filter(([, value]) => value !== 0));
  };
  const limits = limitsOf(server.limits);
  const side = await serveSide(serverSide(world, { limits }));
  const replica = replicaFrom(before.replica as unknown as ReplicaJson);
  try {
    const { standard, create, recreate, onHistoryChange } = client;
    const common = {
      wishes: limitsOf(client.wishes),
      create,
      recreate,
      onHistoryChange,
      timeoutMs: 10_000,
      nowUs: () => clockUs,
    };
    const wanted = changeStandardFromJSON(standard);
    const outcome = await sync(replica, { server: side.address, standard: wanted, ...common }).then(
      (report) => report,
      (error: unknown) => error,
    );
    const expected = recorded.report as ReportJson;
    const ending = recorded.messages.find(({ cancel, status }) => cancel !== undefined || status !== undefined);
    if (outcome instanceof Error) {
      const { code, reason } = readError(outcome);
      const told = (ending?.cancel ?? ending?.status) as ReportJson | undefined;
      expect({ code, reason, stack: outcome.stack }).toMatchObject({ code: told?.["code"], reason: told?.["reason"] });
    } else {
      const report = outcome as Awaited<ReturnType<typeof sync>>;
      const { verified, sent, sentDeletions, received, deleted, settled, recovery } = report;
      expect({
        ...{ verified, sent, sentDeletions, received, deleted, settled },
        conflicts: [...report.conflicts].map(([id, { prevailed }]) => ({ id, prevailed })),
        rejected: [...report.rejected].map(([id, reason]) => ({ id, reason: nameOf(reason) })),
        contended: [...report.contended],
        recovery: recovery?.why,
      }).toEqual({
        verified: expected["verified"],
        sent: expected["sent"],
        sentDeletions: expected["sentDeletions"],
        received: expected["received"],
        deleted: expected["deleted"],
        settled: expected["settled"],
        conflicts: (expected["conflicts"] as readonly ReportJson[]).map(({ id, prevailed }) => ({ id, prevailed })),
        rejected: expected["rejected"],
        contended: expected["contended"],
        recovery: (expected["recovery"] as ReportJson | undefined)?.["why"],
      });
    }
    const wantedReplica = after.replica as unknown as ReplicaJson;
    expect(replicaTo(replica)).toEqual({ ...wantedReplica, conflicts: recordsOf(wantedReplica.conflicts as Json) });
    expect(world.state()).toEqual(after.server);
  } finally {
    side.close();
  }
}

describe.each(transcripts)("$name", ({ exchanges }) => {
  exchanges.filter(isHonest).forEach((recorded, at) => {
    test(recorded.title ?? `exchange ${at + 1}`, () => run(recorded));
  });
});
