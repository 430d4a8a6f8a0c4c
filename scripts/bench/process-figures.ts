import { readFileSync } from "node:fs";
import { type IntervalHistogram, monitorEventLoopDelay } from "node:perf_hooks";
import { memoryOf, peakMemory } from "../demo/peak-memory.js";
import type { ProcessFigures } from "./orders.js";

/** Clock ticks a second in /proc: 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;
const LOOP_RESOLUTION_MS = 1;

/** Measures a process from `begin` to `end`. */
export interface ProcessMeter {
  begin(): void;
  end(): ProcessFigures;
}

/** This process, with its event loop. */
export function meterSelf(): ProcessMeter {
  let before = process.cpuUsage();
  let delay: IntervalHistogram | undefined;
  return {
    begin() {
      // It begins with the timed part: what came before is not its matter, and a timer every millisecond takes time, too.
      delay ??= monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });
      delay.enable();
      delay.reset();
      before = process.cpuUsage();
    },
    end() {
      const { user, system } = process.cpuUsage(before);
      delay?.disable();
      return {
        cpuMs: (user + system) / 1000,
        memoryPeak: peakMemory(),
        loopP99Ms: delay === undefined || delay.count === 0 ? undefined : delay.percentile(99) / 1e6,
        loopMaxMs: delay === undefined || delay.count === 0 ? undefined : delay.max / 1e6,
      };
    },
  };
}

/** Another process, as the system sees it (Linux; elsewhere zeros). */
export function meterProcess(pid: number): ProcessMeter {
  let before = 0;
  return {
    begin() {
      before = cpuMsOf(pid);
    },
    end: () => ({
      cpuMs: cpuMsOf(pid) - before,
      memoryPeak: memoryOf(pid, "VmHWM") ?? 0,
      loopP99Ms: undefined,
      loopMaxMs: undefined,
    }),
  };
}

function cpuMsOf(pid: number): number {
  const stat = read(`/proc/${pid}/stat`);
  // The name, in brackets, may hold spaces: fields are counted from behind it. User and system time are 14 and 15.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return ((Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) * 1000) / TICKS_PER_SECOND;
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
