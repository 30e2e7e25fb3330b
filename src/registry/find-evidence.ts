import type { Digest } from "../oci/digest.ts";
import { evidenceTags } from "../oci/evidence-tag.ts";
import type { Manifest } from "../oci/manifest.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { MAX_REFERRERS, type Skipped } from "../trust/candidate.ts";
import { type ReadOf, inTurns } from "../trust/candidate-turns.ts";
import { keys } from "../storage/keys.ts";
import type { Expectation } from "../storage/metadata-store.ts";
import type { ManifestRecord } from "../storage/records.ts";
import { isRevoked } from "./closure.ts";
import { EvidenceReader, type HeldCandidate } from "./evidence-reader.ts";
import { personOf } from "./manifest-rows.ts";
import type { Services } from "./ports.ts";
import { referrersByTurns } from "./referrers-by-turns.ts";
import { type FoundManifest, findManifest } from "./serving.ts";
import { pushedPointer } from "./tags.ts";

type Needs = Pick<Services, "metadata" | "blobs">;

/** Referrers that are looked at, those included that hold no evidence; the rest is reported as not considered. */
const MAX_SCANNED = 2_048;

/** What may be evidence about an artifact. */
export interface GatheredEvidence {
  readonly candidates: readonly HeldCandidate[];
  readonly skipped: readonly Skipped[];
  /** Manifests that were left out by the bounds: at least so many. */
  readonly notConsidered: number;
  /** What says that evidence is still there and in force, by the manifest that it is in. */
  readonly grounds: ReadonlyMap<Digest, readonly Expectation[]>;
}

/** An artifact, and of what is attached to it that which was found already and is fit to be covered. */
interface EvidencePlace {
  readonly record: ManifestRecord;
  readonly manifest: Manifest;
  /** By canonical digest. */
  readonly attached: ReadonlyMap<Digest, FoundManifest>;
}

/**
 * Gathers what may be evidence about an artifact (trust.md §3): its referrers, whatever type they claim, and the tags by which cosign
 * attached signatures before there were referrers. An index under the tag `sha256-<hex>`, which stands in for the list of referrers
 * elsewhere, adds nothing here: what it names counts only by its own subject, and is then a referrer. What is named in `first` is considered
 * first, then those tags, and the rest by turns between people (RULES 7), manifests and what is in them alike.
 */
export async function gatherEvidence(
  needs: Needs,
  repository: RepositoryName,
  { record, manifest, attached }: EvidencePlace,
  first: readonly Digest[],
): Promise<GatheredEvidence> {
  const reader = new EvidenceReader(needs, repository);
  const own = await reader.readOwn(record, manifest);
  const gathering = new Gathering(needs, repository, { reader, artifact: record, attached });
  await gathering.addNamed(first);
  await gathering.addTags();
  const left = await gathering.addByTurns();
  return {
    candidates: [...own.candidates, ...gathering.named, ...inTurns(gathering.others)],
    skipped: [...own.skipped, ...gathering.skipped],
    notConsidered: left,
    grounds: reader.grounds,
  };
}

/** Manifests that are attached to an artifact, each read once, within the bounds of one decision. */
class Gathering {
  readonly named: HeldCandidate[] = [];
  readonly others: ReadOf<HeldCandidate>[] = [];
  readonly skipped: Skipped[] = [];
  readonly #needs: Needs;
  readonly #repository: RepositoryName;
  readonly #artifact: ManifestRecord;
  readonly #attached: EvidencePlace["attached"];
  readonly #reader: EvidenceReader;
  readonly #seen = new Set<Digest>();
  #read = 0;

  constructor(
    needs: Needs,
    repository: RepositoryName,
    {
      reader,
      artifact,
      attached,
    }: { readonly reader: EvidenceReader; readonly artifact: ManifestRecord } & Pick<EvidencePlace, "attached">,
  ) {
    this.#needs = needs;
    this.#repository = repository;
    this.#artifact = artifact;
    this.#attached = attached;
    this.#reader = reader;
  }

  /** Those that whoever asks has named, referrers and what is under a tag alike. */
  async addNamed(first: readonly Digest[]): Promise<void> {
    for (const digest of first) {
      const found = await this.#find(digest, (record) => this.#isReferrer(record));
      if (found !== undefined) this.named.push(...(await this.#readIn(found)));
    }
    for (const { found, tag } of await this.#tagged()) {
      if (!first.includes(found.record.digest)) continue;
      this.#reader.expect(found.record.digest, tag);
      this.named.push(...(await this.#readIn(found)));
    }
  }

  async addTags(): Promise<void> {
    for (const { found, tag } of await this.#tagged()) {
      this.#reader.expect(found.record.digest, tag);
      this.others.push({ pusher: personOf(found.record), candidates: await this.#readIn(found) });
    }
  }

  /** The rest, as far as there are places; how many are left at least. What was found to hold no evidence takes no place. */
  async addByTurns(): Promise<number> {
    const { digest: sha256, sha512 } = this.#artifact;
    const turns = await referrersByTurns(this.#needs, { repository: this.#repository, subjects: [sha256, sha512], isEvidence: false });
    for (let scanned = 0; this.#read < MAX_REFERRERS && scanned < MAX_SCANNED; scanned += 1) {
      const digest = await turns.next();
      if (digest === undefined) break;
      if (this.#seen.has(digest)) continue;
      const nothing = await this.#reader.heldNothing(digest);
      if (nothing !== undefined) {
        this.#seen.add(digest);
        this.skipped.push(...nothing);
        continue;
      }
      const found = await this.#find(digest, (record) => this.#isReferrer(record));
      if (found !== undefined) this.others.push({ pusher: personOf(found.record), candidates: await this.#readIn(found) });
    }
    return turns.left;
  }

  #isReferrer({ subject }: ManifestRecord): boolean {
    return subject === this.#artifact.digest || subject === this.#artifact.sha512;
  }

  async #find(digest: Digest, isAttached: (record: ManifestRecord) => boolean): Promise<FoundManifest | undefined> {
    const known = this.#attached.get(digest);
    const found = known ?? (await findManifest(this.#needs, this.#repository, digest));
    if (found === undefined || !isAttached(found.record)) return undefined;
    return known !== undefined || (await counts(this.#needs, found.record)) ? found : undefined;
  }

  /** What is under the older tags, and that they still name it: whoever moves or deletes one takes its evidence away. */
  async #tagged(): Promise<readonly { readonly found: FoundManifest; readonly tag: Expectation }[]> {
    const tagged = [];
    for (const tag of evidenceTags(this.#artifact.digest)) {
      const pointer = await pushedPointer(this.#needs, this.#repository, tag);
      const found = pointer && (await this.#find(pointer.record.digest, () => true));
      if (pointer === undefined || found === undefined) continue;
      tagged.push({ found, tag: { key: keys.tagPushed(this.#repository, tag), version: pointer.version } });
    }
    return tagged;
  }

  /** The candidates in a manifest, the first time that it is met. */
  async #readIn({ record, version }: FoundManifest): Promise<readonly HeldCandidate[]> {
    if (this.#seen.has(record.digest)) return [];
    this.#seen.add(record.digest);
    const read = await this.#reader.read(record);
    if (read === undefined) return [];
    this.#read += 1;
    this.#reader.expect(record.digest, { key: keys.manifest(this.#repository, record.digest), version });
    this.skipped.push(...read.skipped);
    return read.candidates;
  }
}

/** Evidence that somebody took back, or holds back, is none; the registry's own statements say nothing about who made the artifact. */
async function counts(needs: Needs, record: ManifestRecord): Promise<boolean> {
  return !record.statement && record.state !== "quarantined" && record.state !== "deleted" && !(await isRevoked(needs, record));
}
