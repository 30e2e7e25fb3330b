import { writeSync } from "node:fs";
import { type DestinationStream, type Logger, pino } from "pino";

export type { Logger } from "pino";

/** Our own secrets, bearer tokens and JWTs, wherever they stand in a line (identity.md §10). */
const SECRETS = /\bamr[rsu]?_[0-9A-Za-z]{36}\b|\beyJ[\w-]+\.[\w-]+\.[\w-]+|\b(?:Bearer|Basic) +[\w.~+/=-]+/g;

/** JSON lines on standard output: constant messages, values as fields; whatever looks like a secret is blanked last, whoever logs it. */
export function createLogger(level: string, destination: DestinationStream = standardOutput()): Logger {
  const options = { level, base: { pid: process.pid }, hooks: { streamWrite: (line: string) => line.replace(SECRETS, "[redacted]") } };
  return pino(options, destination);
}

const STDOUT = 1;
const FATAL = 60;

/**
 * Lines are written in the background, so that a reader of the log that stalls stalls nothing else; but whoever logs a fatal one is about
 * to end, with all that is under way. It is written at once, or not at all where the log takes nothing more.
 */
function standardOutput(): DestinationStream {
  const background = pino.destination({ dest: STDOUT, sync: false });
  return {
    // Has pino say the level of each line.
    [pino.symbols.needsMetadataGsym]: true,
    lastLevel: 0,
    write(line: string): void {
      if (this.lastLevel < FATAL) return void background.write(line);
      try {
        background.flushSync();
        writeSync(STDOUT, line);
      } catch {
        // Nothing reads it, and nobody is left to be told.
      }
    },
  } as DestinationStream & { lastLevel: number };
}
