import { randomBytes } from "node:crypto";
import { type Connection, connect, METHODS } from "../../client/connection.js";
import { TercetError } from "../../client/error.js";
import { startTestee, type TesteeCommand, TesteeDied } from "./testee.js";

/** What is to be tested is not there: no case could say anything about it. */
export class NothingThere extends Error {
  override readonly name = "NothingThere";
}

/**
 * Starts a testee, says hello, and ends it.
 *
 * @throws NothingThere where the command can't be started, ends, or does not answer within this time: with the command, how
 * it ended, and what it wrote to stderr.
 */
export async function probeTestee(command: TesteeCommand, timeoutMs: number): Promise<void> {
  try {
    const testee = await startTestee(command, timeoutMs);
    await testee.stop();
  } catch (error) {
    if (!(error instanceof TesteeDied)) throw error;
    const lines = error.stderr.trimEnd() === "" ? [] : error.stderr.trimEnd().split("\n").slice(-20);
    const place = command.cwd === undefined ? [] : [`in: ${command.cwd}`];
    const more = [`command: ${shown(command.argv)}`, ...place, ...lines.map((line) => `stderr: ${line}`)];
    throw new NothingThere([`${error.message}: there is nothing to test`, ...more].join("\n    "));
  }
}

/** Codes with which no server of this contract answers a question about a collection that is not there. */
const NO_SERVER = ["UNAVAILABLE", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNKNOWN"];

/**
 * Asks a server about a collection that it does not have.
 *
 * @throws NothingThere where this is no address, nothing answers there, or what does knows nothing of this contract.
 */
export async function probeServer(address: string, timeoutMs: number): Promise<void> {
  const connection = connectTo(address);
  try {
    const collection = `kit-${randomBytes(6).toString("hex")}`;
    await connection.unary(METHODS.getCollection, { collection }, { timeoutMs });
  } catch (error) {
    if (!(error instanceof TercetError) || !NO_SERVER.includes(error.code)) return;
    const why = `${error.code}: ${error.message}`;
    throw new NothingThere(`no server of tercet.v1 answers at ${address}: there is nothing to test\n    ${why}`);
  } finally {
    await connection.close();
  }
}

function connectTo(address: string): Connection {
  try {
    return connect(address);
  } catch (error) {
    throw error instanceof TercetError ? new NothingThere(error.message) : error;
  }
}

function shown(argv: readonly string[]): string {
  return argv.map((word) => (/^[^\s"']+$/.test(word) ? word : JSON.stringify(word))).join(" ");
}
