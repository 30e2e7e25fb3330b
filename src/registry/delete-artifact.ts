import { mayDeleteOthersUploads } from "../identity/authorize.ts";
import { RegistryError } from "../oci/errors.ts";
import type { ManifestRecord } from "../storage/records.ts";
import { refuseDeletingEvidence } from "./append-only-tag.ts";
import { type FoundArtifact, demand } from "./find-artifact.ts";
import { removeFile } from "./file-removal.ts";
import { detailsOf } from "./find-model.ts";
import { plainTransition } from "./plain-transition.ts";
import type { Caller, Services } from "./ports.ts";
import { rootsOf } from "./reach.ts";
import { tagsOf } from "./tags.ts";
import type { TransitionServices } from "./transition.ts";

/** What deleting needs. */
export type DeletionServices = TransitionServices & Pick<Services, "files">;

/**
 * Deletes softly: content and tags go, the record and its chain stay (DESIGN §2), and the file that it was acquired from goes, by whichever
 * door. What is or was trusted needs `delete:any`; what a trusted or once-trusted root reaches or covers goes only with that root (RULES 11).
 */
export async function deleteArtifact(
  services: DeletionServices,
  caller: Caller,
  artifact: FoundArtifact,
  reason: string | null,
): Promise<ManifestRecord> {
  // Before the state is looked at: there is nothing to say to who may not, not even that it is deleted already.
  demandDeletion(artifact);
  const demanded = (now: FoundArtifact): Promise<void> => mayDelete(services, caller, now);
  const record = await plainTransition(services, caller, artifact, { event: "delete", reason, demand: demanded });
  const details = await detailsOf(services, { repository: artifact.repository, record });
  if (details !== undefined) await removeFile(services, details.path);
  return record;
}

/** Refuses whoever may delete nothing in the artifact's repository. */
export function demandDeletion({ rights }: Pick<FoundArtifact, "rights">): void {
  if (!rights.has("delete:any")) demand(rights, "delete", "deleting");
}

/** Throws where the caller, who holds one of the two rights, may not delete the artifact as it is now. */
export async function mayDelete(
  services: Pick<TransitionServices, "metadata">,
  { principal }: Caller,
  artifact: FoundArtifact,
): Promise<void> {
  const { repository, record, rights } = artifact;
  if (record.statement) throw new RegistryError("DENIED", "statements of the registry itself cannot be deleted");
  const others = [...(await rootsOf(services, repository, record.digest))].filter((root) => root !== record.digest);
  if (others.length > 0) {
    throw new RegistryError("DENIED", `the trusted or once-trusted artifact ${others[0]} contains or covers it: delete that one instead`);
  }
  if (rights.has("delete:any")) return;
  if (record.onceTrusted || record.revocation !== null) {
    throw new RegistryError("DENIED", "deleting what is or was trusted or revoked needs the permission delete:any on this repository");
  }
  // Not `uploaders`: to push somebody else's bytes again would be all that it takes to delete them.
  if (record.pushedBy !== principal.name && !mayDeleteOthersUploads(principal, repository)) {
    throw new RegistryError("DENIED", "you may delete only what you were the first to push; a maintainer may delete the rest");
  }
  const pushed = (await tagsOf(services, repository, record.digest)).filter((use) => use.pushed);
  refuseDeletingEvidence(
    principal,
    repository,
    pushed.map(({ tag }) => tag),
  );
}
