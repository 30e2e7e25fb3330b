import { StartError } from "./start-error.ts";

/** Listening sockets that whoever started this process opened for it, as descriptors. */
export interface PassedSockets {
  /** For clients; undefined when the registry is to open its own. */
  readonly http: number | undefined;
  /** For whoever collects metrics. */
  readonly metrics: number | undefined;
}

/** The first descriptor that is passed (sd_listen_fds(3)). */
const FIRST = 3;
/** What `FileDescriptorName=` says of the socket for metrics; the other one may have any name. */
const METRICS = "metrics";
const NONE: PassedSockets = { http: undefined, metrics: undefined };

/**
 * The sockets that a service manager passed to this very process, by the protocol of sd_listen_fds(3); takes the variables out of the
 * environment, so that no child believes them to be its own. Throws `StartError` when they are not what the registry can serve.
 */
export function takePassedSockets(env: Record<string, string | undefined>, pid: number): PassedSockets {
  const { LISTEN_PID: forPid, LISTEN_FDS: count, LISTEN_FDNAMES: names = "" } = env;
  for (const name of ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"]) delete env[name];
  // They were meant for another process, whose environment came down to this one.
  if (count === undefined || forPid !== String(pid)) return NONE;
  const metrics = names.split(":").indexOf(METRICS);
  if (count === "1" && metrics < 0) return { ...NONE, http: FIRST };
  if (count === "2" && (metrics === 0 || metrics === 1)) return { http: FIRST + 1 - metrics, metrics: FIRST + metrics };
  throw new StartError(
    `LISTEN_FDS: a socket for clients can be served, and one with FileDescriptorName=${METRICS}; ${count.slice(0, 16)} were passed`,
  );
}
