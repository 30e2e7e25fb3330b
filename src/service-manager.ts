import { execFile } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import type { Logger } from "./log.ts";

/** Whoever started this process and wants to know how it is (sd_notify(3)). */
export interface ServiceManager {
  /** Says that the registry serves, or that it is about to end; resolves when that is said, or could not be. */
  ready(status: string): Promise<void>;
  stopping(): Promise<void>;
  /** Says again and again that all is well, as long as `isWell` and until the signal; does nothing where nobody asked for it. */
  watch(isWell: () => boolean, signal: AbortSignal): Promise<void>;
}

/** What the service manager left in the environment. */
export interface Notification {
  /** Undefined: nobody wants to know. */
  readonly socket: string | undefined;
  /** How often it wants a sign of life at least, in milliseconds. */
  readonly watchdog: number | undefined;
  /** Where the program is looked for that speaks to it. */
  readonly path: string;
}

/** systemd-notify itself waits five seconds at most until what it said was taken. */
const PATIENCE = 10_000;
/** The longest that Node's timers wait for in one go. */
const LONGEST = 2 ** 31 - 1;

/** Reads what sd_notify(3) and sd_watchdog_enabled(3) say of the environment, and takes it out, so that no child speaks in our name. */
export function takeNotification(env: Record<string, string | undefined>, pid: number): Notification {
  const { NOTIFY_SOCKET: socket, WATCHDOG_USEC: microseconds = "", WATCHDOG_PID: forPid, PATH: path = "/usr/bin:/bin" } = env;
  for (const name of ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"]) delete env[name];
  const wanted = /^[1-9]\d{0,15}$/.test(microseconds) && (forPid === undefined || forPid === String(pid));
  return { socket, watchdog: wanted ? Math.min(Number(microseconds) / 1000, LONGEST) : undefined, path };
}

/**
 * A service manager that is spoken to by systemd-notify, since Node has no datagram sockets of the UNIX domain and the project no native
 * module: each message is a short process, which waits until it was taken, so that the manager knows whose it is.
 */
export function openServiceManager({ socket, watchdog, path }: Notification, log: Logger): ServiceManager {
  const say = async (...assignments: readonly string[]): Promise<void> => {
    if (socket === undefined) return;
    const env = { NOTIFY_SOCKET: socket, PATH: path };
    await promisify(execFile)("systemd-notify", assignments, { env, timeout: PATIENCE }).catch((error: unknown) => {
      log.error({ err: error }, "the service manager could not be told");
    });
  };
  return {
    ready: (status) => say("READY=1", `STATUS=${status}`),
    stopping: () => say("STOPPING=1", "STATUS=requests under way end"),
    watch: async (isWell, signal) => {
      if (watchdog === undefined || socket === undefined) return;
      while (!signal.aborted) {
        if (isWell()) await say("WATCHDOG=1");
        // Half of the time is what sd_watchdog_enabled(3) asks for.
        await sleep(watchdog / 2, undefined, { signal }).catch(() => undefined);
      }
    },
  };
}
