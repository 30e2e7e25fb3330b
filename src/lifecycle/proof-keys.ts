import { type KeyObject, createPublicKey } from "node:crypto";
import type { Digest } from "../oci/digest.ts";
import { keyHint } from "./dsse.ts";
import { type OpenedStatement, isSignedWith } from "./proof-bundle.ts";
import { digestIn, keyLinkSchema } from "./proof-statement.ts";

/** Keys are made by hand; nobody rotates so often. */
const MAX_KEYS = 1000;
/** The first key vouches for all that was there before it. */
const ALWAYS = 0;

/** A key of the registry, and when it signed: epoch milliseconds, both ends within. */
export interface ProofKey {
  readonly id: string;
  readonly key: KeyObject;
  /** Digest of the statement that names it. */
  readonly statement: Digest;
  readonly registry: string;
  readonly from: number;
  readonly until: number;
  /** Does the key before vouch for it? Nobody but itself does where that one was lost. */
  readonly isVouchedFor: boolean;
}

interface KeyLink {
  readonly statement: OpenedStatement;
  readonly said: ReturnType<typeof keyLinkSchema.parse>["predicate"];
  readonly key: KeyObject;
}

/** The keys up to the one whose statement has this digest, oldest first; undefined when they make no chain of signed statements. */
export function keysUpTo(last: Digest, statements: Iterable<OpenedStatement>): readonly ProofKey[] | undefined {
  const byDigest = Map.groupBy(statements, ({ digest }) => digest);
  const links: KeyLink[] = [];
  for (let next: Digest | null = last; next !== null;) {
    const copies: readonly OpenedStatement[] = byDigest.get(next) ?? [];
    const link = linkOf(copies[0]);
    if (link === undefined || links.length >= MAX_KEYS) return undefined;
    links.unshift(link);
    next = link.said.prev && digestIn(link.said.prev);
  }
  const isChain = links.every((link, at) =>
    isRightLink(link, at, { before: links[at - 1], copies: byDigest.get(link.statement.digest) ?? [] }),
  );
  if (!isChain) return undefined;
  return links.map(({ statement, said, key }, at) => ({
    id: said.key.id,
    key,
    statement: statement.digest,
    registry: said.registry,
    from: at === 0 ? ALWAYS : said.effectiveAt,
    until: links[at + 1]?.said.effectiveAt ?? Infinity,
    isVouchedFor: said.signedBy !== said.key.id,
  }));
}

/** Is the last key one of those that are trusted, or does a chain of vouching lead from one of them to it? */
export function isTrusted(chain: readonly ProofKey[], trusted: ReadonlySet<string>): boolean {
  let isSo = false;
  for (const { id, isVouchedFor } of chain) isSo = trusted.has(id) || (isSo && isVouchedFor);
  return isSo;
}

/** The public key in a PEM text, and how Sigstore names it; undefined for what is no ECDSA key on P-256. */
export function publicKeyIn(pem: string): { readonly id: string; readonly key: KeyObject } | undefined {
  if (!/^-----BEGIN PUBLIC KEY-----\s/.test(pem)) return undefined;
  try {
    const key = createPublicKey(pem);
    const isOurs = key.asymmetricKeyType === "ec" && key.asymmetricKeyDetails?.namedCurve === "prime256v1";
    return isOurs ? { id: keyHint(key.export({ type: "spki", format: "der" })), key } : undefined;
  } catch {
    return undefined;
  }
}

function linkOf(statement: OpenedStatement | undefined): KeyLink | undefined {
  const { data } = keyLinkSchema.safeParse(statement?.statement);
  const found = data && publicKeyIn(data.predicate.key.pem);
  if (statement === undefined || data === undefined || found === undefined) return undefined;
  const { predicate: said, subject } = data;
  const isNamed = said.key.id === found.id && subject[0]?.digest.sha256 === Buffer.from(found.id, "base64").toString("hex");
  return isNamed ? { statement, said, key: found.key } : undefined;
}

function isRightLink(
  { said, key }: KeyLink,
  at: number,
  { before, copies }: { readonly before: KeyLink | undefined; readonly copies: readonly OpenedStatement[] },
): boolean {
  if (said.seq !== at + 1 || said.effectiveAt < (before?.said.effectiveAt ?? ALWAYS)) return false;
  const signers = [{ id: said.key.id, key }, ...(before === undefined ? [] : [{ id: before.said.key.id, key: before.key }])];
  const signer = signers.find(({ id }) => id === said.signedBy);
  return signer !== undefined && copies.some((copy) => isSignedWith(copy, signer.key));
}
