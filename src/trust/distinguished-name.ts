import type { ASN1Obj, X509Certificate } from "@sigstore/core";
import { Refusal } from "./reason.ts";

/** The attributes of a certificate's subject, in its order: a name of RFC 4519 or an object identifier, and a text. */
export type DistinguishedName = readonly (readonly [attribute: string, text: string])[];

const ATTRIBUTES: Readonly<Record<string, string>> = {
  "2.5.4.3": "CN",
  "2.5.4.5": "serialNumber",
  "2.5.4.6": "C",
  "2.5.4.7": "L",
  "2.5.4.8": "ST",
  "2.5.4.9": "street",
  "2.5.4.10": "O",
  "2.5.4.11": "OU",
  "0.9.2342.19200300.100.1.1": "UID",
  "0.9.2342.19200300.100.1.25": "DC",
  "1.2.840.113549.1.9.1": "emailAddress",
};
const UTF8_STRING = 12;
/** PrintableString and IA5String. */
const ASCII_STRINGS: ReadonlySet<number> = new Set([19, 22]);
/** Where the subject stands in a certificate that begins with its version (RFC 5280 §4.1). */
const SUBJECT = 5;

/** The subject of a certificate of version 3; throws a `Refusal` for texts in encodings that readers take for different ones. */
export function subjectNameOf({ tbsCertificate }: X509Certificate): DistinguishedName {
  const [version] = tbsCertificate.subs;
  const subject = tbsCertificate.subs[SUBJECT];
  if (version?.tag.isContextSpecific(0) !== true || subject === undefined) throw new Refusal("malformed-certificate");
  return subject.subs.flatMap(({ subs }) => subs).map(attributeOf);
}

function attributeOf({ subs: [type, value] }: ASN1Obj): readonly [string, string] {
  const text = value === undefined ? undefined : textOf(value);
  if (type === undefined || text === undefined) throw new Refusal("malformed-certificate");
  const oid = type.toOID();
  return [Object.hasOwn(ATTRIBUTES, oid) ? (ATTRIBUTES[oid] ?? oid) : oid, text];
}

function textOf({ tag, value }: ASN1Obj): string | undefined {
  if (!tag.isUniversal()) return undefined;
  if (tag.number === UTF8_STRING) return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(value);
  return ASCII_STRINGS.has(tag.number) && value.every((byte) => byte < 0x80) ? value.toString("latin1") : undefined;
}

/** Has the name each of these attributes exactly once, with exactly this text? */
export function hasAttributes(name: DistinguishedName, wanted: Readonly<Record<string, string>>): boolean {
  return Object.entries(wanted).every(([attribute, text]) => {
    const texts = name.filter(([known]) => known === attribute);
    return texts.length === 1 && texts[0]?.[1] === text;
  });
}

/** The name as RFC 4514 writes it, but in the order of the certificate. */
export function nameText(name: DistinguishedName): string {
  return name.map(([attribute, text]) => `${attribute}=${text.replace(/[,+"\\<>;=]/g, String.raw`\$&`)}`).join(",");
}
