// Debian's NATS server with JetStream in a directory. It syncs its files every two minutes by default: not each write.
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { startProgram } from "./spawn.mjs";

/** Starts it. See ServerModule in ../contender.ts. */
export function startContender(place) {
  mkdirSync(place.directory, { recursive: true });
  const data = join(place.directory, "jetstream");
  const args = ["-js", "-sd", data, "-a", "127.0.0.1", "-p", "-1", "--ports_file_dir", place.directory];
  return startProgram("nats-server", args, (pid) => {
    try {
      const ports = JSON.parse(readFileSync(join(place.directory, `nats-server_${pid}.ports`), "utf8"));
      return new URL(ports.nats[0]).host;
    } catch {
      return undefined;
    }
  });
}
