import { setImmediate } from "node:timers/promises";
import { type Digest, digestSchema } from "../oci/digest.ts";
import { repositoryNameSchema } from "../oci/reference.ts";
import { expireLink } from "../registry/expire-link.ts";
import type { Services } from "../registry/ports.ts";
import { condemn, finishRemoval } from "../registry/remove-blob.ts";
import { keys, under } from "../storage/keys.ts";
import type { Entry } from "../storage/metadata-store.ts";
import { type CollectionRecord, blobRecord, blobUseRecord, collectionRecord } from "../storage/records.ts";

type Needs = Pick<Services, "metadata" | "blobs" | "clock" | "newId" | "log" | "settings">;

/** Rows of one look-up; and blobs and links between two records of how far the collection has come. */
const PAGE = 500;
const NAME = "collect-garbage";

/**
 * Takes away the links to blobs that no manifest of their repository names, and removes every blob that no repository links, while pushes
 * go on; but nothing that somebody has used within the grace (`expire-link.ts` and `remove-blob.ts` say why no push can lose what it
 * needs). First the blobs with a record, then files without one, which crashed pushes left. The number of blobs that were removed. A signal
 * ends the collection early; the next one goes on where it was.
 */
export async function collectGarbage(services: Needs, signal?: AbortSignal): Promise<number> {
  const found = await services.metadata.get(keys.job(NAME));
  const { phase, after, looked = 0 } = found === undefined ? BEGINNING : collectionRecord.parse(found.value);
  const collection = new Collection(services, { looked, signal });
  if (phase === "records") await collection.ofRecords(after ?? undefined);
  await collection.ofFiles(phase === "files" ? (after ?? undefined) : undefined);
  if (signal?.aborted !== true) await services.metadata.commit({ expect: [], put: [], remove: [keys.job(NAME)], audit: [] });
  return collection.removed;
}

const BEGINNING: CollectionRecord = { v: 1, phase: "records", after: null };
/** After so long (ms) it is written down how far it has come, too: somebody may look at it. */
const MARK_AFTER = 2000;

/** How far a collection has come. */
type Place = Pick<CollectionRecord, "phase" | "after">;

class Collection {
  readonly #services: Needs;
  /** What was touched later (epoch, ms) stays. */
  readonly #before: number;
  readonly #signal: AbortSignal | undefined;
  /** Since the last record of how far this has come, and when that was (epoch, ms). */
  #steps = 0;
  #markedAt: number;
  #looked: number;
  removed = 0;

  constructor(services: Needs, { looked, signal }: { readonly looked: number; readonly signal: AbortSignal | undefined }) {
    this.#services = services;
    this.#markedAt = services.clock();
    this.#before = this.#markedAt - services.settings.collectGrace;
    this.#looked = looked;
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
        await this.#step();
        await this.#passed({ phase: "records", after: digest });
        from = digest;
      }
      if (page.length < PAGE) return;
    }
  }

  async ofFiles(after: Digest | undefined): Promise<void> {
    if (this.#isEnding()) return;
    await this.#mark({ phase: "files", after: after ?? null });
    for await (const digest of this.#services.blobs.list(after)) {
      if (this.#isEnding()) return;
      await this.#remove(digest, () => this.#isOrphan(digest));
      await this.#step();
      await this.#passed({ phase: "files", after: digest });
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
    const { status, touchedAt, size } = blobRecord.parse(entry.value);
    if (status === "condemned") return true;
    // A link made after this look would have put the record or the use, and the expectation on its version would fail.
    const use = await this.#services.metadata.get(keys.blobUse(digest));
    const usedAt = use === undefined ? touchedAt : blobUseRecord.parse(use.value).at;
    if ((await this.#staysLinked(digest)) || Math.max(touchedAt, usedAt) > this.#before) return false;
    return condemn(this.#services, digest, { record: entry, use, size });
  }

  /** Does any repository link the blob, once the links that nothing needs are gone? */
  async #staysLinked(digest: Digest): Promise<boolean> {
    let stays = false;
    let after: readonly string[] = [];
    for (;;) {
      const page = await this.#services.metadata.list(under(keys.blobRepositories(digest), PAGE, after));
      for (const { key } of page) {
        if (this.#isEnding()) return true;
        const repository = repositoryNameSchema.parse(key[2]);
        if (!(await expireLink(this.#services, { repository, digest }, this.#before))) stays = true;
        await this.#step();
        after = [repository];
      }
      if (page.length < PAGE) return stays;
    }
  }

  /** Is this the file of no record, and condemned now? */
  async #isOrphan(digest: Digest): Promise<boolean> {
    const { metadata, blobs } = this.#services;
    if ((await metadata.get(keys.blob(digest))) !== undefined) return false;
    const use = await metadata.get(keys.blobUse(digest));
    const file = await blobs.published(digest);
    if (file === undefined || file.at > this.#before) return false;
    return condemn(this.#services, digest, { record: undefined, use, size: file.size });
  }

  /** Look-ups in memory wait for nothing: requests get their turn between two steps. */
  async #step(): Promise<void> {
    this.#steps += 1;
    await setImmediate();
  }

  async #passed(place: Place): Promise<void> {
    // A collection that is ending may not have looked at all links of the last blob.
    if (this.#isEnding()) return;
    this.#looked += 1;
    if (this.#steps >= PAGE || this.#services.clock() - this.#markedAt >= MARK_AFTER) await this.#mark(place);
  }

  async #mark(place: Place): Promise<void> {
    this.#steps = 0;
    this.#markedAt = this.#services.clock();
    const value: CollectionRecord = { v: 1, ...place, looked: this.#looked };
    await this.#services.metadata.commit({ expect: [], put: [{ key: keys.job(NAME), value }], remove: [], audit: [] });
  }
}
