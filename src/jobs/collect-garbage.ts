import { type Digest, digestSchema } from "../oci/digest.ts";
import type { Services } from "../registry/ports.ts";
import { condemn, finishRemoval } from "../registry/remove-blob.ts";
import { keys, under } from "../storage/keys.ts";
import type { Entry } from "../storage/metadata-store.ts";
import { type CollectionRecord, blobRecord, collectionRecord } from "../storage/records.ts";

type Needs = Pick<Services, "metadata" | "blobs" | "clock" | "newId" | "log">;

export interface CollectOptions {
  /** How long (ms) a blob must have been without a link before it goes; longer than a push may take to link what it has published. */
  readonly grace?: number;
  /** Ends the collection early; the next one goes on where it was. */
  readonly signal?: AbortSignal;
}

const GRACE = 60 * 60 * 1000;
/** Blobs between two records of how far the collection has come. */
const PAGE = 500;
const NAME = "collect-garbage";

/**
 * Removes every blob that no repository links and that nobody has touched for the grace period, while pushes go on: `remove-blob.ts` says
 * why none of them can lose its bytes. First the blobs with a record, then files without one, which crashed pushes left. The number of
 * blobs that were removed.
 */
export async function collectGarbage(services: Needs, { grace = GRACE, signal }: CollectOptions = {}): Promise<number> {
  const collection = new Collection(services, services.clock() - grace, signal);
  const found = await services.metadata.get(keys.job(NAME));
  const { phase, after } = found === undefined ? BEGINNING : collectionRecord.parse(found.value);
  if (phase === "records") await collection.ofRecords(after ?? undefined);
  await collection.ofFiles(phase === "files" ? (after ?? undefined) : undefined);
  if (signal?.aborted !== true) await services.metadata.commit({ expect: [], put: [], remove: [keys.job(NAME)], audit: [] });
  return collection.removed;
}

const BEGINNING: CollectionRecord = { v: 1, phase: "records", after: null };

class Collection {
  readonly #services: Needs;
  /** What was touched later (epoch, ms) stays. */
  readonly #before: number;
  readonly #signal: AbortSignal | undefined;
  removed = 0;

  constructor(services: Needs, before: number, signal: AbortSignal | undefined) {
    this.#services = services;
    this.#before = before;
    this.#signal = signal;
  }

  #isEnding(): boolean {
    return this.#signal?.aborted === true;
  }

  async ofRecords(after: Digest | undefined): Promise<void> {
    let from = after;
    for (;;) {
      const page = await this.#services.metadata.list(under(keys.blobs(), PAGE, from === undefined ? [] : [from]));
      for (const entry of page) {
        if (this.#isEnding()) return;
        const digest = digestSchema.parse(entry.key[1]);
        await this.#remove(digest, () => this.#isGarbage(digest, entry));
        from = digest;
      }
      if (page.length < PAGE) return;
      await this.#mark({ v: 1, phase: "records", after: from ?? null });
    }
  }

  async ofFiles(after: Digest | undefined): Promise<void> {
    if (this.#isEnding()) return;
    await this.#mark({ v: 1, phase: "files", after: after ?? null });
    let seen = 0;
    for await (const digest of this.#services.blobs.list(after)) {
      if (this.#isEnding()) return;
      await this.#remove(digest, () => this.#isOrphan(digest));
      seen += 1;
      if (seen % PAGE === 0) await this.#mark({ v: 1, phase: "files", after: digest });
    }
  }

  /** One blob that cannot be removed now, such as for an error of its disk, keeps no other one. */
  async #remove(digest: Digest, isCondemned: () => Promise<boolean>): Promise<void> {
    try {
      if ((await isCondemned()) && (await finishRemoval(this.#services, digest))) this.removed += 1;
    } catch (error) {
      this.#services.log.error({ err: error, digest }, "a blob could not be collected");
    }
  }

  /** Is the blob of this record condemned, before or now? */
  async #isGarbage(digest: Digest, entry: Entry): Promise<boolean> {
    const { metadata } = this.#services;
    const { status, touchedAt, size } = blobRecord.parse(entry.value);
    if (status === "condemned") return true;
    if (touchedAt > this.#before) return false;
    // A link made after this look would have put the record, and the expectation on its version would fail.
    const [link] = await metadata.list(under(keys.blobRepositories(digest), 1));
    return link === undefined && condemn(this.#services, digest, entry, size);
  }

  /** Is this the file of no record, and condemned now? */
  async #isOrphan(digest: Digest): Promise<boolean> {
    const { metadata, blobs } = this.#services;
    if ((await metadata.get(keys.blob(digest))) !== undefined) return false;
    const file = await blobs.stat(digest);
    return file !== undefined && file.modifiedAt <= this.#before && condemn(this.#services, digest, undefined, file.size);
  }

  async #mark(record: CollectionRecord): Promise<void> {
    await this.#services.metadata.commit({ expect: [], put: [{ key: keys.job(NAME), value: record }], remove: [], audit: [] });
  }
}
