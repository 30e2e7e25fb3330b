import { type Logger, pino } from "pino";

export type { Logger } from "pino";

/** Our own secrets, bearer tokens and JWTs, wherever they stand in a line (identity.md §10). */
const SECRETS = /\bamr[rsu]?_[0-9A-Za-z]{36}\b|\beyJ[\w-]+\.[\w-]+\.[\w-]+|\b(?:Bearer|Basic) +[\w.~+/=-]+/g;

/** JSON lines on standard output: constant messages, values as fields; whatever looks like a secret is blanked last. */
export function createLogger(level: string): Logger {
  return pino({ level, base: { pid: process.pid }, hooks: { streamWrite: (line) => line.replace(SECRETS, "[redacted]") } });
}
