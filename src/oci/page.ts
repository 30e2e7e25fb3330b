import { RegistryError } from "./errors.ts";

/** What part of a list is asked for: at most `n` entries, after the value `last` in ASCII order. */
export interface Page {
  readonly n: number;
  readonly last: string | undefined;
}

const DEFAULT_N = 1_000;
/** The most entries of any page. */
export const MAX_PAGE = 10_000;

/**
 * Reads `n` and `last` of a list (distribution-spec §Listing Tags). An `n` over 10 000 is cut, as a page may always be smaller when it
 * names the next one. `last` need not be an entry; only text that names and tags could be compared with is accepted.
 * Throws PAGE_INVALID.
 */
export function parsePage(n: string | undefined, last: string | undefined): Page {
  if (n !== undefined && !/^\d{1,32}$/.test(n)) throw new RegistryError("PAGE_INVALID");
  if (last !== undefined && !/^[\x20-\x7e]{0,255}$/.test(last)) {
    throw new RegistryError("PAGE_INVALID", "last must be an entry of the list, or text of at most 255 ASCII characters in its place");
  }
  return { n: n === undefined ? DEFAULT_N : Math.min(Number(n), MAX_PAGE), last: last === "" ? undefined : last };
}

/** A Link header to the next page of a list (RFC 8288), relative to the registry. `path` is a checked one; values are encoded. */
export function nextLink(path: string, query: Readonly<Record<string, string | number | undefined>>): string {
  const pairs = Object.entries(query).filter(([, value]) => value !== undefined);
  return `<${path}?${pairs.map(([key, value]) => `${key}=${encodeURIComponent(String(value))}`).join("&")}>; rel="next"`;
}
