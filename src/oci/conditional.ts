import type { Digest } from "./digest.ts";

/** The entity tag of content: its digest, always strong, as equal digests mean equal bytes. */
export function etagOf(digest: Digest): string {
  return `"${digest}"`;
}

/**
 * Does If-None-Match name this content, so that 304 is the answer (RFC 9110 §13.1.2)? By weak comparison; `*` names whatever exists.
 * Ask only of content that the caller may see.
 */
export function isNotModified(ifNoneMatch: string | undefined, digest: Digest): boolean {
  if (ifNoneMatch === undefined) return false;
  if (ifNoneMatch.trim() === "*") return true;
  const tag = etagOf(digest);
  // Digests hold no comma, so that splitting at commas cannot invent one of ours.
  return ifNoneMatch.split(",").some((candidate) => candidate.trim().replace(/^W\//, "") === tag);
}

/**
 * Does a Range header count (RFC 9110 §13.1.5)? Without If-Range it does; with one only when that is exactly this content's tag.
 * A date never is: no answer of ours has a Last-Modified that it could come from.
 */
export function isRangeCurrent(ifRange: string | undefined, digest: Digest): boolean {
  return ifRange === undefined || ifRange.trim() === etagOf(digest);
}
