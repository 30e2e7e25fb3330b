import type { Digest } from "../oci/digest.ts";
import { type EvidenceKind, evidenceKind } from "../oci/evidence.ts";
import type { Manifest } from "../oci/manifest.ts";
import type { RepositoryName } from "../oci/reference.ts";
import type { Fault } from "../policy/check.ts";
import { keys } from "../storage/keys.ts";
import type { Expectation } from "../storage/metadata-store.ts";
import type { ManifestRecord } from "../storage/records.ts";
import { type Closure, isRevoked, loadManifest } from "./closure.ts";
import { blobFaults } from "./closure-faults.ts";
import { personOf } from "./manifest-rows.ts";
import type { Services } from "./ports.ts";
import { type Turns, referrersByTurns } from "./referrers-by-turns.ts";
import { findManifest } from "./serving.ts";

type Needs = Pick<Services, "metadata">;

/** RULES 6: what a promotion covers by default, at most. */
const MAX_COVERS = 1_000;
const MAX_COVER_BYTES = 16 * 1024 * 1024;
/** Rows that are looked at of what is attached to the artifact and its parts, and again to that; the rest is reported as not considered. */
const MAX_SCANNED = 5_000;

export interface CoverRequest {
  /** Covered whatever its type, when it can be. */
  readonly covers: readonly Digest[];
  /** Considered before all other evidence (RULES 7). */
  readonly evidence: readonly Digest[];
}

export interface Covers {
  readonly digests: readonly Digest[];
  readonly notConsidered: number;
  readonly uncoverable: readonly Fault[];
  readonly expect: readonly Expectation[];
}

interface Candidate {
  readonly record: ManifestRecord;
  readonly version: number;
  readonly manifest: Manifest;
  readonly kind: EvidenceKind;
}

/** The referrers that a promotion of this closure would make visible with it. */
export async function gatherCovers(needs: Needs, repository: RepositoryName, closure: Closure, request: CoverRequest): Promise<Covers> {
  const scan = new EvidenceScan(needs, repository);
  const subjects = [...closure.manifests.values()].map(({ record }) => record);
  const attached = await scan.evidenceOf(subjects, () => true);
  const signatures = await scan.evidenceOf(
    attached.map(({ record }) => record),
    (kind) => kind === "signature",
  );
  const found = [...attached, ...signatures];
  const chosen = byTurns(found, request.evidence).slice(0, MAX_COVERS);
  const covered = new Map<Digest, Expectation>();
  for (const { record, version } of chosen) covered.set(record.digest, { key: keys.manifest(repository, record.digest), version });
  const known = new Set([...subjects, ...found.map(({ record }) => record)].flatMap(namesOf));
  const uncoverable = await addNamed(needs, repository, { named: request.covers, subjects: known, covered });
  return {
    digests: [...covered.keys()].toSorted(),
    notConsidered: found.length - chosen.length + scan.skipped,
    uncoverable,
    expect: [...covered.values()],
  };
}

/** Finds what has the form of evidence, within a bound for each of its steps. */
class EvidenceScan {
  /** Rows beyond the bound: there are at least that many. */
  skipped = 0;
  readonly #needs: Needs;
  readonly #repository: RepositoryName;
  readonly #seen = new Set<Digest>();

  constructor(needs: Needs, repository: RepositoryName) {
    this.#needs = needs;
    this.#repository = repository;
  }

  /** Each subject has its share of the rows that are looked at, so that junk on one of them hides nothing of another; what is left is for all. */
  async evidenceOf(subjects: readonly ManifestRecord[], wanted: (kind: EvidenceKind) => boolean): Promise<readonly Candidate[]> {
    const found: Candidate[] = [];
    const take = (candidate: Candidate): void => {
      if (wanted(candidate.kind)) found.push(candidate);
    };
    const all: Turns[] = [];
    let budget = MAX_SCANNED;
    for (const [n, subject] of subjects.entries()) {
      const turns = await referrersByTurns(this.#needs, { repository: this.#repository, subjects: namesOf(subject), isEvidence: true });
      const share = Math.min(budget, Math.ceil(budget / (subjects.length - n)));
      budget -= await this.#look(turns, share, take);
      all.push(turns);
    }
    for (const turns of all) budget -= await this.#look(turns, budget, take);
    this.skipped += all.reduce((sum, { left }) => sum + left, 0);
    return found;
  }

  /** Looks at so many referrers at most; how many there were. */
  async #look(turns: Turns, most: number, take: (candidate: Candidate) => void): Promise<number> {
    for (let count = 0; count < most; count += 1) {
      const digest = await turns.next();
      if (digest === undefined) return count;
      const candidate = await this.#candidate(digest);
      if (candidate !== undefined) take(candidate);
    }
    return most;
  }

  async #candidate(digest: Digest): Promise<Candidate | undefined> {
    if (this.#seen.has(digest)) return undefined;
    this.#seen.add(digest);
    const found = await findManifest(this.#needs, this.#repository, digest);
    if (found === undefined || (await whyNotCovered(this.#needs, this.#repository, found.record)) !== undefined) return undefined;
    const manifest = await loadManifest(this.#needs, this.#repository, found.record);
    const kind = manifest && evidenceKind(manifest);
    return kind === undefined || manifest === undefined ? undefined : { ...found, manifest, kind };
  }
}

/** First what was named, then the oldest of each person by turns, so that nobody's junk delays another's evidence. */
function byTurns<T extends { readonly record: ManifestRecord }>(found: readonly T[], first: readonly Digest[]): readonly T[] {
  const isFirst = new Set<string>(first);
  const queues = Map.groupBy(
    found.filter(({ record }) => !isFirst.has(record.digest)).toSorted((a, b) => a.record.pushedAt - b.record.pushedAt),
    ({ record }) => personOf(record),
  );
  const turns: T[] = [];
  for (let turn = 0; turns.length < found.length && turn < MAX_COVERS; turn += 1) {
    for (const queue of queues.values()) turns.push(...queue.slice(turn, turn + 1));
  }
  return [...found.filter(({ record }) => isFirst.has(record.digest)), ...turns];
}

async function addNamed(
  needs: Needs,
  repository: RepositoryName,
  { named, subjects, covered }: { named: readonly Digest[]; subjects: ReadonlySet<Digest>; covered: Map<Digest, Expectation> },
): Promise<readonly Fault[]> {
  const faults: Fault[] = [];
  for (const digest of named) {
    const found = await findManifest(needs, repository, digest);
    const problem =
      found === undefined || found.record.subject === null || !subjects.has(found.record.subject)
        ? "is attached neither to the artifact, nor to a part of it, nor to its evidence"
        : await whyNotCovered(needs, repository, found.record);
    if (found === undefined || problem !== undefined) faults.push({ digest, problem: problem ?? "is not here" });
    else covered.set(found.record.digest, { key: keys.manifest(repository, found.record.digest), version: found.version });
  }
  return faults;
}

async function whyNotCovered(needs: Needs, repository: RepositoryName, record: ManifestRecord): Promise<string | undefined> {
  if (record.statement) return "is one of the registry's own statements, which are served anyway";
  if (record.state === "quarantined" || record.state === "deleted") return `is ${record.state}`;
  if (await isRevoked(needs, record)) return "is revoked";
  if (record.closureBytes > MAX_COVER_BYTES) return `is larger than ${MAX_COVER_BYTES} bytes`;
  const manifest = await loadManifest(needs, repository, record);
  if (manifest === undefined) return "is not here";
  if (manifest.manifestReferences.length > 0) return "has children: promote it by itself";
  const [fault] = (await blobFaults(needs, repository, manifest.blobReferences)).faults;
  return fault && `is incomplete: ${fault.digest} ${fault.problem}`;
}

function namesOf({ digest, sha512 }: ManifestRecord): readonly Digest[] {
  return [digest, sha512];
}
