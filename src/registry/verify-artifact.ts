import type { Digest } from "../oci/digest.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { keys } from "../storage/keys.ts";
import type { ManifestRecord } from "../storage/records.ts";
import { ClosureWalk, NO_OVERLAY } from "./closure.ts";
import { type BlobVerification, type VerifyOptions, type VerifyServices, verifyBlob } from "./verify-blob.ts";

/** One blob of an artifact. `unlinked`: the repository does not hold it, whatever others do. */
export interface VerifiedBlob {
  readonly digest: Digest;
  /** As its descriptor says, in bytes. */
  readonly size: number;
  readonly result: BlobVerification | { readonly outcome: "unlinked" };
}

export interface ArtifactVerification {
  /**
   * `damaged`: some bytes are wrong or missing. `incomplete`: the repository does not hold all of the artifact. `unreadable`: the storage
   * failed, and nothing worse was found. The first of these that holds.
   */
  readonly outcome: "intact" | "damaged" | "incomplete" | "unreadable";
  readonly blobs: readonly VerifiedBlob[];
}

/** Reads all blobs that an artifact reaches in its repository (RULES 2), one after the other; in any state, as far as its content is there. */
export async function verifyArtifact(
  services: VerifyServices,
  { repository, record }: { readonly repository: RepositoryName; readonly record: ManifestRecord },
  options: VerifyOptions = {},
): Promise<ArtifactVerification> {
  const closure = await new ClosureWalk(services, repository, NO_OVERLAY).follow([record.digest], async () => true);
  const blobs: VerifiedBlob[] = [];
  for (const [digest, { descriptor }] of closure.blobs) {
    const isLinked = (await services.metadata.get(keys.link(repository, digest))) !== undefined;
    const result = isLinked ? await verifyBlob(services, digest, options) : ({ outcome: "unlinked" } as const);
    blobs.push({ digest, size: descriptor.size, result });
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
