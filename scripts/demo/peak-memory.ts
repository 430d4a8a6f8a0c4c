import { readFileSync, writeFileSync } from "node:fs";

/**
 * Peak resident memory of this process in bytes: since `resetPeakMemory` where the system can tell (Linux), else since its
 * start. On Linux the kernel's own high-water mark, as `maxRSS` of a child begins with what its parent had.
 */
export function peakMemory(): number {
  try {
    const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
    if (kilobytes !== undefined) return Number(kilobytes) * 1024;
  } catch {
    // No Linux.
  }
  return process.resourceUsage().maxRSS * 1024;
}

/** Makes the peak begin anew, where the system can do that. */
export function resetPeakMemory(): void {
  try {
    writeFileSync("/proc/self/clear_refs", "5");
  } catch {
    // No Linux: the peak is that of the whole life of the process.
  }
}
