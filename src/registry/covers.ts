import { setImmediate } from "node:timers/promises";
import type { Digest } from "../oci/digest.ts";
import { type EvidenceKind, evidenceKind } from "../oci/evidence.ts";
import type { RepositoryName } from "../oci/reference.ts";
import type { Fault } from "../policy/check.ts";
import { keys } from "../storage/keys.ts";
import type { Expectation } from "../storage/metadata-store.ts";
import type { ManifestRecord } from "../storage/records.ts";
import { type Closure, type LoadedManifest, isRevoked, loadManifest, parsedManifest } from "./closure.ts";
import { blobFaults } from "./closure-faults.ts";
import { inPortions } from "./in-portions.ts";
import { personOf } from "./manifest-rows.ts";
import type { Services } from "./ports.ts";
import { type Turns, referrersByTurns } from "./referrers-by-turns.ts";
import { presentIn } from "./rows-present.ts";
import { type FoundManifest, findManifest } from "./serving.ts";

type Needs = Pick<Services, "metadata">;

/** RULES 6: what a promotion covers by default, at most. */
const MAX_COVERS = 1_000;
const MAX_COVER_BYTES = 16 * 1024 * 1024;
/**
 * Referrers that are looked at of what is attached to the artifact and its parts, and so many again of what is attached to that; the rest is
 * reported as not considered.
 */
const MAX_SCANNED = 5_000;
/** Manifests that are looked at, and subjects whose rows are read, before others have their turn in this process. */
const [CANDIDATES_AT_A_TIME, SUBJECTS_AT_A_TIME] = [256, 16];

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
  /** What is covered as it was found, by canonical digest: neither deleted nor revoked. */
  readonly loaded: ReadonlyMap<Digest, LoadedManifest>;
}

interface Candidate extends LoadedManifest {
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
  const covered = new Map<Digest, LoadedManifest>(chosen.map((each) => [each.record.digest, each]));
  const known = new Set([...subjects, ...found.map(({ record }) => record)].flatMap(namesOf));
  const uncoverable = await addNamed(needs, repository, { named: request.covers, subjects: known, covered });
  return {
    digests: [...covered.keys()].toSorted(),
    notConsidered: found.length - chosen.length + scan.skipped,
    uncoverable,
    expect: [...covered].map(([digest, { version }]) => ({ key: keys.manifest(repository, digest), version })),
    loaded: covered,
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

  async evidenceOf(subjects: readonly ManifestRecord[], wanted: (kind: EvidenceKind) => boolean): Promise<readonly Candidate[]> {
    const digests = await this.#attachedTo(subjects);
    const revoked = await presentIn(this.#needs, keys.allRevokedEverywhere(), digests);
    const found: Candidate[] = [];
    for await (const digest of inPortions(digests, CANDIDATES_AT_A_TIME)) {
      const candidate = await this.#candidate(digest, revoked.has(digest));
      if (candidate !== undefined && wanted(candidate.kind)) found.push(candidate);
    }
    return found;
  }

  /** Each subject has its share of the rows that are looked at, so that junk on one of them hides nothing of another; what is left is for all. */
  async #attachedTo(subjects: readonly ManifestRecord[]): Promise<readonly Digest[]> {
    const names = subjects.flatMap(namesOf);
    // Those of earlier versions are not indexed by who attached them until a job has done so.
    const listed = await presentIn(this.#needs, keys.referrersIn(this.#repository), names);
    const indexed = await presentIn(this.#needs, keys.referrersByIn(this.#repository), names);
    const named = subjects.map(namesOf).filter((each) => each.some((name) => listed.has(name) || indexed.has(name)));
    const digests: Digest[] = [];
    const all: Turns[] = [];
    for (const [n, subject] of named.entries()) {
      if (n % SUBJECTS_AT_A_TIME === 0) await setImmediate();
      const left = MAX_SCANNED - digests.length;
      const share = Math.min(left, Math.ceil(left / (named.length - n)));
      const wanted = { repository: this.#repository, subjects: subject, isEvidence: true, most: Math.max(1, share) };
      const turns = await referrersByTurns(this.#needs, wanted);
      digests.push(...(await taken(turns, share)));
      // Those that are kept hold the rows that were read and not taken.
      if (turns.left > 0) all.push(turns);
    }
    for (const turns of all) digests.push(...(await taken(turns, MAX_SCANNED - digests.length)));
    this.skipped += all.reduce((sum, { left }) => sum + left, 0);
    return digests;
  }

  async #candidate(digest: Digest, isRevokedEverywhere: boolean): Promise<Candidate | undefined> {
    if (this.#seen.has(digest)) return undefined;
    this.#seen.add(digest);
    const found = await findManifest(this.#needs, this.#repository, digest);
    if (found === undefined || isRevokedEverywhere) return undefined;
    const loaded = await coverable(this.#needs, this.#repository, found);
    if (typeof loaded === "string") return undefined;
    const kind = evidenceKind(loaded.manifest);
    return kind && { ...loaded, kind };
  }
}

/** The next referrers, so many at most. */
async function taken(turns: Turns, most: number): Promise<readonly Digest[]> {
  const digests: Digest[] = [];
  while (digests.length < most) {
    const digest = await turns.next();
    if (digest === undefined) break;
    digests.push(digest);
  }
  return digests;
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
  { named, subjects, covered }: { named: readonly Digest[]; subjects: ReadonlySet<Digest>; covered: Map<Digest, LoadedManifest> },
): Promise<readonly Fault[]> {
  const faults: Fault[] = [];
  for (const digest of named) {
    const found = await findManifest(needs, repository, digest);
    const isAttached = found !== undefined && found.record.subject !== null && subjects.has(found.record.subject);
    const isLost = isAttached && (await isRevoked(needs, found.record));
    const loaded = isLost ? REVOKED : isAttached ? await coverable(needs, repository, found) : NOT_ATTACHED;
    if (typeof loaded === "string") faults.push({ digest, problem: loaded });
    else covered.set(loaded.record.digest, loaded);
  }
  return faults;
}

const NOT_ATTACHED = "is attached neither to the artifact, nor to a part of it, nor to its evidence";
const REVOKED = "is revoked";

/** A manifest that can be covered where it is not revoked everywhere, or why it cannot be. */
async function coverable(needs: Needs, repository: RepositoryName, { record, version }: FoundManifest): Promise<LoadedManifest | string> {
  if (record.statement) return "is one of the registry's own statements, which are served anyway";
  if (record.state === "quarantined" || record.state === "deleted") return `is ${record.state}`;
  if (record.state === "revoked") return REVOKED;
  if (record.closureBytes > MAX_COVER_BYTES) return `is larger than ${MAX_COVER_BYTES} bytes`;
  const manifest = parsedManifest(record) ?? (await loadManifest(needs, repository, record));
  if (manifest === undefined) return "is not here";
  if (manifest.manifestReferences.length > 0) return "has children: promote it by itself";
  const [fault] = (await blobFaults(needs, repository, manifest.blobReferences)).faults;
  return fault === undefined ? { record, version, manifest } : `is incomplete: ${fault.digest} ${fault.problem}`;
}

function namesOf({ digest, sha512 }: ManifestRecord): readonly Digest[] {
  return [digest, sha512];
}
