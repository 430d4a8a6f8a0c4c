import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type ClientChild, type ServerChild, startClientChild, startServerChild } from "./children.js";
import type { Contender } from "./contenders.js";
import { FIRST_VERSION, spread } from "./items.js";
import type { Setting } from "./orders.js";
import { changesOf, LARGE_BYTES, type Scenario } from "./scenarios.js";
import { copyTree, makeSite, type Site } from "./sites.js";

/** Version of items that the server has and the replica does not, and the other way round. */
export const CHANGED_THERE = "changed there";
/** See CHANGED_THERE. */
export const CHANGED_HERE = "changed here";
/** The large item's id. */
export const LARGE_ID = "large";

/** Items that are changed at the server. */
export function changedThere(items: number): number[] {
  return spread(items, changesOf(items), 0);
}

/** Items that are changed at the replica; others than those. */
export function changedHere(items: number): number[] {
  return spread(items, changesOf(items), 0.5);
}

/** How a contender's process is started for a scenario. */
export function settingOf(contender: Contender, side: "server" | "client", scenario: Scenario, site: Site): Setting {
  const { ids, items } = scenario;
  return { module: contender[side], variant: contender.variant, directory: site[side], ids, items };
}

/** Data that scenarios begin with, made once for all that need the same. */
export interface Bases {
  /** What a scenario begins with, to be copied for each run. */
  prepare(contender: Contender, scenario: Scenario): Promise<Site>;
  /** Removes everything that was made. */
  clear(): void;
}

/** Makes bases in a folder of their own. */
export function createBases(directory: string): Bases {
  const made = new Map<string, Promise<Site>>();

  function once(
    of: Contender,
    { items, ids }: Scenario,
    what: string,
    make: (site: Site) => Promise<Site>,
  ): Promise<Site> {
    const key = `${of.name} ${items} ${ids} ${what}`;
    const known = made.get(key);
    if (known !== undefined) return known;
    const making = make(makeSite(join(directory, `${of.name}-${items}-${ids}-${what}`)));
    made.set(key, making);
    return making;
  }

  /** A client that has put all items and not sent any. */
  function pending(contender: Contender, scenario: Scenario): Promise<Site> {
    return once(contender, scenario, "pending", async (site) => {
      await withClient(contender, scenario, site, undefined, (client) =>
        client.put({ indices: scenario.items, version: FIRST_VERSION }),
      );
      return site;
    });
  }

  /** A server that has all items, and the client that sent them. */
  function seeded(contender: Contender, scenario: Scenario): Promise<Site> {
    return once(contender, scenario, "seeded", async (site) => {
      copyTree((await pending(contender, scenario)).client, site.client);
      await withServer(contender, scenario, site, ({ address }) =>
        withClient(contender, scenario, site, address, (client) => settle(client, "push")),
      );
      return site;
    });
  }

  /** A server that has all items, and a client that took them. */
  function pulled(contender: Contender, scenario: Scenario): Promise<Site> {
    return once(contender, scenario, "pulled", async (site) => {
      copyTree((await seeded(contender, scenario)).server, site.server);
      await withServer(contender, scenario, site, ({ address }) =>
        withClient(contender, scenario, site, address, (client) => settle(client, "pull")),
      );
      return site;
    });
  }

  /** The same, and the server has changes since. */
  async function changed(contender: Contender, scenario: Scenario, site: Site, then: Change): Promise<Site> {
    const before = await pulled(contender, scenario);
    copyTree(before.server, site.server);
    copyTree(before.client, site.client);
    const other = makeSite(join(site.directory, "other"));
    copyTree((await seeded(contender, scenario)).client, other.client);
    const indices = changedThere(scenario.items);
    await withServer(contender, scenario, site, async ({ address }) => {
      await withClient(contender, scenario, other, address, (client) =>
        client.put({ indices, version: CHANGED_THERE }),
      );
      await withClient(contender, scenario, other, address, (client) => client.sync("other-changes"));
      await withClient(contender, scenario, site, address, then);
    });
    rmSync(other.directory, { recursive: true });
    return site;
  }

  return {
    async prepare(contender, scenario) {
      const { action, items } = scenario;
      switch (action) {
        case "push":
          return await pending(contender, scenario);
        case "pull": {
          const { server } = await seeded(contender, scenario);
          const empty = join(directory, "empty");
          mkdirSync(empty, { recursive: true });
          return { directory, server, client: empty };
        }
        case "changes":
          return await once(contender, scenario, action, (site) =>
            changed(contender, scenario, site, (client) =>
              client.put({ indices: changedHere(items), version: CHANGED_HERE }),
            ),
          );
        case "recover":
          return await once(contender, scenario, action, (site) =>
            changed(contender, scenario, site, (client) => client.forget()),
          );
        case "large-push":
          return await once(contender, scenario, action, (site) => largeClient(directory, contender, scenario, site));
        case "large-pull":
          return await once(contender, scenario, action, (site) => largeServer(directory, contender, scenario, site));
        default:
          return await pulled(contender, scenario);
      }
    },
    clear() {
      made.clear();
      rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** Once more, so that a replica that keeps a checkpoint for each direction has both. */
async function settle(client: ClientChild, action: "pull" | "push"): Promise<void> {
  await client.sync(action);
  await client.sync("nothing");
}

type Change = (client: ClientChild) => Promise<unknown>;

async function largeClient(directory: string, contender: Contender, scenario: Scenario, site: Site): Promise<Site> {
  const file = join(directory, "large.bin");
  // What is in it is of no matter, as long as it does not compress.
  if (!existsSync(file)) writeFileSync(file, randomBytes(LARGE_BYTES));
  await withClient(contender, scenario, site, undefined, (client) => client.putLarge(LARGE_ID, file));
  return site;
}

async function largeServer(directory: string, contender: Contender, scenario: Scenario, site: Site): Promise<Site> {
  await largeClient(directory, contender, scenario, site);
  await withServer(contender, scenario, site, ({ address }) =>
    withClient(contender, scenario, site, address, (client) => client.sync("large-push")),
  );
  rmSync(site.client, { recursive: true });
  mkdirSync(site.client);
  return site;
}

async function withServer<T>(
  contender: Contender,
  scenario: Scenario,
  site: Site,
  use: (server: ServerChild) => Promise<T>,
): Promise<T> {
  const server = await startServerChild(settingOf(contender, "server", scenario, site));
  const result = await use(server);
  await server.stop();
  return result;
}

async function withClient<T>(
  contender: Contender,
  scenario: Scenario,
  site: Site,
  address: string | undefined,
  use: (client: ClientChild) => Promise<T>,
): Promise<T> {
  const client = await startClientChild(settingOf(contender, "client", scenario, site), address);
  const result = await use(client);
  await client.close();
  return result;
}
