import { mustRun } from "./run-program.ts";

/**
 * Runs a command in a network of its own, with no interface but loopback; what it wrote on standard output. Needs root, util-linux and
 * busybox; throws with all that was written unless it ended with 0 within these milliseconds.
 */
export function inOwnNetwork(command: readonly string[], limitMs: number): Promise<string> {
  const up = 'busybox ip link set lo up && exec "$0" "$@"';
  return mustRun("unshare", ["--net", "--", "busybox", "sh", "-c", up, ...command], { limitMs });
}
