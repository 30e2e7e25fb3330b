import { formatsIn } from "../oci/model-formats.ts";
import type { Manifest } from "../oci/manifest.ts";
import { type RepositoryName, namespaceOf } from "../oci/reference.ts";
import { keys } from "../storage/keys.ts";
import type { Key } from "../storage/metadata-store.ts";
import type { ManifestRecord } from "../storage/records.ts";

/** The job that indexes the artifacts of earlier versions. */
export const INDEX_ARTIFACTS = "index-artifacts";
/** Stands for all namespaces together. */
export const EVERYWHERE = "*";

/** The rows of an artifact that waits for a decision; none for one that does not, and for what is attached, which waits with its subject. */
export function waitingKeys(
  repository: RepositoryName,
  { state, subject, statement, pushedAt, digest }: Pick<ManifestRecord, "state" | "subject" | "statement" | "pushedAt" | "digest">,
): readonly Key[] {
  if (statement || subject !== null || (state !== "acquired" && state !== "quarantined")) return [];
  return [EVERYWHERE, namespaceOf(repository)].map((scope) => keys.waiting(scope, pushedAt, repository, digest));
}

/** The rows of an artifact by the formats of its files, which are there as long as its content is. */
export function formatKeys({
  repository,
  record: { digest },
  manifest,
}: {
  readonly repository: RepositoryName;
  readonly record: Pick<ManifestRecord, "digest">;
  readonly manifest: Manifest;
}): readonly Key[] {
  return formatsIn(manifest).map((format) => keys.artifactFormat(format, repository, digest));
}
