import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { type Json, type JsonObject, toAscii } from "./json.js";

/** How a testee is started. */
export interface TesteeCommand {
  readonly argv: readonly string[];
  readonly cwd?: string;
}

/** A client under test: a process that answers a line with a line. */
export interface Testee {
  readonly name: string;
  readonly features: ReadonlySet<string>;
  /** What it answered: `ok`, or throws TesteeError for `error`. Throws TesteeDied where it can't answer any more. */
  ask(request: JsonObject): Promise<JsonObject>;
  /** The end of what it wrote to stderr since this was last asked. */
  takeStderr(): string;
  /** It can't answer any more. */
  readonly dead: boolean;
  /** Ends it: by the end of its input, or at once after a while. */
  stop(): Promise<void>;
}

/** The client's error, as its testee told it. */
export class TesteeError extends Error {
  override readonly name = "TesteeError";
  readonly code: string;
  readonly reason: string;
  readonly fields: readonly string[];
  readonly retryAfterMs: number | undefined;

  constructor(what: string, told: JsonObject) {
    super(`${what}: ${String(told["code"])} ${String(told["reason"])}: ${String(told["message"])}`);
    this.code = String(told["code"] ?? "");
    this.reason = String(told["reason"] ?? "");
    this.fields = Array.isArray(told["fields"]) ? told["fields"].map(String) : [];
    this.retryAfterMs = typeof told["retry_after_ms"] === "number" ? told["retry_after_ms"] : undefined;
  }
}

/** The testee broke the rules of its lines, or its process ended. */
export class TesteeDied extends Error {
  override readonly name = "TesteeDied";
  /** The end of what it wrote to stderr, where it never came to life. */
  readonly stderr: string;

  constructor(message: string, stderr = "") {
    super(message);
    this.stderr = stderr;
  }
}

const STDERR_KEPT = 16 * 1024;
const STOP_MS = 5000;
const CLOSE_MS = 1000;

interface Waiting {
  resolve(answer: JsonObject): void;
  reject(error: Error): void;
  readonly timer: NodeJS.Timeout;
}

/**
 * Starts a testee and says hello. `timeoutMs` is for each request.
 *
 * @throws TesteeDied where it can't be started or does not answer.
 */
export async function startTestee(command: TesteeCommand, timeoutMs: number): Promise<Testee> {
  const spawned = spawnTestee(command, timeoutMs);
  const { ask, takeStderr, stop } = spawned;
  const hello = await ask({ do: "hello", kit: 1 }).catch(async (error: unknown) => {
    await spawned.stop();
    await spawned.closed;
    throw new TesteeDied(error instanceof Error ? error.message : String(error), takeStderr());
  });
  const features = Array.isArray(hello["features"]) ? hello["features"].map(String) : [];
  return {
    name: String(hello["name"] ?? command.argv[0]),
    features: new Set(features),
    ask,
    takeStderr,
    stop,
    get dead() {
      return spawned.dead;
    },
  };
}

/** A process with which nobody has spoken yet. */
interface Spawned extends Omit<Testee, "name" | "features"> {
  /** It has ended, and all that it wrote has come; or that took too long: a process of its own may hold its stderr. */
  readonly closed: Promise<void>;
}

function spawnTestee(command: TesteeCommand, timeoutMs: number): Spawned {
  const [file = "", ...args] = command.argv;
  const child = spawn(file, args, {
    stdio: ["pipe", "pipe", "pipe"],
    ...(command.cwd === undefined ? {} : { cwd: command.cwd }),
  });
  const waiting = new Map<number, Waiting>();
  let stderr = "";
  let asked = 0;
  let died: TesteeDied | undefined;

  function die(why: string): void {
    died ??= new TesteeDied(why);
    for (const { reject, timer } of waiting.values()) {
      clearTimeout(timer);
      reject(died);
    }
    waiting.clear();
    child.kill("SIGKILL");
  }

  function hear(line: string): void {
    const answer = parseAnswer(line);
    const each = answer === undefined ? undefined : waiting.get(Number(answer["n"]));
    if (answer === undefined || each === undefined) {
      return die(`the testee wrote what is no answer to any request: ${shorten(line)}`);
    }
    waiting.delete(Number(answer["n"]));
    clearTimeout(each.timer);
    each.resolve(answer);
  }

  child.on("error", (error) => die(`the testee can't be started: ${error.message}`));
  const exited = exitOf(child);
  void exited.then((how) => die(`the testee ended (${how})`));
  const closed = exited.then(() => closeOf(child));
  child.stdin?.on("error", () => undefined);
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr = (stderr + text).slice(-STDERR_KEPT);
  });
  if (child.stdout !== null) createInterface({ input: child.stdout }).on("line", hear);

  async function ask(request: JsonObject): Promise<JsonObject> {
    if (died !== undefined) throw died;
    asked += 1;
    const n = asked;
    const what = String(request["do"]);
    const answer = await new Promise<JsonObject>((resolve, reject) => {
      const timer = setTimeout(() => die(`the testee did not answer to "${what}" within ${timeoutMs} ms`), timeoutMs);
      waiting.set(n, { resolve, reject, timer });
      child.stdin?.write(`${toAscii({ n, ...request })}\n`);
    });
    if (isObject(answer["ok"])) return answer["ok"];
    if (isObject(answer["error"])) throw new TesteeError(what, answer["error"]);
    throw new TesteeDied(`the testee's answer to "${what}" has neither "ok" nor "error"`);
  }

  return {
    ask,
    closed,
    takeStderr() {
      const taken = stderr;
      stderr = "";
      return taken;
    },
    get dead() {
      return died !== undefined;
    },
    async stop() {
      child.stdin?.end();
      const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
      await exited;
      clearTimeout(timer);
    },
  };
}

function exitOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once("error", () => resolve("not started"));
    child.once("exit", (code, signal) => resolve(signal ?? `status ${code}`));
  });
}

/** The end of its output, where that comes soon. */
function closeOf(child: ChildProcess): Promise<void> {
  if (child.stderr === null || child.stderr.closed) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, CLOSE_MS);
    child.stderr?.once("close", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

function parseAnswer(line: string): JsonObject | undefined {
  try {
    const value = JSON.parse(line) as Json;
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function shorten(line: string): string {
  return JSON.stringify(line.length > 200 ? `${line.slice(0, 200)}…` : line);
}

/** A command line as its words: split at spaces, where single or double quotes do not keep them together. */
export function splitCommand(line: string): string[] {
  const words = line.match(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g) ?? [];
  return words.map((word) => word.replace(/"([^"]*)"|'([^']*)'/g, (_, double = "", single = "") => double + single));
}
