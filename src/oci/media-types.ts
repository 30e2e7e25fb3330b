/** Manifest types (image-spec §Media types, and Docker's image manifest version 2, schema 2). */
export const OCI_IMAGE = "application/vnd.oci.image.manifest.v1+json";
export const OCI_INDEX = "application/vnd.oci.image.index.v1+json";
/** Withdrawn before image-spec 1.1 was released, and still met. */
export const OCI_ARTIFACT = "application/vnd.oci.artifact.manifest.v1+json";
export const DOCKER_IMAGE = "application/vnd.docker.distribution.manifest.v2+json";
export const DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json";

/** The config of an artifact that has none (image-spec §Guidance for an empty descriptor). */
export const OCI_EMPTY = "application/vnd.oci.empty.v1+json";

/** The form of a manifest: what it may hold and what that reaches. */
export type ManifestKind = "image" | "index" | "artifact";

const KINDS: ReadonlyMap<string, ManifestKind> = new Map([
  [OCI_IMAGE, "image"],
  [DOCKER_IMAGE, "image"],
  [OCI_INDEX, "index"],
  [DOCKER_LIST, "index"],
  [OCI_ARTIFACT, "artifact"],
]);

/** The types of manifests that may be pushed. */
export const MANIFEST_TYPES: readonly string[] = [...KINDS.keys()];

/** The form of a manifest of this type; undefined for a type that may not be pushed as a manifest. */
export function manifestKindOf(mediaType: string): ManifestKind | undefined {
  return KINDS.get(mediaType);
}

/** A media type without its parameters and in lower case, as types compare (RFC 9110 §8.3.1). */
export function essenceOf(mediaType: string): string {
  return (mediaType.split(";", 1)[0] ?? "").trim().toLowerCase();
}
