import { type Logger, pino } from "pino";

/** Levels that a log can be set to. */
export const LOG_LEVELS = ["silent", "fatal", "error", "warn", "info", "debug", "trace"] as const;
/** One of them. */
export type LogLevel = (typeof LOG_LEVELS)[number];

const STDERR = 2;

/** A log on standard error: JSON lines, or lines for people. */
export function createLog(level: LogLevel, json: boolean): Logger {
  const stderr = pino.destination({ fd: STDERR, sync: true });
  if (json) return pino({ level }, stderr);
  return pino({ level, base: null }, { write: (line: string) => stderr.write(forPeople(line)) });
}

/** `12:00:00 info  serving address=127.0.0.1:7727`, and an error's stack below it. */
function forPeople(line: string): string {
  const { level, time, msg, err, ...rest } = JSON.parse(line) as Record<string, unknown>;
  const clock = new Date(Number(time)).toISOString().slice(11, 19);
  const name = pino.levels.labels[Number(level)] ?? String(level);
  const facts = Object.entries(rest).map(([key, value]) => ` ${key}=${fact(value)}`);
  const stack = typeof err === "object" && err !== null && "stack" in err ? `\n${String(err.stack)}` : "";
  return `${clock} ${name.padEnd(5)} ${String(msg)}${facts.join("")}${stack}\n`;
}

function fact(value: unknown): string {
  if (typeof value === "string" && /^[\w.:/@-]+$/.test(value)) return value;
  return JSON.stringify(value);
}
