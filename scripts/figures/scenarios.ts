import { join } from "node:path";
import type { StandardName, SyncReport } from "../../client/index.js";
import { compactThroughHead, copySite, remove, type Site } from "./bases.js";
import { FIRST_VERSION, spread } from "./items.js";
import { runJob, withServer } from "./processes.js";

/** A situation in which an exchange is measured. */
export interface Scenario {
  readonly name: string;
  readonly items: number;
  /** Items of which both sides do not have the same when the exchange begins. */
  readonly differences: number;
  readonly conflicts: number;
  readonly standard?: StandardName;
  /** Why the server refuses the replica's checkpoint. */
  readonly recovery?: NonNullable<SyncReport["recovery"]>["why"];
  /** Makes the situation out of copies of the base; the base itself, to copy from again. */
  prepare(site: Site, base: Site): Promise<void>;
}

/** Changes on either side of the scenarios without a recovery. */
const CHANGES = 1000;
const CONFLICTS = 100;
/** The scenarios change two spreads of `CHANGES` items that must not meet. */
export const LEAST_ITEMS = 2 * CHANGES;
const DIFFERENCES = [0, 10, 1000] as const;
const STANDARDS: readonly StandardName[] = ["SERVER", "CLIENT", "NEWEST", "MANUAL"];

/** Scenarios that compare two sides at their checkpoint; for one size of collection. */
function plainScenarios(items: number): Scenario[] {
  return [
    { name: "nothing-changed", items, differences: 0, conflicts: 0, prepare: () => Promise.resolve() },
    { name: "changes", items, differences: 2 * CHANGES, conflicts: 0, prepare: (site) => changeBoth(site, items, 0) },
    ...STANDARDS.map((standard) => ({
      name: `conflicts-${standard.toLowerCase()}`,
      items,
      differences: 2 * CHANGES - CONFLICTS,
      conflicts: CONFLICTS,
      standard,
      prepare: (site: Site) => changeBoth(site, items, CONFLICTS),
    })),
  ];
}

/** Scenarios in which the server refuses the replica's checkpoint. */
function recoveryScenarios(items: number): Scenario[] {
  const compacted = DIFFERENCES.map(
    (differences): Scenario => ({
      name: `recovery-${differences}`,
      items,
      differences,
      conflicts: 0,
      recovery: "compacted",
      prepare: (site) => compactAfterChanges(site, items, differences),
    }),
  );
  const restored: Scenario = {
    name: "restored-1000",
    items,
    differences: CHANGES,
    conflicts: 0,
    recovery: "history",
    prepare: (site, base) => restoreAfterChanges(site, base, items),
  };
  return [...compacted, restored];
}

/** All scenarios: the plain ones with the first size, recoveries with each. */
export function scenariosFor(sizes: readonly number[]): Scenario[] {
  return sizes.flatMap((items, index) => [...(index === 0 ? plainScenarios(items) : []), ...recoveryScenarios(items)]);
}

/** Both sides change as many items; of so many they change the same. Of those, each side is the later one in one half. */
async function changeBoth(site: Site, items: number, conflicts: number): Promise<void> {
  const there = spread(items, CHANGES, 0);
  const both = conflicts === 0 ? [] : there.filter((_, index) => index % (CHANGES / conflicts) === 0);
  const here = spread(items, CHANGES, 0.5).slice(conflicts);
  const edit = (indices: readonly number[]) =>
    runJob({ kind: "edit", file: site.replica, indices, version: "changed here" });
  await edit(both.filter((_, index) => index % 2 === 0));
  await changeThere(site, [{ indices: there, version: "changed there" }]);
  await edit([...both.filter((_, index) => index % 2 === 1), ...here]);
}

interface Edit {
  readonly indices: readonly number[];
  readonly version: string;
}

/** Changes items at the server, through the other replica: an exchange for each edit. */
function changeThere(
  site: Site,
  edits: readonly Edit[],
  then: (server: string) => Promise<unknown> = () => Promise.resolve(),
): Promise<unknown> {
  return withServer(site.server, async (server) => {
    for (const edit of edits) {
      await runJob({ kind: "edit", file: site.other, ...edit });
      await runJob({ kind: "sync", file: site.other, server });
    }
    await then(server);
  });
}

async function compactAfterChanges(site: Site, items: number, differences: number): Promise<void> {
  // A checkpoint at the head is good for ever: so where nothing differs, an item is changed, and changed back.
  const back = [0];
  const edits: readonly Edit[] =
    differences === 0
      ? [
          { indices: back, version: "changed there" },
          { indices: back, version: FIRST_VERSION },
        ]
      : [{ indices: spread(items, differences, 0.5), version: "changed there" }];
  await changeThere(site, edits, compactThroughHead);
}

/** The replica has half of the changes and the server lost them, as it was restored; the other half came after that. */
async function restoreAfterChanges(site: Site, base: Site, items: number): Promise<void> {
  const lost = spread(items, CHANGES / 2, 0);
  const since = spread(items, CHANGES / 2, 0.5);
  await changeThere(site, [{ indices: lost, version: "lost there" }], (server) =>
    runJob({ kind: "sync", file: site.replica, server }),
  );
  remove(site.server);
  remove(site.other);
  copySite(base, site.directory, ["server", "other"]);
  await changeThere(site, [{ indices: since, version: "changed there" }]);
}

/** A directory's name for a scenario. */
export function directoryOf(parent: string, scenario: Scenario): string {
  return join(parent, `${scenario.name}-${scenario.items}`);
}
