import { type Digest, digestSchema } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { type RepositoryName, type Tag, repositoryNameSchema } from "../oci/reference.ts";
import { type Decision, type Fault, type TagPlan, decidePromotion } from "../policy/promotion.ts";
import { keys, under } from "../storage/keys.ts";
import type { Expectation } from "../storage/metadata-store.ts";
import type { ManifestRecord } from "../storage/records.ts";
import { type Closure, ClosureWalk, NO_OVERLAY, isRevoked } from "./closure.ts";
import { blobFaults } from "./closure-faults.ts";
import { type CoverRequest, type Covers, gatherCovers } from "./covers.ts";
import type { Services } from "./ports.ts";
import { runtimeFiles } from "./runtime-files.ts";
import { type FoundManifest, findManifest } from "./serving.ts";
import { promotedPointer, pushedPointer, tagsOf } from "./tags.ts";

type Needs = Pick<Services, "metadata">;

/** RULES 13: smaller layers say nothing when they are shared. */
const LARGE_LAYER = 64 * 1024;
/** Repositories whose revoked manifests are asked about one shared layer. */
const MAX_SHARING = 32;

export interface PromotionRequest extends CoverRequest {
  /** The tag that the reference names, if it names one. */
  readonly refTag: Tag | undefined;
  /** Tags to move although they are promoted elsewhere (RULES 8). */
  readonly tags: readonly Tag[];
}

/** A decision with what it rests on, so that a commit can hold it to that. */
export interface Evaluated {
  readonly decision: Decision;
  readonly tags: readonly Tag[];
  readonly covers: readonly Digest[];
  readonly expect: readonly Expectation[];
  /** The persons who put the artifact or a part of it. */
  readonly uploaders: readonly string[];
}

/** The decision that promote would take now; changes nothing. Throws CONFLICT for a named tag whose pushed pointer is another digest. */
export async function evaluatePromotion(
  needs: Needs,
  repository: RepositoryName,
  found: FoundManifest,
  request: PromotionRequest,
): Promise<Evaluated> {
  const revoked: Digest[] = [];
  const root = found.record.digest;
  const closure = await new ClosureWalk(needs, repository, NO_OVERLAY).follow([root], async (record) => {
    if (record.digest !== root && (await isRevoked(needs, record))) revoked.push(record.digest);
    return true;
  });
  const children = [...closure.manifests.values()].map(({ record }) => record).filter(({ digest }) => digest !== root);
  const blobs = await blobFaults(
    needs,
    repository,
    [...closure.blobs.values()].map(({ descriptor }) => descriptor),
  );
  const covers = await gatherCovers(needs, repository, closure, request);
  const tags = await planTags(needs, repository, found.record, request);
  const decision = decidePromotion({
    artifact: root,
    state: found.record.state,
    revocation: found.record.revocation,
    incomplete: [...closureFaults(closure), ...blobs.faults],
    damaged: blobs.damaged,
    revokedChildren: revoked,
    quarantinedChildren: children.filter(({ state }) => state === "quarantined").map(({ digest }) => digest),
    nameClashes: nameClashes(closure),
    sharesRevoked: await sharesRevoked(needs, repository, closure),
    uncoverable: covers.uncoverable,
    notConsidered: covers.notConsidered,
    covers: covers.digests,
    manifests: closure.manifests.size,
    blobs: closure.blobs.size,
    sizeBytes: sizeOf(closure),
    tags: tags.plan,
  });
  return {
    decision,
    tags: tags.moves,
    covers: covers.digests,
    expect: [
      ...manifestExpectations(repository, closure, found),
      ...blobs.expect,
      ...covers.expect,
      ...tags.expect,
      ...notRevokedEverywhere(closure, covers, root),
    ],
    uploaders: [...new Set([...closure.manifests.values()].flatMap(({ record }) => record.uploaders))],
  };
}

function closureFaults({ missing, missized }: Closure): readonly Fault[] {
  return [
    ...missing.map(({ digest }) => ({ digest, problem: "is not in this repository: push it" })),
    ...missized.map(({ descriptor, size }) => ({
      digest: descriptor.digest,
      problem: `has ${size} bytes, not the ${descriptor.size} that a descriptor says`,
    })),
  ];
}

function nameClashes(closure: Closure): readonly Fault[] {
  return [...closure.manifests.values()].flatMap(({ record, manifest }) => {
    const { clash } = runtimeFiles(manifest);
    return clash === undefined ? [] : [{ digest: record.digest, problem: `gives two different layers the name ${clash}: rename one` }];
  });
}

function sizeOf({ manifests, blobs }: Closure): number {
  const own = [...manifests.values()].reduce((sum, { record }) => sum + record.size, 0);
  return [...blobs.values()].reduce((sum, { descriptor }) => sum + descriptor.size, own);
}

function manifestExpectations(repository: RepositoryName, closure: Closure, found: FoundManifest): readonly Expectation[] {
  return [...closure.manifests.values()].map(({ record, version }) => ({
    key: keys.manifest(repository, record.digest),
    version: record.digest === found.record.digest ? found.version : version,
  }));
}

/** Large layers that a revoked manifest names too: of this repository, or by a permanent or wide revocation of another (RULES 13). */
async function sharesRevoked(
  needs: Needs,
  repository: RepositoryName,
  closure: Closure,
): Promise<readonly (Fault & { readonly severe: boolean })[]> {
  const shared: (Fault & { severe: boolean })[] = [];
  for (const { descriptor } of closure.blobs.values()) {
    if (descriptor.size <= LARGE_LAYER) continue;
    const revocation = await revocationOver(needs, repository, descriptor.digest);
    if (revocation === undefined) continue;
    shared.push({
      digest: descriptor.digest,
      problem: `belongs to a revoked artifact as well: ${revocation.reason}`,
      severe: revocation.severe,
    });
  }
  return shared;
}

async function revocationOver(
  needs: Needs,
  repository: RepositoryName,
  blob: Digest,
): Promise<{ readonly reason: string; readonly severe: boolean } | undefined> {
  const holders = await needs.metadata.list(under(keys.blobRepositories(blob), MAX_SHARING));
  let mild: { readonly reason: string; readonly severe: boolean } | undefined;
  for (const holder of [repository, ...holders.map(({ key }) => repositoryNameSchema.parse(key[2]))]) {
    for (const { key } of await needs.metadata.list(under(keys.deadEdges(holder, { kind: "blob", digest: blob }), MAX_SHARING))) {
      const revocation = (await findManifest(needs, holder, digestSchema.parse(key[3])))?.record.revocation;
      if (revocation === null || revocation === undefined) continue;
      if (revocation.permanent || revocation.everywhere) return { reason: revocation.reason, severe: true };
      if (holder === repository) mild ??= { reason: revocation.reason, severe: false };
    }
  }
  return mild;
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
