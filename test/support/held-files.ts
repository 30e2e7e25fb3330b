import type { IncomingFiles } from "../../src/storage/incoming-files.ts";

/** Files that are read only once they are let go, as from a disk that takes very long. */
export class HeldFiles {
  readonly #files: IncomingFiles;
  readonly #holds = new Map<string, { readonly reached: () => void; readonly until: Promise<void> }>();

  constructor(files: IncomingFiles) {
    this.#files = files;
  }

  /** Holds whoever reads a file next, from its first byte on. `reached`: somebody reads it; `letGo` ends the hold, for all. */
  hold(path: string): { readonly reached: Promise<void>; letGo(): void } {
    const [reached, until] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    this.#holds.set(path, { reached: () => reached.resolve(), until: until.promise });
    return { reached: reached.promise, letGo: () => until.resolve() };
  }

  get files(): IncomingFiles {
    return {
      open: async (path) => {
        const file = await this.#files.open(path);
        const hold = this.#holds.get(path);
        if (hold === undefined) return file;
        async function* bytes(): AsyncGenerator<Uint8Array> {
          hold?.reached();
          await hold?.until;
          yield* file.bytes();
        }
        return { ...file, bytes };
      },
      removeIfSame: (path, identity) => this.#files.removeIfSame(path, identity),
    };
  }
}
