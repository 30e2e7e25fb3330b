import { X509Certificate } from "node:crypto";
import { X509Certificate as Certificate } from "@sigstore/core";
import { type Digest, digestOf } from "../oci/digest.ts";
import { type DistinguishedName, subjectNameOf } from "./distinguished-name.ts";
import { type Leaf, ifWellFormed, purposesOf, readLeaf } from "./leaf.ts";
import { isAcceptedKey } from "./public-key.ts";
import { Refusal } from "./reason.ts";

const MAX_CHAIN = 8;
const CODE_SIGNING = "1.3.6.1.5.5.7.3.3";
const NAME_CONSTRAINTS = "2.5.29.30";

/** A signer's certificate that leads to a pinned one. */
export interface CertificatePath {
  readonly leaf: Leaf;
  readonly subject: DistinguishedName;
  /** SHA-256 of the pinned certificate. */
  readonly root: Digest;
  /** Were all certificates of the path valid at that time? */
  readonly isValidAt: (time: Date) => boolean;
}

/** The two readers' views of one certificate: Node's verifies, the other one shows what Node's does not. */
interface Link {
  readonly node: X509Certificate;
  readonly parsed: Certificate;
}

/**
 * Follows a chain, the signer's certificate first and each other one the issuer of the one before, to one of the pinned certificates;
 * throws a `Refusal`. Which time it must have been valid at is left open: `isValidAt` tells.
 */
export function followChain(chain: readonly Buffer[], roots: readonly string[]): CertificatePath {
  return ifWellFormed(() => pathOf(chain, roots));
}

function pathOf(chain: readonly Buffer[], roots: readonly string[]): CertificatePath {
  const [first] = chain;
  if (first === undefined || chain.length > MAX_CHAIN) throw new Refusal("malformed-certificate");
  const leaf = readLeaf(first);
  checkPurpose(leaf);
  const path = pathTo(pinned(roots), chain.map(linkOf));
  const root = path.at(-1);
  if (root === undefined) throw new Refusal("certificate-untrusted");
  return {
    leaf,
    subject: subjectNameOf(leaf.certificate),
    root: digestOf(root.node.raw),
    isValidAt: (time) => path.every(({ parsed }) => parsed.validForDate(time)),
  };
}

/** A certificate that names purposes must name the signing of code; one that names none may sign anything (RFC 5280 §4.2.1.12). */
function checkPurpose(leaf: Leaf): void {
  if (!isAcceptedKey(leaf.key)) throw new Refusal("unsupported-key");
  if (purposesOf(leaf)?.includes(CODE_SIGNING) === false) throw new Refusal("leaf-key-usage");
}

/** The certificates from the signer's to the pinned one. A pinned certificate ends the path wherever it stands. */
function pathTo(roots: readonly Link[], chain: readonly Link[]): readonly Link[] {
  const path: Link[] = [];
  for (const [depth, link] of chain.entries()) {
    const before = path.at(-1);
    if (before !== undefined) checkIssued(before, link, depth - 1);
    path.push(link);
    if (roots.some((root) => isSame(root, link))) return path;
  }
  const last = path.at(-1);
  // Chains may leave the pinned certificate out.
  const issuer = last === undefined ? undefined : roots.find((root) => isIssuedBy(last, root));
  if (last === undefined || issuer === undefined) throw new Refusal("certificate-untrusted");
  checkIssued(last, issuer, chain.length - 1);
  return [...path, issuer];
}

/** Throws a `Refusal` unless the issuer may issue certificates, with so many between it and the signer's, and has issued this one. */
function checkIssued(link: Link, issuer: Link, below: number): void {
  const { parsed } = issuer;
  const limit = parsed.extBasicConstraints?.pathLenConstraint;
  const isAllowed = parsed.isCA && (limit === undefined || limit >= below);
  // Constraints on names are not understood here, so that nothing may rest on them.
  if (!isAllowed || parsed.extension(NAME_CONSTRAINTS) !== undefined || !isAcceptedKey(issuer.node.publicKey)) {
    throw new Refusal("certificate-untrusted");
  }
  if (!isIssuedBy(link, issuer)) throw new Refusal("certificate-untrusted");
}

function isIssuedBy(link: Link, issuer: Link): boolean {
  // The library takes no signature algorithm weaker than SHA-224, which Node's does not say of itself.
  const isStrong = (link.parsed.signatureAlgorithm as string | undefined) !== undefined;
  return isStrong && link.node.checkIssued(issuer.node) && link.node.verify(issuer.node.publicKey);
}

const PINNED = new WeakMap<readonly string[], readonly Link[]>();

/** The pinned certificates of an authority, read once as long as the authority lives. */
function pinned(roots: readonly string[]): readonly Link[] {
  const known = PINNED.get(roots);
  if (known !== undefined) return known;
  const links = roots.map((pem) => linkOf(new X509Certificate(pem).raw));
  PINNED.set(roots, links);
  return links;
}

function isSame(one: Link, other: Link): boolean {
  return one.node.raw.equals(other.node.raw);
}

function linkOf(der: Buffer): Link {
  return { node: new X509Certificate(der), parsed: Certificate.parse(Buffer.from(der)) };
}
