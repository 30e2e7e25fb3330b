import { isatty } from "node:tty";

/**
 * Calls back for each signal that asks this process to end. SIGHUP tells of a terminal that closes: who has none is to go on, as `nohup`
 * asks for by a disposition that Node undoes when it starts.
 */
export function onEndSignal(end: (signal: "SIGTERM" | "SIGINT" | "SIGHUP") => void): void {
  const hasTerminal = [0, 1, 2].some((descriptor) => isatty(descriptor));
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, end);
  process.on("SIGHUP", () => {
    if (hasTerminal) end("SIGHUP");
  });
}
