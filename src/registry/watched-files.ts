import { RegistryError } from "../oci/errors.ts";
import type { IncomingFile, IncomingFiles } from "../storage/incoming-files.ts";
import type { Services } from "./ports.ts";

/** After so many bytes of one file a line is logged. */
const LOG_EVERY = 1024 ** 3;

/** Files that are read at a start: the log tells how far a large one has come, and a signal ends its reading with its reason. */
export function watchedFiles({ files, log }: Pick<Services, "files" | "log">, signal: AbortSignal): IncomingFiles {
  return {
    open: async (path) => {
      const file = await files.open(path);
      return { ...file, bytes: () => watched(file, { path, log, signal }) };
    },
    removeIfSame: (path, identity) => files.removeIfSame(path, identity),
  };
}

interface Watching {
  readonly path: string;
  readonly log: Services["log"];
  readonly signal: AbortSignal;
}

async function* watched(file: IncomingFile, { path, log, signal }: Watching): AsyncGenerator<Uint8Array> {
  let [read, due] = [0, LOG_EVERY];
  for await (const chunk of readable(file)) {
    signal.throwIfAborted();
    yield chunk;
    read += chunk.byteLength;
    if (read < due) continue;
    log.info({ path, bytes: read, of: file.size }, "a file is being copied");
    due += LOG_EVERY;
  }
}

/** A file that the disk does not give is its entry's misfortune, and no reason to start not at all. */
async function* readable(file: IncomingFile): AsyncGenerator<Uint8Array> {
  try {
    yield* file.bytes();
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown";
    throw new RegistryError("CONFLICT", `hash verification failed: the file cannot be read (${code})`, { cause: error });
  }
}
