import { z } from "zod";
import { type Digest, algorithmOf, digestOf, digestSchema } from "./digest.ts";
import { hasLookAlikeField } from "./field-names.ts";

const MAX_ANNOTATIONS = 1_024;
const MAX_ANNOTATION_KEY = 1_024;
const MAX_ANNOTATION_VALUE = 1_048_576;

/** Text by key; never `Object.prototype`'s members, so look-ups go through `Object.hasOwn` or `Object.entries`. */
export type Annotations = Readonly<Record<string, string>>;

const FIELDS: ReadonlySet<string> = new Set(["mediaType", "digest", "size", "urls", "annotations", "artifactType", "data"]);

/** A media type in a manifest: some visible text. Its meaning is its reader's business (image-spec §Descriptor properties). */
const mediaTypeSchema = z
  .string()
  .regex(/^[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?$/, "must be a media type: 1 to 255 visible ASCII characters");

/** Keeps the parsed object as it is: zod's records would lose a key such as `__proto__`, and referrers must list every annotation. */
export const annotationsSchema = z.custom<Annotations>(isAnnotations, {
  error: `must be text by key: at most ${MAX_ANNOTATIONS} entries, keys of 1 to ${MAX_ANNOTATION_KEY} and values of at most ${MAX_ANNOTATION_VALUE} characters`,
});

function isAnnotations(value: unknown): value is Annotations {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const entries = Object.entries(value);
  return (
    entries.length <= MAX_ANNOTATIONS &&
    entries.every(
      ([key, text]) =>
        key.length > 0 && key.length <= MAX_ANNOTATION_KEY && typeof text === "string" && text.length <= MAX_ANNOTATION_VALUE,
    )
  );
}

/**
 * A content descriptor (image-spec §Descriptor). Fields that are not known stay. `null` counts as absent, because Go writes an empty
 * list so. Inline `data` must be the content that digest and size describe: a reader may take it instead of the blob.
 */
export const descriptorSchema = z
  .looseObject({
    mediaType: mediaTypeSchema,
    digest: digestSchema,
    size: z.int("must be a whole number of at most 9007199254740991").nonnegative("must not be negative"),
    urls: z.array(z.string().max(2_048)).max(16).nullish(),
    annotations: annotationsSchema.nullish(),
    artifactType: z.string().max(255).nullish(),
    data: z.base64("must be base64").nullish(),
  })
  .refine((descriptor) => !hasLookAlikeField(descriptor, FIELDS), { error: "must not have a key that differs from a field only by case" })
  .refine(({ data, digest, size }) => data === undefined || data === null || isContent(data, digest, size), {
    path: ["data"],
    error: "must have the size and digest of its descriptor",
  });
export type Descriptor = Readonly<z.infer<typeof descriptorSchema>>;

function isContent(data: string, digest: Digest, size: number): boolean {
  const bytes = Buffer.from(data, "base64");
  return bytes.length === size && digestOf(bytes, algorithmOf(digest)) === digest;
}
