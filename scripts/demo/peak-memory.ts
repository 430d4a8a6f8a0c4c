import { readFileSync, writeFileSync } from "node:fs";

/**
 * What the kernel says of a process's resident memory in bytes: its high-water mark (VmHWM) or now (VmRSS). Undefined where
 * the system does not tell (no Linux), or the process has ended.
 */
export function memoryOf(pid: number | "self", field: "VmHWM" | "VmRSS"): number | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    const kilobytes = new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(status)?.[1];
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
  } catch {
    return undefined;
  }
}

/**
 * Peak resident memory of this process in bytes: since `resetPeakMemory` where the system can tell (Linux), else since its
 * start. On Linux the kernel's own high-water mark, as `maxRSS` of a child begins with what its parent had.
 */
export function peakMemory(): number {
  return memoryOf("self", "VmHWM") ?? process.resourceUsage().maxRSS * 1024;
}

/** Makes the peak begin anew, where the system can do that. */
export function resetPeakMemory(): void {
  try {
    writeFileSync("/proc/self/clear_refs", "5");
  } catch {
    // No Linux: the peak is that of the whole life of the process.
  }
}
