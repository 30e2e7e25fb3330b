import { type Digest, digestSchema } from "../oci/digest.ts";
import { evidenceTags } from "../oci/evidence-tag.ts";
import type { Manifest } from "../oci/manifest.ts";
import { STATEMENT_RANK } from "../oci/referrer.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { MAX_REFERRERS, type Skipped } from "../trust/candidate.ts";
import { type ReadOf, inTurns } from "../trust/candidate-turns.ts";
import { keys, under } from "../storage/keys.ts";
import type { Expectation } from "../storage/metadata-store.ts";
import type { ManifestRecord } from "../storage/records.ts";
import { isRevoked } from "./closure.ts";
import { byTurns } from "./covers.ts";
import { EvidenceReader, type HeldCandidate } from "./evidence-reader.ts";
import type { Services } from "./ports.ts";
import { type FoundManifest, findManifest } from "./serving.ts";
import { pushedPointer } from "./tags.ts";

type Needs = Pick<Services, "metadata" | "blobs">;

/** Rows of referrers that are looked at; the rest is reported as not considered. */
const MAX_SCANNED = 5_000;
const PAGE = 500;

/** What may be evidence about an artifact. */
export interface GatheredEvidence {
  readonly candidates: readonly HeldCandidate[];
  readonly skipped: readonly Skipped[];
  /** Manifests that were left out by the bounds: at least so many. */
  readonly notConsidered: number;
  /** What says that evidence is still there and in force, by the manifest that it is in. */
  readonly grounds: ReadonlyMap<Digest, readonly Expectation[]>;
}

/**
 * Gathers what may be evidence about an artifact (trust.md §3): its referrers, whatever type they claim, and the tags by which cosign
 * attached signatures before there were referrers. An index under the tag `sha256-<hex>`, which stands in for the list of referrers
 * elsewhere, adds nothing here: what it names counts only by its own subject, and is then a referrer. What is named in `first` is considered
 * first, the rest oldest first, by turns between pushers (RULES 7), manifests and what is in them alike.
 */
export async function gatherEvidence(
  needs: Needs,
  repository: RepositoryName,
  artifact: { readonly record: ManifestRecord; readonly manifest: Manifest },
  first: readonly Digest[],
): Promise<GatheredEvidence> {
  const { record, manifest } = artifact;
  const attached = await attachedTo(needs, repository, record, first);
  const chosen = byTurns(attached.found, attached.named).slice(0, MAX_REFERRERS);
  const reader = new EvidenceReader(needs, repository);
  const own = await reader.readOwn(record, manifest);
  const skipped = [...own.skipped];
  const isNamed = new Set<string>(attached.named);
  const named: HeldCandidate[] = [];
  const others: ReadOf<HeldCandidate>[] = [];
  for (const { record: of, version } of chosen) {
    const read = await reader.read(of);
    if (read === undefined) continue;
    reader.expect(of.digest, { key: keys.manifest(repository, of.digest), version });
    for (const expectation of attached.tags.get(of.digest) ?? []) reader.expect(of.digest, expectation);
    skipped.push(...read.skipped);
    if (isNamed.has(of.digest)) named.push(...read.candidates);
    else others.push({ pusher: of.pushedBy, candidates: read.candidates });
  }
  const candidates = [...own.candidates, ...named, ...inTurns(others)];
  const notConsidered = attached.found.length - chosen.length + attached.beyond;
  return { candidates, skipped, notConsidered, grounds: reader.grounds };
}

interface Attached {
  readonly found: readonly FoundManifest[];
  /** Those that were named to be considered first. */
  readonly named: readonly Digest[];
  /** That the older tags still name what was found under them: whoever moves or deletes one takes its evidence away. */
  readonly tags: ReadonlyMap<Digest, readonly Expectation[]>;
  /** Rows that were not looked at. */
  readonly beyond: number;
}

async function attachedTo(needs: Needs, repository: RepositoryName, record: ManifestRecord, first: readonly Digest[]): Promise<Attached> {
  const subjects = [record.digest, record.sha512];
  const found = new Map<Digest, FoundManifest>();
  const named = new Set<Digest>();
  const tags = new Map<Digest, Expectation[]>();
  const keep = async (digest: Digest, isAttached: (of: ManifestRecord) => boolean): Promise<FoundManifest | undefined> => {
    const manifest = await findManifest(needs, repository, digest);
    if (manifest === undefined || !isAttached(manifest.record) || !(await counts(needs, manifest.record))) return undefined;
    found.set(manifest.record.digest, manifest);
    return manifest;
  };
  const isReferrer = ({ subject }: ManifestRecord): boolean => subject !== null && subjects.includes(subject);
  for (const digest of first) {
    const manifest = await keep(digest, isReferrer);
    if (manifest !== undefined) named.add(manifest.record.digest);
  }
  for (const tag of evidenceTags(record.digest)) {
    const pointer = await pushedPointer(needs, repository, tag);
    if (pointer === undefined) continue;
    const manifest = await keep(pointer.record.digest, () => true);
    if (manifest === undefined) continue;
    const { digest } = manifest.record;
    tags.set(digest, [...(tags.get(digest) ?? []), { key: keys.tagPushed(repository, tag), version: pointer.version }]);
    if (first.includes(digest)) named.add(digest);
  }
  const rows = await referrersOf(needs, repository, subjects);
  for (const digest of rows.digests) if (!found.has(digest)) await keep(digest, isReferrer);
  return { found: [...found.values()], named: [...named], tags, beyond: rows.beyond };
}

/** Evidence that somebody took back, or holds back, is none; the registry's own statements say nothing about who made the artifact. */
async function counts(needs: Needs, record: ManifestRecord): Promise<boolean> {
  return !record.statement && record.state !== "quarantined" && record.state !== "deleted" && !(await isRevoked(needs, record));
}

async function referrersOf(
  { metadata }: Needs,
  repository: RepositoryName,
  subjects: readonly Digest[],
): Promise<{ readonly digests: readonly Digest[]; readonly beyond: number }> {
  const digests: Digest[] = [];
  for (const subject of subjects) {
    const prefix = keys.referrers(repository, subject);
    let after: readonly (string | number)[] = [];
    for (;;) {
      const page = await metadata.list(under(prefix, PAGE, after));
      digests.push(...page.filter(({ key }) => key[3] !== STATEMENT_RANK).map(({ key }) => digestSchema.parse(key[4])));
      const last = page.at(-1);
      if (last === undefined || page.length < PAGE || digests.length > MAX_SCANNED) break;
      after = last.key.slice(prefix.length);
    }
  }
  return { digests: digests.slice(0, MAX_SCANNED), beyond: Math.max(0, digests.length - MAX_SCANNED) };
}
