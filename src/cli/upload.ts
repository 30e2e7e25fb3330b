import type { Digest } from "../oci/digest.ts";
import { CliError, EXIT } from "./failure.ts";
import { type HttpAnswer, discard } from "./http.ts";
import { Patience } from "./patience.ts";
import type { Repository } from "./registry-client.ts";

/** A blob that is to be pushed; it can be read from any offset, again and again. */
export interface BlobSource {
  readonly digest: Digest;
  readonly size: number;
  open(start: number): AsyncIterable<Uint8Array>;
}

export interface UploadOptions {
  /** Gets how many bytes were sent so far. */
  readonly progress?: (sent: number) => void;
  /** Gets why an upload was interrupted, each time that it is gone on with. */
  readonly interrupted?: ((why: string) => void) | undefined;
}

/**
 * Pushes a blob that the repository does not have, by POST and one PUT (distribution-spec §Pushing blobs). When the connection breaks,
 * the upload tells by GET how much it has, and only the rest is sent. False when the blob was there before.
 */
export async function pushBlob(repository: Repository, source: BlobSource, options: UploadOptions = {}): Promise<boolean> {
  if (await repository.hasBlob(source.digest)) return false;
  await new Upload(repository, source, options).run();
  return true;
}

class Upload {
  readonly #repository: Repository;
  readonly #source: BlobSource;
  readonly #options: UploadOptions;
  readonly #patience: Patience;
  /** Where to go on; undefined before the upload began, and when the registry forgot it. */
  #location: string | undefined;
  #offset = 0;
  /** Did the upload tell the offset? Then the rest is sent with its range, so that no byte can end up in a wrong place. */
  #resumed = false;
  #interrupted = false;

  constructor(repository: Repository, source: BlobSource, options: UploadOptions) {
    this.#repository = repository;
    this.#source = source;
    this.#options = options;
    this.#patience = new Patience(options.interrupted);
  }

  async run(): Promise<void> {
    for (;;) {
      try {
        if (this.#location === undefined && (await this.#begin()) === "there") return;
        await this.#finish(this.#location ?? "");
        return;
      } catch (error) {
        await this.#failed(error);
      }
      await this.#resume();
    }
  }

  async #begin(): Promise<"there" | "begun"> {
    // The answer to the closing PUT may have been lost, and with it the upload: the blob is there then.
    if (this.#interrupted && (await this.#repository.hasBlob(this.#source.digest))) return "there";
    const path = this.#repository.path("/blobs/uploads/");
    const answer = await this.#send("POST", path, [202]);
    discard(answer);
    this.#location = this.#repository.client.ownPath(answer.headers.location, path);
    [this.#offset, this.#resumed] = [0, false];
    return "begun";
  }

  /** Sends all that is left in the closing PUT. */
  async #finish(location: string): Promise<void> {
    const { size, digest } = this.#source;
    const url = new URL(location, this.#repository.client.origin);
    url.searchParams.set("digest", digest);
    const start = this.#offset;
    const range: Record<string, string> = this.#resumed && start < size ? { "Content-Range": `${start}-${size - 1}` } : {};
    const answer = await this.#repository.client.send(
      {
        method: "PUT",
        path: url.pathname + url.search,
        headers: { "Content-Type": "application/octet-stream", ...range },
        body: { length: size - start, open: () => this.#counted(start) },
      },
      this.#repository.scope("pull,push"),
      [201],
    );
    discard(answer);
    const claimed = answer.headers["docker-content-digest"];
    if (claimed !== undefined && claimed !== digest)
      throw new CliError(EXIT.integrity, `the registry took ${digest} for ${String(claimed)}`);
  }

  async *#counted(start: number): AsyncGenerator<Uint8Array> {
    let sent = start;
    for await (const chunk of this.#source.open(start)) {
      yield chunk;
      sent += chunk.length;
      this.#options.progress?.(sent);
    }
    if (sent !== this.#source.size) throw new CliError(EXIT.failure, "the file was changed while it was being pushed");
  }

  async #failed(error: unknown): Promise<void> {
    this.#interrupted = true;
    // `Range: 0-0` stands for no byte and for one: what does not fit is begun anew.
    const misplaced = error instanceof CliError && error.answer?.status === 416 && this.#resumed;
    if (misplaced) [this.#location, this.#resumed] = [undefined, false];
    else await this.#patience.afterFailure(error);
  }

  /** Asks the upload for its offset until it tells; one that the registry forgot is begun anew. */
  async #resume(): Promise<void> {
    for (let told = false; !told && this.#location !== undefined;) {
      try {
        await this.#askOffset(this.#location);
        told = true;
      } catch (error) {
        await this.#patience.afterFailure(error);
      }
    }
  }

  async #askOffset(location: string): Promise<void> {
    const answer = await this.#send("GET", location, [204, 404]);
    discard(answer);
    this.#location = answer.status === 404 ? undefined : this.#repository.client.ownPath(answer.headers.location ?? location, location);
    const offset = offsetOf(answer);
    if (offset > this.#source.size) throw new CliError(EXIT.failure, "the upload has more bytes than the file: it was changed meanwhile");
    [this.#offset, this.#resumed] = [offset, true];
    this.#patience.reached(offset);
  }

  async #send(method: string, path: string, expected: readonly number[]): Promise<HttpAnswer> {
    const body = method === "POST" ? { body: { length: 0, open: nothing } } : {};
    return this.#repository.client.send({ method, path, ...body }, this.#repository.scope("pull,push"), expected);
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

/** What an upload has: `Range: 0-<last byte>`, where `0-0` also stands for nothing. */
function offsetOf({ headers }: HttpAnswer): number {
  const last = /^(?:bytes=)?0-(\d+)$/.exec(headers.range ?? "")?.[1];
  return last === undefined || last === "0" ? 0 : Number(last) + 1;
}
