import { type Hash, createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { type Descriptor } from "../oci/descriptor.ts";
import { algorithmOf, encodedOf } from "../oci/digest.ts";
import { CliError, EXIT } from "./failure.ts";
import { ConnectionError, type HttpAnswer, explain } from "./http.ts";
import { Patience } from "./patience.ts";
import type { Repository } from "./registry-client.ts";
import { inPlaceOf } from "./temporaries.ts";
import { writeAt } from "./write-at.ts";

export interface DownloadOptions {
  /** Gets how many bytes have come so far. */
  readonly progress?: (bytes: number) => void;
  /** Gets why a download was interrupted, each time that it is gone on with. */
  readonly interrupted?: ((why: string) => void) | undefined;
}

/**
 * Downloads a blob to a file. The bytes are hashed as they are written to a temporary file beside it, which takes the name only when
 * size and digest are right: nobody ever finds wrong or half bytes under it. A broken connection is gone on with by Range.
 */
export async function pullBlob(repository: Repository, blob: Descriptor, path: string, options: DownloadOptions = {}): Promise<void> {
  await inPlaceOf(path, async (temporary) => {
    const file = await open(temporary, "wx");
    try {
      await pullInto(repository, blob, { file, at: 0 }, options);
      await file.datasync();
    } finally {
      await file.close();
    }
  });
}

/** As `pullBlob`, into a file that is open, from an offset on; nothing may stand behind it yet. */
export async function pullInto(repository: Repository, blob: Descriptor, place: FilePlace, options: DownloadOptions = {}): Promise<void> {
  await new Download(repository, blob, place, options).run();
}

/** Where in a file some bytes belong. */
export interface FilePlace {
  readonly file: FileHandle;
  readonly at: number;
}

class Download {
  readonly #repository: Repository;
  readonly #blob: Descriptor;
  readonly #place: FilePlace;
  readonly #options: DownloadOptions;
  readonly #patience: Patience;
  #hash: Hash;
  #received = 0;

  constructor(repository: Repository, blob: Descriptor, place: FilePlace, options: DownloadOptions) {
    this.#repository = repository;
    this.#blob = blob;
    this.#place = place;
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
    await writeAt(this.#place.file, chunk, this.#place.at + this.#received);
    this.#received += chunk.length;
    this.#options.progress?.(this.#received);
  }

  /** The registry sends all of it again. */
  async #restart(): Promise<void> {
    await this.#place.file.truncate(this.#place.at);
    this.#hash = createHash(algorithmOf(this.#blob.digest));
    this.#received = 0;
  }
}
