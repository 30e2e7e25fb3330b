import type { Annotations } from "./descriptor.ts";
import type { Digest } from "./digest.ts";
import { evidenceKind } from "./evidence.ts";
import type { Manifest } from "./manifest.ts";

/** What the list of referrers says of one of them (distribution-spec §Listing Referrers). */
export interface ReferrerDescriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
  readonly artifactType?: string;
  readonly annotations?: Annotations;
}

/** The entry of a manifest in the list of its subject's referrers, with all of its annotations. `size` is that of its bytes. */
export function referrerDescriptor(manifest: Manifest, digest: Digest, size: number): ReferrerDescriptor {
  const { mediaType, artifactType, annotations } = manifest;
  return {
    mediaType,
    digest,
    size,
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
  };
}

/** The registry's own statements come first. */
export const STATEMENT_RANK = 0;

/**
 * Where a referrer stands in the list of its subject's, lowest first. Widely used clients read one page only, so that evidence must
 * come before whatever else was attached.
 */
export function referrerRank(manifest: Manifest, statement: boolean): number {
  if (statement) return STATEMENT_RANK;
  switch (evidenceKind(manifest)) {
    case "signature":
    case "attestation":
      return 1;
    case "sbom":
    case "scan-report":
      return 2;
    case undefined:
      return 9;
  }
}
