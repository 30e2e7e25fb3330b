import { readFileSync, readdirSync, readlinkSync } from "node:fs";

const LOOPBACK = "0100007F";

/** Which of these processes holds the other end of a connection over 127.0.0.1, by the port of this end; undefined when none does. */
export function holderOf(port: number, pids: readonly number[]): number | undefined {
  const here = `${LOOPBACK}:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const rows = readFileSync("/proc/net/tcp", "utf8")
    .split("\n")
    .map((line) => line.trim().split(/\s+/));
  // proc_net_tcp: the third field is the remote address, the tenth the inode.
  const inode = rows.find(([, , remote]) => remote === here)?.[9];
  return inode === undefined ? undefined : pids.find((pid) => holds(pid, `socket:[${inode}]`));
}

function holds(pid: number, socket: string): boolean {
  return readdirSync(`/proc/${pid}/fd`).some((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`) === socket;
    } catch {
      return false;
    }
  });
}
