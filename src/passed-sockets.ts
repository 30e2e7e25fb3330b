import { StartError } from "./start-error.ts";

/** Listening sockets that whoever started this process opened for it, as descriptors. */
export interface PassedSockets {
  /** For clients; undefined when the registry is to open its own. */
  readonly http: number | undefined;
}

/** The first descriptor that is passed (sd_listen_fds(3)). */
const FIRST = 3;

/**
 * The sockets that a service manager passed to this very process, by the protocol of sd_listen_fds(3); takes the variables out of the
 * environment, so that no child believes them to be its own. Throws `StartError` when they are not what the registry can serve.
 */
export function takePassedSockets(env: Record<string, string | undefined>, pid: number): PassedSockets {
  const { LISTEN_PID: forPid, LISTEN_FDS: count } = env;
  for (const name of ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"]) delete env[name];
  // They were meant for another process, whose environment came down to this one.
  if (count === undefined || forPid !== String(pid)) return { http: undefined };
  if (count !== "1") throw new StartError(`LISTEN_FDS: exactly one socket can be served, for clients; ${count.slice(0, 16)} were passed`);
  return { http: FIRST };
}
