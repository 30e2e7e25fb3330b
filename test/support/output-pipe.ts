import { execFileSync } from "node:child_process";
import { closeSync, constants, openSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";

/** A pipe for what a program writes, which is read when the test asks for it and else not at all. */
export interface OutputPipe {
  /** For the program; to be closed here once it has started. */
  readonly forProgram: number;
  /** What is in it now. */
  readonly read: () => string;
  /** Fills it. */
  readonly fill: () => void;
  /** Nobody reads it any more. */
  readonly close: () => void;
}

/** In a folder of the test's own. */
export function openPipe(folder: string, name = "output"): OutputPipe {
  const path = join(folder, name);
  execFileSync("mkfifo", [path]);
  let reader: number | undefined = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const forProgram = openSync(path, constants.O_WRONLY);
  const bytes = Buffer.alloc(65_536);
  return {
    forProgram,
    read: () => {
      if (reader === undefined) return "";
      try {
        return bytes.toString("utf8", 0, readSync(reader, bytes));
      } catch (error) {
        if (!isFull(error)) throw error;
        return "";
      }
    },
    fill: () => {
      const writer = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
      try {
        for (;;) writeSync(writer, "\n");
      } catch (error) {
        if (!isFull(error)) throw error;
      } finally {
        closeSync(writer);
      }
    },
    close: () => {
      if (reader !== undefined) closeSync(reader);
      reader = undefined;
    },
  };
}

/** Is there nothing to read, or no room to write? */
function isFull(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "EAGAIN";
}
