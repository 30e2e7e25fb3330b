import { z } from "zod";
import { type Digest, isDigest } from "./digest.ts";

/** A repository's name (distribution-spec §Pulling manifests). */
export type RepositoryName = string & z.$brand<"RepositoryName">;
/** A tag (distribution-spec §Pulling manifests). */
export type Tag = string & z.$brand<"Tag">;
/** What may stand behind `/manifests/`: a tag or a digest. */
export type Reference = { readonly tag: Tag } | { readonly digest: Digest };

const COMPONENT = "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*";
/** The specification's expression for a name, without anchors: for routes. */
export const NAME_PATTERN = `${COMPONENT}(?:/${COMPONENT})*`;
const NAME = new RegExp(`^${NAME_PATTERN}$`);
/** The specification's expression for a tag, without anchors. */
export const TAG_PATTERN = "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}";
const TAG = new RegExp(`^${TAG_PATTERN}$`);
/** distribution-spec: many clients limit the name, so a registry should too. */
const MAX_NAME_LENGTH = 255;

/** Is this a repository's name? */
export function isRepositoryName(text: string): text is RepositoryName {
  return text.length <= MAX_NAME_LENGTH && NAME.test(text);
}

/** Is this a tag? */
export function isTag(text: string): text is Tag {
  return TAG.test(text);
}

/** A component of the form `<algorithm>-<hex>` would collide with the folders of `trusted/`, so repositories may not have one. */
export function hasDigestLikeComponent(name: RepositoryName): boolean {
  return name.split("/").some((component) => /^(?:sha256|sha512)-[0-9a-f]+$/.test(component));
}

/** The tag or digest that a text names, or nothing. A text with a colon can only be a digest. */
export function parseReference(text: string): Reference | undefined {
  if (isDigest(text)) return { digest: text };
  return isTag(text) ? { tag: text } : undefined;
}

/** The artifact that `<repository>@<digest>` or `<repository>:<tag>` names, or nothing (interface.md §5). */
export function parseArtifactReference(text: string): { readonly repository: RepositoryName; readonly reference: Reference } | undefined {
  const [, repository = "", separator, rest = ""] = /^([^@:]+)([@:])(.+)$/s.exec(text) ?? [];
  if (!isRepositoryName(repository)) return undefined;
  if (separator === "@" && isDigest(rest)) return { repository, reference: { digest: rest } };
  return separator === ":" && isTag(rest) ? { repository, reference: { tag: rest } } : undefined;
}

/** The namespace of a repository: the first component of its name. */
export function namespaceOf(name: RepositoryName): string {
  return name.split("/", 1)[0] ?? name;
}

export const repositoryNameSchema = z
  .custom<RepositoryName>((value) => typeof value === "string" && isRepositoryName(value), {
    error: "must be a repository name: lower-case components of letters and digits, joined by / and single . _ __ or -",
  })
  .register(z.globalRegistry, { type: "string", pattern: NAME.source, maxLength: MAX_NAME_LENGTH });

export const tagSchema = z
  .custom<Tag>((value) => typeof value === "string" && isTag(value), {
    error: "must be a tag: 1 to 128 letters, digits, _ . or -, not beginning with . or -",
  })
  .register(z.globalRegistry, { type: "string", pattern: TAG.source });
