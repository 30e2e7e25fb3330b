import { readFileSync, readdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { must } from "./must.ts";

const POLL_MS = 1;
/** What a disk may take for the one operation that each thread is in. */
const LIMIT_MS = 60_000;
/** Stopped, dead, or about to be (proc_pid_stat(5)). */
const STILL: ReadonlySet<string> = new Set(["T", "Z", "X"]);

/**
 * Has something happen while no thread of a process group runs: what its files hold meanwhile is what a SIGKILL would have left, since either
 * signal lets a thread finish the system call that it is in, and nothing more.
 */
export async function whileStopped<T>(group: number, happen: () => Promise<T>): Promise<T> {
  process.kill(-group, "SIGSTOP");
  try {
    const deadline = performance.now() + LIMIT_MS;
    // None of them makes another one any more: a fork that a signal meets begins anew when it goes on.
    const processes = processesOf(group);
    while (!processes.flatMap(threadsOf).every((state) => STILL.has(state))) {
      must(performance.now() < deadline, `the process group ${group} does not stop within ${LIMIT_MS / 1000} s`);
      await sleep(POLL_MS);
    }
    return await happen();
  } finally {
    process.kill(-group, "SIGCONT");
  }
}

function processesOf(group: number): readonly string[] {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name) && statusOf(`/proc/${name}/stat`)?.group === group);
}

/** The state of each thread of a process. */
function threadsOf(pid: string): readonly string[] {
  return entriesOf(`/proc/${pid}/task`).map((thread) => statusOf(`/proc/${pid}/task/${thread}/stat`)?.state ?? "X");
}

/** What comes after the name, which may hold anything. */
function statusOf(file: string): { readonly state: string; readonly group: number } | undefined {
  try {
    const text = readFileSync(file, "latin1");
    const [state = "", , group] = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return { state, group: Number(group) };
  } catch {
    return undefined;
  }
}

function entriesOf(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
