import { readFileSync } from "node:fs";

/** The most memory that a process ever had resident, in bytes (VmHWM of proc(5)); zero when it is gone. */
export function peakMemory(pid: number): number {
  try {
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}
