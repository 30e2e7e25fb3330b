import { readFileSync, readdirSync } from "node:fs";

/** Linux counts in hundredths of a second, whatever the machine. */
const TICK_MS = 10;

/** Processor time that a process and its descendants have spent so far, in milliseconds; undefined where the system does not tell. */
export function processorTime(pid: number): number | undefined {
  const processes = new Map(readProcesses().map((one) => [one.pid, one]));
  if (!processes.has(pid)) return undefined;
  const isOurs = (id: number): boolean => id === pid || (processes.has(id) && isOurs(processes.get(id)?.parent ?? 0));
  return [...processes.values()].filter((one) => isOurs(one.pid)).reduce((sum, { ticks }) => sum + ticks, 0) * TICK_MS;
}

interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly ticks: number;
}

function readProcesses(): readonly Process[] {
  const pids = ifThere(() => readdirSync("/proc").filter((name) => /^\d+$/.test(name))) ?? [];
  return pids.flatMap((pid) => ifThere(() => readProcess(Number(pid))) ?? []);
}

/** proc(5): after the name in parentheses the fields 4, the parent, and 14 and 15, time in user and in system mode. */
function readProcess(pid: number): Process {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /s, "")
    .split(" ")
    .map(Number);
  return { pid, parent: fields[1] ?? 0, ticks: (fields[11] ?? 0) + (fields[12] ?? 0) };
}

/** Processes end while they are being read. */
function ifThere<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
