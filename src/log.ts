import { type DestinationStream, type Logger, pino } from "pino";
import { LineOutput } from "./line-output.ts";

export type { Logger } from "pino";

/** Our own secrets, bearer tokens and JWTs, wherever they stand in a line (identity.md §10). */
const SECRETS = /\bamr[rsu]?_[0-9A-Za-z]{36}\b|\beyJ[\w-]+\.[\w-]+\.[\w-]+|\b(?:Bearer|Basic) +[\w.~+/=-]+/g;

/** JSON lines on standard output: constant messages, values as fields; whatever looks like a secret is blanked last, whoever logs it. */
export function createLogger(level: string, destination: DestinationStream = logOn(new LineOutput(1))): Logger {
  const options = { level, base: { pid: process.pid }, hooks: { streamWrite: (line: string) => line.replace(SECRETS, "[redacted]") } };
  return pino(options, destination);
}

const FATAL = 60;

/**
 * A log goes on whatever becomes of where it is written. Lines are written in the background; but whoever logs a fatal one is about to end,
 * with all that is under way: it is written at once, or not at all where nothing takes it.
 */
export function logOn(output: LineOutput): DestinationStream {
  return {
    // Has pino say the level of each line.
    [pino.symbols.needsMetadataGsym]: true,
    lastLevel: 0,
    write(line: string): void {
      if (this.lastLevel < FATAL) output.write(line);
      else output.writeAtOnce(line);
    },
  } as DestinationStream & { lastLevel: number };
}
