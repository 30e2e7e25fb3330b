import { z } from "zod";
import { type Annotations, type Descriptor, annotationsSchema, descriptorSchema } from "./descriptor.ts";
import { RegistryError } from "./errors.ts";
import { hasLookAlikeField } from "./field-names.ts";
import { JsonError, parseJson } from "./json.ts";
import { MANIFEST_TYPES, type ManifestKind, essenceOf, manifestKindOf } from "./media-types.ts";

/** The most bytes that a manifest may have; distribution-spec asks for at least 4 MB. */
export const MAX_MANIFEST_BYTES = 4_194_304;
const MAX_DEPTH = 64;
/** The most entries of one list (RULES 2). */
const MAX_ENTRIES = 10_000;
/** What the rest of a referrers page with one entry needs at most, besides the entry's annotations. */
const REFERRER_PAGE_FRAME = 4_096;

/** What a manifest says, of whatever type it is. Lists that its kind does not have are empty. */
export interface Manifest {
  /** As it was pushed, without parameters: what a pull answers as Content-Type. */
  readonly mediaType: string;
  readonly kind: ManifestKind;
  /** The manifest's own, else for an image that of its config (distribution-spec §Listing Referrers). */
  readonly artifactType: string | undefined;
  readonly config: Descriptor | undefined;
  readonly layers: readonly Descriptor[];
  readonly blobs: readonly Descriptor[];
  readonly manifests: readonly Descriptor[];
  /** What it is attached to. It reaches nothing (RULES 1). */
  readonly subject: Descriptor | undefined;
  readonly annotations: Annotations;
  /** All that it reaches among blobs: config, layers, blobs. */
  readonly blobReferences: readonly Descriptor[];
  /** All that it reaches among manifests: the entries of an index, of whatever type (RULES 2). */
  readonly manifestReferences: readonly Descriptor[];
}

/** The fields that hold content, of all forms of manifests, schema 1 included. */
const CONTENT_FIELDS = ["config", "layers", "manifests", "blobs", "fsLayers", "history"] as const;
/** Those that a form must have; it must have none of the others, or readers of another form would see other content in it (CVE-2021-41190). */
const CONTENT_OF: Readonly<Record<ManifestKind, readonly string[]>> = {
  image: ["config", "layers"],
  index: ["manifests"],
  artifact: ["blobs"],
};
const FIELDS: ReadonlySet<string> = new Set([...CONTENT_FIELDS, "schemaVersion", "mediaType", "artifactType", "subject", "annotations"]);

/** `null` counts as absent: Go writes an empty list so. */
const entriesSchema = z
  .array(descriptorSchema)
  .max(MAX_ENTRIES, `must have at most ${MAX_ENTRIES} entries`)
  .nullish()
  .transform((entries) => entries ?? []);

const documentSchema = z.looseObject({
  schemaVersion: z.literal(2, "must be 2").nullish(),
  mediaType: z.string("must be text").nullish(),
  artifactType: z.string("must be text").max(255, "must have at most 255 characters").nullish(),
  config: descriptorSchema.optional(),
  layers: entriesSchema,
  blobs: entriesSchema,
  manifests: entriesSchema,
  subject: descriptorSchema.nullish(),
  annotations: annotationsSchema.nullish(),
});
type Document = z.infer<typeof documentSchema>;

/**
 * Reads a pushed manifest: OCI image, index and artifact manifest, Docker schema 2 manifest and list. Unknown fields are left alone, as
 * what is stored is always the bytes as pushed. Throws MEDIA_TYPE_UNSUPPORTED for other types, and MANIFEST_INVALID with the rule.
 */
export function parseManifest(bytes: Uint8Array, contentType: string | undefined): Manifest {
  const pushedAs = contentType === undefined ? undefined : essenceOf(contentType);
  // Before anything is parsed: what is not a manifest needs no more work.
  if (pushedAs !== undefined) kindOf(pushedAs);
  const value = parseObject(bytes);
  const mediaType = mediaTypeOf(value, pushedAs);
  const kind = kindOf(mediaType);
  checkForm(value, kind);
  const document = parseDocument(value);
  checkReferrer(document);
  return manifestOf(document, mediaType, kind);
}

function kindOf(mediaType: string): ManifestKind {
  const kind = manifestKindOf(mediaType);
  if (kind !== undefined) return kind;
  if (mediaType.startsWith("application/vnd.docker.distribution.manifest.v1+")) {
    throw new RegistryError(
      "MEDIA_TYPE_UNSUPPORTED",
      "Docker schema 1 manifests are not accepted: push the image in schema 2 or as OCI image",
    );
  }
  throw new RegistryError(
    "MEDIA_TYPE_UNSUPPORTED",
    `not a type of manifest that is accepted here; these are: ${MANIFEST_TYPES.join(", ")}`,
  );
}

function parseObject(bytes: Uint8Array): object {
  try {
    const value = parseJson(bytes, { maxDepth: MAX_DEPTH });
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  } catch (error) {
    if (error instanceof JsonError) throw invalid(error.message);
    throw error;
  }
  throw invalid("a manifest is a JSON object");
}

/** The type is said by Content-Type, by the manifest, or by both alike (distribution-spec §Pushing Manifests). */
function mediaTypeOf(value: object, pushedAs: string | undefined): string {
  const inner: unknown = "mediaType" in value ? value.mediaType : undefined;
  if (inner === undefined || inner === null) {
    if (pushedAs === undefined) throw invalid("it has no mediaType: send its type as Content-Type");
    return pushedAs;
  }
  if (typeof inner !== "string") throw invalid("mediaType must be text");
  if (pushedAs !== undefined && inner !== pushedAs) throw invalid(`its mediaType is not ${pushedAs}, which it was sent as`);
  return inner;
}

/** A manifest is of one form only, and no key can be mistaken for one of its fields. */
function checkForm(value: object, kind: ManifestKind): void {
  if (hasLookAlikeField(value, FIELDS)) throw invalid("a key differs from a field of the specification only by case");
  for (const field of CONTENT_FIELDS) {
    const wanted = CONTENT_OF[kind].includes(field);
    if (wanted !== Object.hasOwn(value, field)) throw invalid(`a manifest of this type must ${wanted ? "" : "not "}have ${field}`);
  }
  // The artifact manifest was the only form without a schemaVersion.
  if (kind !== "artifact" && !Object.hasOwn(value, "schemaVersion")) throw invalid("schemaVersion must be 2");
}

function parseDocument(value: object): Document {
  const parsed = documentSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw invalid(issue === undefined ? "it has not the form of its type" : `${z.core.toDotPath(issue.path)}: ${issue.message}`);
}

/** Every annotation of a referrer is shown in the list of referrers, whose pages must fit what clients read of one. */
function checkReferrer({ subject, annotations }: Document): void {
  if (!subject || !annotations) return;
  if (Buffer.byteLength(JSON.stringify(annotations)) > MAX_MANIFEST_BYTES - REFERRER_PAGE_FRAME) {
    throw invalid(`the annotations of a manifest with a subject may have at most ${MAX_MANIFEST_BYTES - REFERRER_PAGE_FRAME} bytes`);
  }
}

function manifestOf(document: Document, mediaType: string, kind: ManifestKind): Manifest {
  const { config, layers, blobs, manifests } = document;
  return {
    mediaType,
    kind,
    artifactType: document.artifactType || config?.mediaType,
    config,
    layers,
    blobs,
    manifests,
    subject: document.subject ?? undefined,
    annotations: document.annotations ?? {},
    blobReferences: config === undefined ? blobs : [config, ...layers],
    manifestReferences: manifests,
  };
}

function invalid(rule: string): RegistryError {
  return new RegistryError("MANIFEST_INVALID", `the manifest is invalid: ${rule}`);
}
