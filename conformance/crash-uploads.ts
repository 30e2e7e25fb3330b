import type { Content } from "./crash-content.ts";
import { ACTORS, type OpenUpload, type RepositoryTruth, STATUS } from "./crash-truth.ts";
import { must } from "./must.ts";
import type { Chance } from "./seeded-chance.ts";
import { type Wire, type WireAnswer, wordsOf } from "./wire.ts";

/** Uploads that a client leaves open at most. */
const MAX_OPEN = 4;

/** The ways in which a client pushes blobs: in one request, in two, in chunks, and with a pause of any length in between. */
export class UploadingClient {
  acknowledged = 0;
  readonly #truth: RepositoryTruth;
  readonly #chance: Chance;
  readonly #wire: Wire;

  constructor(truth: RepositoryTruth, chance: Chance, wire: Wire) {
    this.#truth = truth;
    this.#chance = chance;
    this.#wire = wire;
  }

  /** Pushes a blob unless it is there, as clients ask first. */
  async ensure(content: Content): Promise<void> {
    const { name, model, repository } = this.#truth;
    const there = await this.#wire.ask("publisher", "HEAD", `/v2/${name}/blobs/${content.digest}`);
    if (there.status !== 200) await this.#push(content);
    model.pushBlob(ACTORS.publisher, repository, content.digest);
  }

  async #push(content: Content): Promise<void> {
    const dice = this.#chance.between(0, 9);
    const start = `/v2/${this.#truth.name}/blobs/uploads/`;
    if (dice < 4) {
      const path = `${start}?digest=${content.digest}`;
      return this.#accepted(await this.#wire.ask("publisher", "POST", path, { body: content.bytes, pieces: this.#pieces() }), 201);
    }
    const upload = await this.#begin(content);
    await this.#finish(dice < 7 ? upload : await this.#chunks(upload, 3));
  }

  /** Begins an upload, and leaves it for later after some chunks. */
  async leaveOne(content: Content): Promise<void> {
    if (this.#truth.uploads.length >= MAX_OPEN) return this.goOn();
    await this.#chunks(await this.#begin(content), 2);
  }

  /** Goes on with an upload where the registry says, to its end or to its cancellation. */
  async goOn(): Promise<void> {
    const upload = this.#chance.pick(this.#truth.uploads);
    if (upload === undefined) return;
    const now = await resume(this.#truth, this.#wire, upload);
    if (now === undefined) return;
    if (this.#chance.inHundred(10)) return this.#cancel(now);
    await this.#finish(this.#chance.inHundred(50) ? await this.#chunks(now, 2) : now);
  }

  async #begin(content: Content): Promise<OpenUpload> {
    const answer = await this.#wire.ask("publisher", "POST", `/v2/${this.#truth.name}/blobs/uploads/`);
    this.#accepted(answer, 202);
    return this.#keep({ content, location: locationOf(answer), acknowledged: 0, sent: 0, closing: false });
  }

  /** Sends some of what is left, in so many chunks at most. */
  async #chunks(begun: OpenUpload, most: number): Promise<OpenUpload> {
    let upload = begun;
    for (let count = this.#chance.between(1, most); count > 0 && upload.acknowledged < upload.content.bytes.length; count -= 1) {
      const { content, acknowledged } = upload;
      const left = content.bytes.length - acknowledged;
      const end = acknowledged + this.#chance.between(1, left);
      upload = this.#keep({ ...upload, sent: end });
      const headers = { "content-type": "application/octet-stream", "content-range": `${acknowledged}-${end - 1}` };
      const body = content.bytes.subarray(acknowledged, end);
      const answer = await this.#wire.ask("publisher", "PATCH", upload.location, { headers, body, pieces: this.#pieces() });
      this.#accepted(answer, 202);
      upload = this.#keep({ ...upload, location: locationOf(answer), acknowledged: end });
    }
    return upload;
  }

  async #finish(open: OpenUpload): Promise<void> {
    const { content, acknowledged } = open;
    const upload = this.#keep({ ...open, sent: content.bytes.length, closing: true });
    const path = `${upload.location}${upload.location.includes("?") ? "&" : "?"}digest=${content.digest}`;
    const body = content.bytes.subarray(acknowledged);
    this.#accepted(await this.#wire.ask("publisher", "PUT", path, { body, pieces: this.#pieces() }), 201);
    forget(this.#truth, upload);
  }

  async #cancel(upload: OpenUpload): Promise<void> {
    // Whatever comes of it: that it goes on is promised no longer.
    forget(this.#truth, upload);
    this.#accepted(await this.#wire.ask("publisher", "DELETE", upload.location), 204);
  }

  #accepted(answer: WireAnswer, status: number): void {
    must(answer.status === status, `an upload to ${this.#truth.name} was answered ${wordsOf(answer)} instead of ${status}`);
    this.acknowledged += 1;
  }

  #keep(upload: OpenUpload): OpenUpload {
    forget(this.#truth, upload);
    this.#truth.uploads = [...this.#truth.uploads, upload];
    return upload;
  }

  #pieces(): number {
    return this.#chance.between(1, 8);
  }
}

/**
 * Asks where an upload goes on: not before what was acknowledged, and not after what was sent. Undefined when it is closed, which has to be
 * so because its blob is there.
 */
export async function resume(truth: RepositoryTruth, wire: Wire, upload: OpenUpload): Promise<OpenUpload | undefined> {
  const { content, location, acknowledged, sent, closing } = upload;
  const answer = await wire.ask("publisher", "GET", location);
  if (answer.status === 404 && closing) {
    await checkClosed(truth, wire, content);
    forget(truth, upload);
    return undefined;
  }
  must(answer.status === 204, `an upload to ${truth.name} with ${acknowledged} bytes was answered ${wordsOf(answer)}`);
  const offset = offsetOf(answer);
  must(offset >= acknowledged && offset <= sent, `an upload has ${offset} bytes; ${acknowledged} were acknowledged, ${sent} sent`);
  const now = { ...upload, location: locationOf(answer), acknowledged: offset };
  forget(truth, upload);
  truth.uploads = [...truth.uploads, now];
  return now;
}

/** The blob of an upload that is gone is there, and its publisher is told so unless all that names it was revoked. */
async function checkClosed(truth: RepositoryTruth, wire: Wire, { digest, bytes }: Content): Promise<void> {
  const { name, model, repository } = truth;
  const path = `/v2/${name}/blobs/${digest}`;
  model.pushBlob(ACTORS.publisher, repository, digest);
  const wanted = STATUS[model.blob(ACTORS.publisher, repository, digest)];
  const told = await wire.ask("publisher", "HEAD", path);
  must(told.status === wanted, `an upload is gone, and HEAD ${path} was answered ${told.status} instead of ${wanted}`);
  const blob = await wire.ask("operator", "GET", path);
  must(
    blob.status === 200 && blob.body.equals(bytes),
    `an upload is gone, and GET ${path} was answered ${blob.status}, or with other bytes`,
  );
}

/** How many bytes an upload has, by `Range: 0-<last>` of an answer about it. */
function offsetOf({ headers }: WireAnswer): number {
  const last = Number(/^0-(\d+)$/.exec(headers["range"] ?? "")?.[1] ?? 0);
  // An upload without a byte is told like one with a single one; the location's own parameter tells them apart.
  return last === 0 && /[?&]_o=0(?:&|$)/.test(headers.location ?? "") ? 0 : last + 1;
}

function forget(truth: RepositoryTruth, { location }: OpenUpload): void {
  truth.uploads = truth.uploads.filter((other) => pathOf(other.location) !== pathOf(location));
}

function pathOf(location: string): string {
  return location.split("?", 1)[0] ?? "";
}

function locationOf({ headers }: WireAnswer): string {
  return headers.location ?? "";
}
