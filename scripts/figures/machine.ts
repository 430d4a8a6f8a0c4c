import { arch, cpus, platform, totalmem } from "node:os";
import { openDatabase } from "../../core/sqlite.js";

/** What the figures were measured on. */
export interface Machine {
  readonly cores: number;
  readonly cpu: string;
  readonly memory: number;
  readonly platform: string;
  readonly node: string;
  readonly sqlite: string;
}

/** This one. */
export function thisMachine(): Machine {
  const processors = cpus();
  return {
    cores: processors.length,
    cpu: processors[0]?.model.trim() ?? "unknown",
    memory: totalmem(),
    platform: `${platform()} ${arch()}`,
    node: process.versions.node,
    sqlite: sqliteVersion(),
  };
}

function sqliteVersion(): string {
  const database = openDatabase(":memory:");
  try {
    return String(database.prepare("SELECT sqlite_version()").pluck().get());
  } finally {
    database.close();
  }
}
