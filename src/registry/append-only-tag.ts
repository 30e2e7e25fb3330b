import { mayDeleteOthersUploads } from "../identity/authorize.ts";
import type { Principal } from "../identity/principal.ts";
import { RegistryError } from "../oci/errors.ts";
import { appendsTo, isEvidenceTag } from "../oci/evidence-tag.ts";
import type { Manifest } from "../oci/manifest.ts";
import type { RepositoryName, Tag } from "../oci/reference.ts";
import { isRevoked, loadManifest } from "./closure.ts";
import type { Services } from "./ports.ts";
import { findManifest } from "./serving.ts";
import type { Pointer } from "./tags.ts";

type Needs = Pick<Services, "metadata">;

/**
 * Tags of cosign's older signatures only grow (trust.md §3): everybody who may push can move them, so that anybody could take away what
 * others signed. Throws DENIED for a manifest that lacks layers of the one before, unless that one was revoked and counts for nothing.
 */
export async function refuseLostEvidence(
  needs: Needs,
  { repository, tag, old }: { readonly repository: RepositoryName; readonly tag: Tag; readonly old: Pointer | undefined },
  manifest: Manifest,
): Promise<void> {
  const found = old !== undefined && isEvidenceTag(tag) ? await findManifest(needs, repository, old.record.digest) : undefined;
  if (found === undefined || (await isRevoked(needs, found.record))) return;
  const before = await loadManifest(needs, repository, found.record);
  if (before === undefined || appendsTo(manifest, before)) return;
  const rule = `the tag ${tag} holds signatures or attestations and is append-only`;
  const remedy = `push a manifest that begins with all layers of ${found.record.digest} and adds yours, or have a maintainer delete the tag`;
  throw new RegistryError("DENIED", `${rule}: ${remedy}`);
}

/** Throws DENIED when somebody who may not delete what others pushed deletes such a tag, or what it names: others signed in it. */
export function refuseDeletingEvidence(principal: Principal, repository: RepositoryName, tags: readonly Tag[]): void {
  const tag = tags.find(isEvidenceTag);
  if (tag === undefined || mayDeleteOthersUploads(principal, repository)) return;
  throw new RegistryError("DENIED", `the tag ${tag} holds signatures or attestations and is append-only: a maintainer may delete it`);
}
