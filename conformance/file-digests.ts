import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";

/** Digests of files; one that has not changed since it was read is not read again. */
export class FileDigests {
  readonly #known = new Map<string, string>();

  /** Undefined when there is no such file. */
  async of(path: string, algorithm = "sha256"): Promise<string | undefined> {
    const found = await stat(path).catch(() => undefined);
    if (found === undefined) return undefined;
    const file = `${algorithm} ${found.ino} ${found.size} ${found.mtimeMs}`;
    const known = this.#known.get(file);
    if (known !== undefined) return known;
    const bytes = await readFile(path).catch(() => undefined);
    if (bytes === undefined) return undefined;
    const digest = `${algorithm}:${createHash(algorithm).update(bytes).digest("hex")}`;
    this.#known.set(file, digest);
    return digest;
  }
}
