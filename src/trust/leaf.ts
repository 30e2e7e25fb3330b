import { ASN1Obj, type X509Certificate as Certificate } from "@sigstore/core";
import { type KeyObject, X509Certificate } from "node:crypto";
import { Refusal } from "./reason.ts";
import { RememberedCertificate } from "./remembered-certificate.ts";

const SUBJECT_ALT_NAME = "2.5.29.17";
const KEY_USAGE = "2.5.29.15";
const BASIC_CONSTRAINTS = "2.5.29.19";
const EXTENDED_KEY_USAGE = "2.5.29.37";
const CODE_SIGNING = "1.3.6.1.5.5.7.3.3";
/** Extensions that are understood here or say nothing about what a signature means: key identifiers, policies, revocation lists. */
const KNOWN = new Set([
  SUBJECT_ALT_NAME,
  KEY_USAGE,
  BASIC_CONSTRAINTS,
  EXTENDED_KEY_USAGE,
  "2.5.29.14",
  "2.5.29.35",
  "2.5.29.31",
  "2.5.29.32",
]);
const FULCIO = "1.3.6.1.4.1.57264.1.";
const ISSUER_V1 = `${FULCIO}1`;
const ISSUER_V2 = `${FULCIO}8`;
/** Fulcio's first six extensions hold plain text, all later ones text in DER. */
const PLAIN_TEXT: ReadonlySet<string> = new Set([1, 2, 3, 4, 5, 6].map((arc) => `${FULCIO}${arc}`));

/** The tags of the general names that are accepted: e-mail addresses and URIs (RFC 5280 §4.2.1.6). */
const NAME_KINDS = [1, 6];
const UTF8_STRING = 12;

/** A signer's certificate that has been read, and not been followed to any authority. */
export interface Leaf {
  readonly der: Buffer;
  readonly key: KeyObject;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** The text of an extension by its object identifier; undefined when there is none, or when it holds no text. */
  readonly extension: (oid: string) => string | undefined;
  readonly certificate: Certificate;
}

/** Who a certificate of a keyless signature is of. */
export interface LeafIdentity {
  readonly issuer: string;
  readonly subject: string;
}

/** Reads a certificate for signing code; throws a `Refusal` for any other. The library checks none of that (trust.md §2.3, 5). */
export function readLeaf(der: Buffer): Leaf {
  return ifWellFormed(() => checkedLeaf(RememberedCertificate.parse(Buffer.from(der)), new X509Certificate(der)));
}

/** What some reading of certificates gives. The library reads each part when it is asked for, and throws errors of its own. */
export function ifWellFormed<Result>(read: () => Result): Result {
  try {
    return read();
  } catch (error) {
    if (error instanceof Refusal) throw error;
    throw new Refusal("malformed-certificate");
  }
}

function checkedLeaf(certificate: Certificate, { publicKey, raw }: X509Certificate): Leaf {
  checkExtensions(certificate);
  const basic = certificate.extBasicConstraints;
  const usage = certificate.extKeyUsage;
  if (usage?.keyCertSign === true || (usage === undefined && basic?.isCA === true)) throw new Refusal("leaf-is-ca");
  if (usage !== undefined && !usage.digitalSignature) throw new Refusal("leaf-key-usage");
  return {
    der: raw,
    key: publicKey,
    notBefore: certificate.notBefore,
    notAfter: certificate.notAfter,
    extension: (oid) => textOf(certificate, oid),
    certificate,
  };
}

/** No extension twice, as readers would take one or the other, and none that must be understood and is not (RFC 5280 §4.2). */
function checkExtensions(certificate: Certificate): void {
  const oids = certificate.extensions.map((extension) => extension.subs[0]?.toOID() ?? "");
  if (new Set(oids).size !== oids.length) throw new Refusal("malformed-certificate");
  for (const oid of oids) {
    if (!KNOWN.has(oid) && !oid.startsWith(FULCIO) && certificate.extension(oid)?.critical === true) {
      throw new Refusal("unknown-critical-attribute");
    }
  }
}

/** The purposes that a certificate names; undefined when it names none. */
export function purposesOf({ certificate }: Leaf): readonly string[] | undefined {
  return certificate.extension(EXTENDED_KEY_USAGE)?.valueObj.subs[0]?.subs.map((purpose) => purpose.toOID());
}

/** Throws a `Refusal` unless the certificate is one for signing code and nothing above it, as a Sigstore authority issues them. */
export function checkCodeSigning(leaf: Leaf): void {
  if (leaf.certificate.extBasicConstraints?.isCA === true) throw new Refusal("leaf-is-ca");
  if (purposesOf(leaf)?.includes(CODE_SIGNING) !== true) throw new Refusal("leaf-key-usage");
}

/**
 * Who the certificate is of. Exactly one name, as the library reports one of several (trust.md §2.3, 6), and in ASCII, as it drops the
 * eighth bit of others, which makes other names of them.
 */
export function identityOf(leaf: Leaf): LeafIdentity {
  const names = leaf.certificate.extension(SUBJECT_ALT_NAME)?.valueObj.subs[0]?.subs ?? [];
  const [name] = names;
  if (name === undefined || names.length !== 1 || !NAME_KINDS.some((kind) => name.tag.isContextSpecific(kind)))
    throw new Refusal("leaf-names");
  const subject = asciiOf(name.value);
  const issuer = issuerOf(leaf);
  if (subject === undefined || issuer === undefined) throw new Refusal("leaf-names");
  return { issuer, subject };
}

/** The newer extension decides where there are both, also when it cannot be read. */
function issuerOf({ certificate, extension }: Leaf): string | undefined {
  return extension(certificate.extension(ISSUER_V2) === undefined ? ISSUER_V1 : ISSUER_V2);
}

function asciiOf(value: Buffer): string | undefined {
  const text = value.toString("latin1");
  return /^[\x20-\x7e]{1,2048}$/.test(text) ? text : undefined;
}

function textOf(certificate: Certificate, oid: string): string | undefined {
  const value = certificate.extension(oid)?.value;
  if (value === undefined) return undefined;
  if (PLAIN_TEXT.has(oid)) return asciiOf(value);
  try {
    const { tag, value: text } = ASN1Obj.parseBuffer(Buffer.from(value));
    return tag.isUniversal() && tag.number === UTF8_STRING
      ? new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(text)
      : undefined;
  } catch {
    return undefined;
  }
}
