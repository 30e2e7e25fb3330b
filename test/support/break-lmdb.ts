import { closeSync, openSync, readFileSync, readdirSync, readlinkSync } from "node:fs";

/** LMDB writes the page that shows a commit by a file of its own, which is opened so that each write is durable when it returns. */
const O_DSYNC = 0o10000;

/** What becomes of a write: EIO (an address of this process where nothing is), ENOSPC, or EBADF. */
const FAULTS = { EIO: ["/proc/self/mem", "r+"], ENOSPC: ["/dev/full", "r+"], EBADF: ["/dev/null", "r"] } as const;
export type Fault = keyof typeof FAULTS;

/**
 * Makes every later write of that page by this process fail; false while LMDB has no file open. The next commit then leaves the environment
 * in a state that LMDB calls a panic. It works where `/proc` tells which files are open.
 */
export function breakLmdb(fault: Fault): boolean {
  const file = readdirSync("/proc/self/fd").find((fd) => isShowingFile(fd));
  if (file === undefined) return false;
  closeSync(Number(file));
  // Whoever opens a file gets the lowest number that is free: in the end, the one just closed.
  const [place, flags] = FAULTS[fault];
  while (openSync(place, flags) !== Number(file));
  return true;
}

function isShowingFile(fd: string): boolean {
  try {
    if (!readlinkSync(`/proc/self/fd/${fd}`).endsWith("/data.mdb")) return false;
    const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))?.[1] ?? "0";
    return (Number.parseInt(flags, 8) & O_DSYNC) !== 0;
  } catch {
    return false;
  }
}
