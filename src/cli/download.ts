import { type Hash, createHash, randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type Descriptor } from "../oci/descriptor.ts";
import { algorithmOf, encodedOf } from "../oci/digest.ts";
import { CliError, EXIT } from "./failure.ts";
import { ConnectionError, type HttpAnswer, explain } from "./http.ts";
import { Patience } from "./patience.ts";
import type { Repository } from "./registry-client.ts";

export interface DownloadOptions {
  /** Gets how many bytes have come so far. */
  readonly progress?: (bytes: number) => void;
  /** Gets why a download was interrupted, each time that it is gone on with. */
  readonly interrupted?: ((why: string) => void) | undefined;
}

/** Files that are being written, for a signal that ends the process. */
const temporaries = new Set<string>();

/** Removes what an interrupted download would leave behind; for handlers of signals. */
export function removeTemporaries(): void {
  for (const file of temporaries) rmSync(file, { force: true });
}

/**
 * Downloads a blob to a file. The bytes are hashed as they are written to a temporary file beside it, which takes the name only when
 * size and digest are right: nobody ever finds wrong or half bytes under it. A broken connection is gone on with by Range.
 */
export async function pullBlob(repository: Repository, blob: Descriptor, path: string, options: DownloadOptions = {}): Promise<void> {
  const temporary = join(dirname(path), `.securectl-${randomBytes(8).toString("hex")}.part`);
  const file = await open(temporary, "wx");
  temporaries.add(temporary);
  try {
    try {
      await new Download(repository, blob, file, options).run();
      await file.datasync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  } finally {
    temporaries.delete(temporary);
  }
}

class Download {
  readonly #repository: Repository;
  readonly #blob: Descriptor;
  readonly #file: FileHandle;
  readonly #options: DownloadOptions;
  readonly #patience: Patience;
  #hash: Hash;
  #received = 0;

  constructor(repository: Repository, blob: Descriptor, file: FileHandle, options: DownloadOptions) {
    this.#repository = repository;
    this.#blob = blob;
    this.#file = file;
    this.#options = options;
    this.#patience = new Patience(options.interrupted);
    this.#hash = createHash(algorithmOf(blob.digest));
  }

  async run(): Promise<void> {
    for (let whole = false; !whole;) {
      try {
        await this.#receive();
        whole = true;
      } catch (error) {
        this.#patience.reached(this.#received);
        await this.#patience.afterFailure(error);
      }
    }
    const found = this.#hash.digest("hex");
    if (found !== encodedOf(this.#blob.digest)) {
      throw new CliError(EXIT.integrity, `the bytes that came do not have the digest ${this.#blob.digest}: nothing was kept`);
    }
  }

  async #receive(): Promise<void> {
    if (this.#received === this.#blob.size && this.#received > 0) return;
    const { start, answer } = await this.#repository.openBlob(this.#blob.digest, this.#received);
    if (start !== this.#received) {
      if (start !== 0) throw new CliError(EXIT.failure, "the registry answered with another range than was asked for");
      await this.#restart();
    }
    await this.#writeAll(answer);
    if (this.#received < this.#blob.size) throw new ConnectionError("the answer ended early", undefined);
  }

  async #writeAll({ body }: HttpAnswer): Promise<void> {
    try {
      for await (const chunk of body as AsyncIterable<Buffer>) await this.#write(chunk);
    } catch (error) {
      // Errors of the disk are none of the connection.
      const own = error instanceof CliError || (error instanceof Error && "syscall" in error && error.syscall === "write");
      throw own ? error : new ConnectionError(`the connection broke: ${explain(error)}`, error);
    }
  }

  async #write(chunk: Buffer): Promise<void> {
    if (this.#received + chunk.length > this.#blob.size) {
      throw new CliError(EXIT.integrity, `more bytes came than the ${this.#blob.size} that the manifest names: nothing was kept`);
    }
    this.#hash.update(chunk);
    for (let at = 0; at < chunk.length;) at += (await this.#file.write(chunk, at, chunk.length - at, this.#received + at)).bytesWritten;
    this.#received += chunk.length;
    this.#options.progress?.(this.#received);
  }

  /** The registry sends all of it again. */
  async #restart(): Promise<void> {
    await this.#file.truncate(0);
    this.#hash = createHash(algorithmOf(this.#blob.digest));
    this.#received = 0;
  }
}
