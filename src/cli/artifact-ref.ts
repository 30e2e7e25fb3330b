import { type Digest, isDigest } from "../oci/digest.ts";
import { type RepositoryName, type Tag, isRepositoryName, isTag } from "../oci/reference.ts";
import { CliError, EXIT } from "./failure.ts";
import { isLoopback } from "./server-url.ts";

/** An artifact as it is named on the command line: `<repository>:<tag>`, `<repository>@<digest>`, or both, where the digest counts. */
export interface ArtifactRef {
  readonly repository: RepositoryName;
  readonly tag: Tag | undefined;
  readonly digest: Digest | undefined;
}

/**
 * Reads a REF, or tells why the text is none. The registry's own `host:port/` in front, as other clients write it, is fine; another one is a usage error, since the
 * request would go to a registry that was not meant.
 */
export function readArtifactRef(text: string, server: URL): ArtifactRef | { readonly fault: string } {
  const named = withoutHost(text, server);
  const [place, digest] = cut(named, named.indexOf("@"));
  const [repository, tag] = cut(place, place.lastIndexOf(":"));
  if (digest !== undefined && !isDigest(digest)) return { fault: "what stands behind @ is not a digest" };
  if (!isRepositoryName(repository)) return { fault: "it is not <repository>:<tag> or <repository>@<digest>" };
  if (tag !== undefined && !isTag(tag)) return { fault: "what stands behind the colon is not a tag" };
  if (tag === undefined && digest === undefined) return { fault: "it needs a :tag or an @digest" };
  return { repository, tag, digest };
}

function cut(text: string, at: number): readonly [before: string, behind: string | undefined] {
  return at === -1 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

/** As `readArtifactRef`, for what must be a REF; anything else is a usage error. */
export function parseArtifactRef(text: string, server: URL): ArtifactRef {
  const ref = readArtifactRef(text, server);
  if ("fault" in ref) throw usage(text, ref.fault);
  return ref;
}

/** Reads the name of a repository, with the registry's own host in front or without. */
export function parseRepository(text: string, server: URL): RepositoryName {
  const name = withoutHost(text, server);
  if (!isRepositoryName(name)) throw usage(text, "it is not the name of a repository");
  return name;
}

/** Reads a REF that must name a tag. */
export function parseTagRef(text: string, server: URL): { readonly repository: RepositoryName; readonly tag: Tag } {
  const { repository, tag, digest } = parseArtifactRef(text, server);
  if (tag === undefined || digest !== undefined) throw usage(text, "it must be <repository>:<tag>");
  return { repository, tag };
}

/** A REF as text, the digest first of what it names. */
export function refText({ repository, tag, digest }: ArtifactRef): string {
  return digest === undefined ? `${repository}:${tag ?? ""}` : `${repository}@${digest}`;
}

/** A colon before the first slash can only be that of a port. */
function withoutHost(text: string, server: URL): string {
  const slash = text.indexOf("/");
  const host = text.slice(0, Math.max(slash, 0));
  if (!host.includes(":")) return text.startsWith(`${server.host}/`) && server.host.includes(".") ? text.slice(slash + 1) : text;
  // The name of a model may have a colon too, but hardly a port behind it.
  const named = /:\d+$/.test(host) ? URL.parse(`${server.protocol}//${host}`) : null;
  if (named === null) return text;
  const same = named.host === server.host || (named.port === server.port && isLoopback(named.hostname) && isLoopback(server.hostname));
  if (!same) throw usage(text, `it names another registry than ${server.host}: set REGISTRY_URL`);
  return text.slice(slash + 1);
}

function usage(text: string, rule: string): CliError {
  return new CliError(EXIT.usage, `${text}: ${rule}`);
}
