import type { Digest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import type { RepositoryName, Tag } from "../oci/reference.ts";
import type { Fault } from "../policy/check.ts";
import { type Decision, type TagPlan, decidePromotion } from "../policy/promotion.ts";
import type { ScanEvidence } from "../policy/scan-evidence.ts";
import { NOTHING_WRITTEN, type StandingApproval } from "../policy/written.ts";
import { keys } from "../storage/keys.ts";
import type { Expectation } from "../storage/metadata-store.ts";
import type { ManifestRecord } from "../storage/records.ts";
import { type Approval, approvalsOf } from "./approvals.ts";
import { type Closure, type ClosureManifest, ClosureTooLarge, ClosureWalk, type LoadedManifest, NO_OVERLAY, isRevoked } from "./closure.ts";
import { blobFaults } from "./closure-faults.ts";
import { type CoverRequest, type Covers, gatherCovers } from "./covers.ts";
import { type JudgedArtifact, type TriedPolicy, judgePolicies } from "./judge-policies.ts";
import type { Services } from "./ports.ts";
import { readOnce } from "./read-once.ts";
import { runtimeFiles } from "./runtime-files.ts";
import { type FoundManifest, findManifest } from "./serving.ts";
import { sharesRevoked } from "./shared-content.ts";
import { promotedPointer, pushedPointer, tagsOf } from "./tags.ts";

type Needs = Pick<Services, "metadata">;

export interface PromotionRequest extends CoverRequest {
  /** The tag that the reference names, if it names one. */
  readonly refTag: Tag | undefined;
  /** Tags to move although they are promoted elsewhere (RULES 8). */
  readonly tags: readonly Tag[];
  /** What whoever asks states of scans; the policy says whether any of it is demanded. */
  readonly scan: ScanEvidence;
  /** A policy that is tried, to see what it would say; never for a promotion. */
  readonly tried?: TriedPolicy | undefined;
}

/** A decision with what it rests on, so that a commit can hold it to that. */
export interface Evaluated {
  readonly decision: Decision;
  readonly tags: readonly Tag[];
  readonly covers: readonly Digest[];
  readonly expect: readonly Expectation[];
  /** What it covers as it was found, by canonical digest. */
  readonly loaded: ReadonlyMap<Digest, LoadedManifest>;
  /** The persons who put the artifact or a part of it, and those who approved it. */
  readonly uploaders: readonly string[];
  readonly approvers: readonly string[];
}

/** The decision that promote would take now; changes nothing. Throws CONFLICT for a named tag whose pushed pointer is another digest. */
export async function evaluatePromotion(
  needs: Needs & Pick<Services, "settings" | "blobs" | "clock">,
  repository: RepositoryName,
  found: FoundManifest,
  request: PromotionRequest,
): Promise<Evaluated> {
  const root = found.record.digest;
  const { closure, revoked, tooLarge } = await walked(needs, repository, root);
  const children = [...closure.manifests.values()].map(({ record }) => record).filter(({ digest }) => digest !== root);
  const layers = [...closure.blobs.values()].map(({ descriptor }) => descriptor);
  const blobs = await blobFaults(needs, repository, layers);
  // What is attached is looked at twice: whether it is covered, and whether it is evidence.
  const attached = { ...needs, metadata: readOnce(needs.metadata) };
  const covers = await gatherCovers(attached, repository, closure, request);
  const tags = await planTags(needs, repository, found.record, request);
  const uploaders = [...new Set([...closure.manifests.values()].flatMap(({ record }) => record.uploaders))];
  const approvals = (await approvalsOf(needs, repository, found.record, needs.clock())).filter(({ person }) => !uploaders.includes(person));
  const standing = approvals.flatMap(standingApproval);
  const judged = { ...request, approvals: standing, attached: covers.loaded };
  const policies = await judgedPolicies(attached, repository, closure.manifests.get(root), judged);
  const facts = {
    artifact: root,
    state: found.record.state,
    revocation: found.record.revocation,
    incomplete: [...tooLarge, ...closureFaults(closure), ...blobs.faults],
    damaged: blobs.damaged,
    revokedChildren: revoked,
    quarantinedChildren: children.filter(({ state }) => state === "quarantined").map(({ digest }) => digest),
    nameClashes: nameClashes(closure),
    sharesRevoked: await sharesRevoked(needs, repository, { root, layers }),
    uncoverable: covers.uncoverable,
    notConsidered: covers.notConsidered,
    covers: covers.digests,
    manifests: closure.manifests.size,
    blobs: closure.blobs.size,
    sizeBytes: sizeOf(closure),
    tags: tags.plan,
    scan: request.scan,
  };
  return {
    decision: decidePromotion(facts, needs.settings.promotionPolicy, policies.written),
    tags: tags.moves,
    covers: covers.digests,
    expect: [
      ...manifestExpectations(repository, closure, found),
      ...blobs.expect,
      ...covers.expect,
      ...tags.expect,
      ...policies.expect,
      ...approvals.map(({ expect }) => expect),
      ...notRevokedEverywhere(closure, covers, root),
    ],
    loaded: covers.loaded,
    uploaders,
    approvers: approvals.map(({ person }) => person),
  };
}

interface Walked {
  readonly closure: Closure;
  readonly revoked: readonly Digest[];
  readonly tooLarge: readonly Fault[];
}

/** What is too large is refused like what is incomplete: thrown, it would keep whoever decides about many artifacts from the others. */
async function walked(needs: Needs, repository: RepositoryName, root: Digest): Promise<Walked> {
  const [closure, revoked] = [new ClosureWalk(needs, repository, NO_OVERLAY), [] as Digest[]];
  try {
    await closure.follow([root], async (record) => {
      if (record.digest !== root && (await isRevoked(needs, record))) revoked.push(record.digest);
      return true;
    });
    return { closure, revoked, tooLarge: [] };
  } catch (error) {
    if (!(error instanceof ClosureTooLarge)) throw error;
    return { closure, revoked, tooLarge: [{ digest: root, problem: error.problem }] };
  }
}

/** What is not signed yet is no input of a decision: the job that signs it comes soon. */
function standingApproval({ person, record: { by, at, expiresAt, statement } }: Approval): readonly StandingApproval[] {
  return statement === undefined ? [] : [{ person, by, at, expiresAt, manifest: statement.manifest }];
}

/** What the written policies say of the artifact; of one whose content is gone nothing, since its closure fails anyway. */
async function judgedPolicies(
  needs: Parameters<typeof judgePolicies>[0],
  repository: RepositoryName,
  root: ClosureManifest | undefined,
  judged: PromotionRequest & Pick<JudgedArtifact, "approvals" | "attached">,
): ReturnType<typeof judgePolicies> {
  return root === undefined
    ? { written: NOTHING_WRITTEN, expect: [] }
    : judgePolicies(needs, repository, { ...judged, tried: judged.tried, record: root.record, manifest: root.manifest });
}

function closureFaults({ missing, missized, mistyped }: Closure): readonly Fault[] {
  return [
    ...missing.map(({ digest }) => ({ digest, problem: "is not in this repository: push it" })),
    ...missized.map(({ descriptor, size }) => ({
      digest: descriptor.digest,
      problem: `has ${size} bytes, not the ${descriptor.size} that a descriptor says`,
    })),
    ...mistyped.map(({ descriptor, mediaType }) => ({
      digest: descriptor.digest,
      problem: `is of the type ${mediaType}, not of the one that a descriptor says`,
    })),
  ];
}

function nameClashes(closure: Closure): readonly Fault[] {
  return [...closure.manifests.values()].flatMap(({ record, manifest }) => {
    const { clash } = runtimeFiles(manifest);
    return clash === undefined ? [] : [{ digest: record.digest, problem: `gives two different layers the name ${clash}: rename one` }];
  });
}

/** What descriptors of several manifests say may add up to more than a number holds exactly; none of that is ever promoted. */
function sizeOf({ manifests, blobs }: Closure): number {
  const own = [...manifests.values()].reduce((sum, { record }) => sum + record.size, 0);
  return Math.min(
    [...blobs.values()].reduce((sum, { descriptor }) => sum + descriptor.size, own),
    Number.MAX_SAFE_INTEGER,
  );
}

function manifestExpectations(repository: RepositoryName, closure: Closure, found: FoundManifest): readonly Expectation[] {
  return [...closure.manifests.values()].map(({ record, version }) => ({
    key: keys.manifest(repository, record.digest),
    version: record.digest === found.record.digest ? found.version : version,
  }));
}

async function planTags(
  needs: Needs,
  repository: RepositoryName,
  record: ManifestRecord,
  { refTag, tags }: PromotionRequest,
): Promise<{ readonly plan: TagPlan; readonly moves: readonly Tag[]; readonly expect: readonly Expectation[] }> {
  const wanted = new Set<Tag>(refTag === undefined ? tags : [refTag, ...tags]);
  const expect: Expectation[] = [];
  for (const tag of wanted) expect.push(await pushedHere(needs, repository, record, tag));
  const stays: Tag[] = [];
  for (const { tag, pushed, promoted, unmoved } of await tagsOf(needs, repository, record.digest)) {
    if (!pushed || promoted || wanted.has(tag)) continue;
    const elsewhere = await promotedPointer(needs, repository, tag);
    expect.push(unmoved, { key: keys.tagPromoted(repository, tag), version: elsewhere?.version ?? "absent" });
    if (elsewhere === undefined) wanted.add(tag);
    else stays.push(tag);
  }
  const moves = [...wanted].toSorted();
  return { plan: { moves, stays: stays.toSorted() }, moves, expect };
}

/** A named tag moves only where it was pushed to: who retags gains nothing by it (RULES 8). */
async function pushedHere(needs: Needs, repository: RepositoryName, { digest }: ManifestRecord, tag: Tag): Promise<Expectation> {
  const pushed = await pushedPointer(needs, repository, tag);
  const manifest = pushed && (await findManifest(needs, repository, pushed.record.digest));
  if (pushed !== undefined && manifest?.record.digest === digest) return { key: keys.tagPushed(repository, tag), version: pushed.version };
  const now = pushed === undefined ? "was not pushed" : `was pushed as ${pushed.record.digest}`;
  throw new RegistryError("CONFLICT", `the tag ${tag} ${now}, not as ${digest}: push the tag to this artifact first`);
}

/** What is not revoked everywhere now is not when the decision is committed. Of the root itself it is promote that decides. */
function notRevokedEverywhere(closure: Closure, covers: Covers, root: Digest): readonly Expectation[] {
  const others = [...closure.manifests.keys(), ...covers.digests].filter((digest) => digest !== root);
  return others.map((digest) => ({ key: keys.revokedEverywhere(digest), version: "absent" }));
}
