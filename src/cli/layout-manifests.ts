import type { Descriptor } from "../oci/descriptor.ts";
import { type Digest, digestOf } from "../oci/digest.ts";
import { evidenceKind } from "../oci/evidence.ts";
import type { Manifest } from "../oci/manifest.ts";
import { essenceOf, manifestKindOf } from "../oci/media-types.ts";
import { GROUNDS } from "./export-policies.ts";
import { LayoutError } from "./layout-error.ts";
import { readManifest } from "./layout-statements.ts";
import type { Layout } from "./layout.ts";
import { statementLayers } from "./statement-layers.ts";

/** As many as an index may have entries. */
const MAX_MANIFESTS = 50_000;
/** Bytes of all manifests together that are read: what they say of their content is kept in memory. */
const MAX_ALL_BYTES = 128 * 1_048_576;

type Place = Pick<Descriptor, "digest" | "size">;

/** A manifest of a layout that was held to its digest: what it says of its content, and no more. */
export interface LayoutManifest {
  /** By its first name in the layout, with the type that it is pushed as. */
  readonly descriptor: Pick<Descriptor, "mediaType" | "digest" | "size">;
  readonly sha256: Digest;
  readonly artifactType: string | undefined;
  readonly subject: Digest | undefined;
  readonly manifests: readonly Digest[];
  readonly blobs: readonly Place[];
  /** Layers that may hold a statement of a registry. */
  readonly statements: ReturnType<typeof statementLayers>;
  /** Does it say something of another manifest, so that it is no artifact of its own? */
  readonly isEvidence: boolean;
}

/** All manifests that the index of a layout leads to, by every name that somebody may have for them (RULES 4). */
export type LayoutManifests = ReadonlyMap<Digest, LayoutManifest>;

/** Is an entry of an index a manifest, by its type? */
export function isManifestEntry({ mediaType }: Pick<Descriptor, "mediaType">): boolean {
  return manifestKindOf(essenceOf(mediaType)) !== undefined;
}

/** Reads every manifest that the index names, and all that they contain, within bounds. Throws `LayoutError`. */
export async function readManifests(layout: Layout): Promise<LayoutManifests> {
  const found = new Map<Digest, LayoutManifest>();
  const distinct = new Set<Digest>();
  let bytes = 0;
  let level: readonly Descriptor[] = layout.entries.filter(isManifestEntry);
  while (level.length > 0) {
    const next: Descriptor[] = [];
    for (const descriptor of level) {
      const known = found.get(descriptor.digest);
      if (known !== undefined) {
        demandSame(known, descriptor);
        continue;
      }
      bytes += descriptor.size;
      if (bytes > MAX_ALL_BYTES) throw new LayoutError("layout-too-large", `its manifests have more than ${MAX_ALL_BYTES} bytes`);
      const children = await addTo(found, layout, descriptor);
      next.push(...children);
      distinct.add(found.get(descriptor.digest)?.sha256 ?? descriptor.digest);
      if (distinct.size > MAX_MANIFESTS) throw new LayoutError("layout-too-large", `it has more than ${MAX_MANIFESTS} manifests`);
    }
    level = next;
  }
  return found;
}

/** What the manifest contains is still to be read. */
async function addTo(found: Map<Digest, LayoutManifest>, layout: Layout, descriptor: Descriptor): Promise<readonly Descriptor[]> {
  const { manifest, digest, bytes } = await readManifest(layout, descriptor);
  const { mediaType, artifactType, subject } = manifest;
  const read = {
    descriptor: { mediaType, digest: descriptor.digest, size: descriptor.size },
    sha256: digest,
    artifactType,
    subject: subject?.digest,
    manifests: manifest.manifestReferences.map((child) => child.digest),
    blobs: manifest.blobReferences.map((blob) => ({ digest: blob.digest, size: blob.size })),
    statements: statementLayers(manifest),
    isEvidence: isEvidence(manifest),
  };
  for (const name of [digest, digestOf(bytes, "sha512")]) found.set(name, read);
  return manifest.manifestReferences;
}

/** Statements of a registry have a config of their own, by which they are of no kind of evidence. */
function isEvidence(manifest: Manifest): boolean {
  const { artifactType, layers } = manifest;
  const holdsStatements = layers.length > 0 && statementLayers(manifest).length === layers.length;
  return holdsStatements || artifactType === GROUNDS || evidenceKind(manifest) !== undefined;
}

function demandSame({ descriptor }: LayoutManifest, { mediaType, digest, size }: Descriptor): void {
  if (size === descriptor.size && essenceOf(mediaType) === descriptor.mediaType) return;
  throw new LayoutError("layout-invalid", `${digest} is named with two sizes or types`);
}
