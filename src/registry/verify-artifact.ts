import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { keys } from "../storage/keys.ts";
import type { ManifestRecord } from "../storage/records.ts";
import { type Closure, ClosureWalk, NO_OVERLAY } from "./closure.ts";
import type { Services } from "./ports.ts";
import { type BlobVerification, type VerifyOptions, type VerifyServices, verifyBlob } from "./verify-blob.ts";
import { damageOf } from "./verify-damage.ts";
import { verifyFolder } from "./verify-folder.ts";

/** One blob of an artifact. `unlinked`: the repository does not hold it, whatever others do. */
export interface VerifiedBlob {
  readonly digest: Digest;
  readonly result: BlobVerification | { readonly outcome: "unlinked" };
}

export interface ArtifactVerification {
  /**
   * `damaged`: some bytes are wrong or missing. `incomplete`: the repository does not hold all of the artifact. `unreadable`: the storage
   * failed. The first of these that holds.
   */
  readonly outcome: "intact" | "damaged" | "incomplete" | "unreadable";
  readonly blobs: readonly VerifiedBlob[];
}

interface Artifact {
  readonly repository: RepositoryName;
  readonly record: ManifestRecord;
}

/**
 * Reads all blobs that an artifact reaches in its repository (RULES 2), one after the other; in any state, as far as its content is there. Its
 * files in `trusted/` are right when this resolves, or the log says why not.
 */
export async function verifyArtifact(
  services: VerifyServices,
  artifact: Artifact,
  options: VerifyOptions = {},
): Promise<ArtifactVerification> {
  const closure = await closureOf(services, artifact);
  const verification = await lookAt(services, { ...artifact, closure }, ({ digest }) => verifyBlob(services, digest, options));
  for (const { record } of closure.manifests.values()) {
    await verifyFolder(services, { repository: artifact.repository, manifest: record.digest }, options);
  }
  return verification;
}

/** What is known of an artifact's blobs after all were checked, without reading them again; `unreadable`: those that could not be read. */
export async function recallArtifact(
  services: Pick<Services, "metadata">,
  artifact: Artifact,
  unreadable: ReadonlySet<Digest>,
): Promise<ArtifactVerification> {
  const closure = await closureOf(services, artifact);
  return lookAt(services, { ...artifact, closure }, async ({ digest, size }) => {
    if (unreadable.has(digest)) return { outcome: "unreadable", code: "unknown" };
    const damage = await damageOf(services, digest);
    if (damage === undefined) return { outcome: "intact", size };
    const { actual, size: found } = damage;
    return actual === null || found === null ? { outcome: "missing" } : { outcome: "damaged", actual, size: found };
  });
}

function closureOf(services: Pick<Services, "metadata">, { repository, record }: Artifact): Promise<Closure> {
  return new ClosureWalk(services, repository, NO_OVERLAY).follow([record.digest], async () => true);
}

async function lookAt(
  services: Pick<Services, "metadata">,
  { repository, closure }: Pick<Artifact, "repository"> & { readonly closure: Closure },
  look: (descriptor: Descriptor) => Promise<BlobVerification>,
): Promise<ArtifactVerification> {
  const blobs: VerifiedBlob[] = [];
  for (const [digest, { descriptor }] of closure.blobs) {
    const isLinked = (await services.metadata.get(keys.link(repository, digest))) !== undefined;
    blobs.push({ digest, result: isLinked ? await look(descriptor) : { outcome: "unlinked" } });
  }
  const isWhole = closure.manifests.size > 0 && closure.missing.length === 0 && closure.missized.length === 0;
  return { outcome: outcomeOf(blobs, isWhole), blobs };
}

function outcomeOf(blobs: readonly VerifiedBlob[], isWhole: boolean): ArtifactVerification["outcome"] {
  const outcomes = new Set(blobs.map(({ result }) => result.outcome));
  if (outcomes.has("damaged") || outcomes.has("missing")) return "damaged";
  if (!isWhole || outcomes.has("unlinked") || outcomes.has("gone")) return "incomplete";
  return outcomes.has("unreadable") ? "unreadable" : "intact";
}
