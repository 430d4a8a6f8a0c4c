import type { Command, CommandFamily } from "./command.js";

const conflictsFamily: CommandFamily = {
  family: "conflicts",
  describe: "List, show, resolve, restore and drop what is held and what gave way",
  commands: [
    {
      command: "list",
      describe: "List items held in conflict, then versions that gave way, latest first",
      load: async () => (await import("./conflicts.js")).listConflictsCommand,
    },
    {
      command: "show <which>",
      describe: "Show a version that gave way by its number, or both versions of a held item by its id",
      load: async () => (await import("./conflicts.js")).showConflictCommand,
    },
    {
      command: "resolve <id>",
      describe: "Resolve an item that is held in conflict, with all items of its atomic group",
      load: async () => (await import("./conflicts-settle.js")).resolveHeldCommand,
    },
    {
      command: "restore <number>",
      describe: "Make the version of a conflict record the item again, as a new change",
      load: async () => (await import("./conflicts-settle.js")).restoreCommand,
    },
    {
      command: "drop <number>",
      describe: "Forget a conflict record of the replica, for good",
      load: async () => (await import("./conflicts-settle.js")).dropCommand,
    },
    {
      command: "prune",
      describe: "Forget old conflict records of the replica, for good",
      load: async () => (await import("./conflicts-settle.js")).pruneCommand,
    },
  ],
};

const collectionsFamily: CommandFamily = {
  family: "collections",
  describe: "List, show, create and delete the server's collections",
  commands: [
    {
      command: "list",
      describe: "List the server's collections by name",
      load: async () => (await import("./collections.js")).listCollectionsCommand,
    },
    {
      command: "get <name>",
      describe: "Show a collection of the server",
      load: async () => (await import("./collections.js")).getCollectionCommand,
    },
    {
      command: "create <name>",
      describe: "Create a collection on the server; one that is there with the same standard is left as it is",
      load: async () => (await import("./collections.js")).createCollectionCommand,
    },
    {
      command: "delete <name>",
      describe: "Delete a collection of the server with everything in it",
      load: async () => (await import("./collections.js")).deleteCollectionCommand,
    },
  ],
};

/** Commands that read and write items of a replica, and need no server. */
const itemCommands: readonly Command[] = [
  {
    command: "init",
    describe: "Make an empty replica file for a collection",
    load: async () => (await import("./init.js")).initCommand,
  },
  {
    command: "put <id> [content]",
    describe: "Create or replace an item of the replica",
    load: async () => (await import("./items.js")).putCommand,
  },
  {
    command: "get <id>",
    describe: "Print the content of an item",
    load: async () => (await import("./items.js")).getCommand,
  },
  {
    command: "list",
    describe: "List items of the replica in the order of their ids",
    load: async () => (await import("./items.js")).listCommand,
  },
  {
    command: "delete <id..>",
    describe: "Delete items of the replica",
    load: async () => (await import("./items.js")).deleteCommand,
  },
  {
    command: "import <file>",
    describe: "Put the records of an NDJSON file or a JSON array into the replica",
    load: async () => (await import("./import.js")).importCommand,
  },
  {
    command: "export [file]",
    describe: "Write the contents of the replica as NDJSON or a JSON array",
    load: async () => (await import("./export.js")).exportCommand,
  },
];

/** The commands of the client, as help lists them. */
export const clientCommands: readonly (Command | CommandFamily)[] = [
  ...itemCommands,
  {
    command: "sync",
    describe: "Make the replica and the server's collection equal by one exchange",
    load: async () => (await import("./sync.js")).syncCommand,
  },
  {
    command: "watch",
    describe: "Stay in exchange with the server, and print changes as they come",
    load: async () => (await import("./watch.js")).watchCommand,
  },
  {
    command: "status",
    describe: "Show what the replica holds, and with --server how far it is from the server",
    load: async () => (await import("./status.js")).statusCommand,
  },
  {
    command: "pending",
    describe: "List changes of the replica that the server does not have yet",
    load: async () => (await import("./pending.js")).pendingCommand,
  },
  conflictsFamily,
  {
    command: "verify",
    describe: "Check the replica's contents, and with --server find every item in which the server differs",
    load: async () => (await import("./verify.js")).verifyCommand,
  },
  {
    command: "rebuild <file>",
    describe: "Make a new replica with the pending changes that can be read of a damaged one",
    load: async () => (await import("./rebuild.js")).rebuildCommand,
  },
  collectionsFamily,
  {
    command: "compact <collection>",
    describe: "Have the server forget deletions of a collection that are old",
    load: async () => (await import("./compact.js")).compactCommand,
  },
];
