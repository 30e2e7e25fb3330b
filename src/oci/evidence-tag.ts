import type { Descriptor } from "./descriptor.ts";
import { type Digest, algorithmOf, encodedOf } from "./digest.ts";
import type { Manifest } from "./manifest.ts";
import { type Tag, tagSchema } from "./reference.ts";

const EVIDENCE_TAG = /^sha256-[0-9a-f]{64}\.(?:sig|att)$/;

/** The tags by which cosign attached signatures and attestations to an artifact before there were referrers (trust.md §3). */
export function evidenceTags(artifact: Digest): readonly Tag[] {
  return ["sig", "att"].map((kind) => tagSchema.parse(`${algorithmOf(artifact)}-${encodedOf(artifact)}.${kind}`));
}

/** Is it such a tag, of whatever artifact? */
export function isEvidenceTag(tag: Tag): boolean {
  return EVIDENCE_TAG.test(tag);
}

/** Does a manifest begin with all layers of another one, as they are, so that it only adds to it? Older signatures are in annotations. */
export function appendsTo({ layers, blobs }: Manifest, before: Manifest): boolean {
  const now = [...layers, ...blobs];
  return [...before.layers, ...before.blobs].every((layer, at) => isKept(layer, now[at]));
}

function isKept({ digest, annotations }: Descriptor, now: Descriptor | undefined): boolean {
  const kept = Object.entries(annotations ?? {}).every(([key, text]) => now?.annotations?.[key] === text);
  return now?.digest === digest && kept;
}
