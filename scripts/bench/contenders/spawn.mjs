// Servers that are programs of their own.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";

/**
 * Starts a program, and waits until `ready` resolves with its address.
 *
 * @template T
 * @param {string} command
 * @param {readonly string[]} args
 * @param {(pid: number) => T | undefined | Promise<T | undefined>} ready asked time and again
 */
export async function startProgram(command, args, ready) {
  const env = { ...process.env, PATH: `${process.env.PATH ?? ""}:/usr/sbin:/usr/local/bin` };
  const child = spawn(command, args, { stdio: "ignore", env });
  const exited = once(child, "exit");
  let ended = false;
  exited.then(
    () => {
      ended = true;
    },
    () => {
      ended = true;
    },
  );
  // It must not be left behind, whatever becomes of this process.
  process.once("exit", () => child.kill("SIGKILL"));
  for (;;) {
    if (ended || child.pid === undefined) throw new Error(`${command} did not start`);
    const found = await ready(child.pid);
    if (found !== undefined) {
      return {
        address: found,
        pid: child.pid,
        async stop() {
          child.kill("SIGTERM");
          await exited;
        },
      };
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A port that is free now. */
export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}
