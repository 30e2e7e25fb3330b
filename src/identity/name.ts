/** What an identity may be called: it is also the user name of a login, so it fits there without quoting. */
const IDENTITY_NAME = /^[a-z0-9]+(?:[._-][a-z0-9]+)*$/;
const MAX_IDENTITY_NAME = 64;
/** Principals that are no identities. */
const RESERVED_IDENTITIES: ReadonlySet<string> = new Set(["anonymous", "local-reader", "service-token", "system"]);

/** Is this well formed as the name of an identity? */
export function isIdentityName(text: string): boolean {
  return text.length <= MAX_IDENTITY_NAME && IDENTITY_NAME.test(text);
}

/** Does the name belong to a principal that is built in, so that no identity may have it? */
export function isReservedIdentity(name: string): boolean {
  return RESERVED_IDENTITIES.has(name);
}

/** A namespace is a component of a repository's name (RULES 16). */
const NAMESPACE_NAME = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const MAX_NAMESPACE_NAME = 64;
/** First components of the registry's own paths, and the principals that are no identities. */
const RESERVED_NAMESPACES: ReadonlySet<string> = new Set(["v1", "v2", "auth", "health", "livez", "readyz", ...RESERVED_IDENTITIES]);

/** Is this well formed as the name of a namespace? `sha256-<hex>` would collide with the folders of `trusted/` (RULES 16). */
export function isNamespaceName(text: string): boolean {
  return text.length <= MAX_NAMESPACE_NAME && NAMESPACE_NAME.test(text) && !/^(?:sha256|sha512)-[0-9a-f]+$/.test(text);
}

/** May nobody have this namespace? */
export function isReservedNamespace(name: string): boolean {
  return RESERVED_NAMESPACES.has(name);
}

/** What a reader takes for each other, on one side each. */
const CONFUSABLE: readonly (readonly [RegExp, string])[] = [
  [/[._-]+/g, ""],
  [/0/g, "o"],
  [/[1i]/g, "l"],
  [/5/g, "s"],
  [/rn/g, "m"],
  [/vv/g, "w"],
];

/** The same for all namespaces that look alike, and for no others: separators go, confusable characters are folded. */
export function skeletonOf(namespace: string): string {
  return CONFUSABLE.reduce((folded, [pattern, one]) => folded.replace(pattern, one), namespace);
}
