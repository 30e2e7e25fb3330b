import { type KeyObject, X509Certificate, createHash, generateKeyPairSync, randomBytes, sign } from "node:crypto";

/** What a certificate of a test says; everything has a value that makes a signer's certificate. */
export interface CertificateForm {
  readonly subject?: readonly (readonly [oid: string, text: string])[];
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly extensions?: readonly Buffer[];
  readonly curve?: "P-256" | "P-384" | "P-521";
  readonly rsaBits?: number;
  /** Given when the same certificate is made twice, with and without an extension. */
  readonly keys?: KeyPair;
  readonly serial?: Buffer;
}

export interface KeyPair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

/** A certificate with its key. */
export interface Issued {
  readonly der: Buffer;
  readonly pem: string;
  readonly key: KeyObject;
  readonly publicKey: KeyObject;
  readonly name: Buffer;
}

/** One element in DER (X.690). */
export function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}
export const sequence = (...parts: readonly Buffer[]): Buffer => der(0x30, ...parts);

/** An object identifier in DER. */
function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  return der(0x06, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]));
}

function base128(arc: number): number[] {
  const digits = [arc % 128];
  for (let rest = Math.floor(arc / 128); rest > 0; rest = Math.floor(rest / 128)) digits.unshift((rest % 128) + 128);
  return digits;
}

/** An extension of a certificate. */
export function extension(id: string, value: Buffer, critical = false): Buffer {
  return sequence(oid(id), ...(critical ? [der(0x01, Buffer.from([0xff]))] : []), der(0x04, value));
}

export const utf8 = (text: string): Buffer => der(0x0c, Buffer.from(text));
export const PURPOSES = {
  codeSigning: "1.3.6.1.5.5.7.3.3",
  timeStamping: "1.3.6.1.5.5.7.3.8",
  serverAuth: "1.3.6.1.5.5.7.3.1",
  any: "2.5.29.37.0",
};

/** What the key may do, by the bits of RFC 5280 §4.2.1.3: 0x80 signs data, 0x04 signs certificates. */
export const keyUsage = (bits: number): Buffer => extension("2.5.29.15", der(0x03, Buffer.from([bits & 0x04 ? 2 : 7, bits])), true);
export const purposes = (...ids: readonly string[]): Buffer => extension("2.5.29.37", sequence(...ids.map(oid)));
/** The one purpose of a key, as timestamp authorities must mark it (RFC 3161 §2.3). */
export const onlyPurpose = (id: string): Buffer => extension("2.5.29.37", sequence(oid(id)), true);
export const basicConstraints = (ca: boolean, pathLength?: number): Buffer =>
  extension(
    "2.5.29.19",
    sequence(...(ca ? [der(0x01, Buffer.from([0xff]))] : []), ...(pathLength === undefined ? [] : [der(0x02, Buffer.from([pathLength]))])),
    true,
  );
export const uri = (text: string | Buffer): Buffer => der(0x86, Buffer.from(text));
export const email = (text: string | Buffer): Buffer => der(0x81, Buffer.from(text));
export const dns = (text: string): Buffer => der(0x82, Buffer.from(text));
export const names = (...generalNames: readonly Buffer[]): Buffer => extension("2.5.29.17", sequence(...generalNames), true);

/** Which key a certificate is for, and which one signed it (RFC 5280 §4.2.1.1 and §4.2.1.2). */
export const subjectKeyId = (key: KeyObject): Buffer => extension("2.5.29.14", der(0x04, keyId(key)));
export const authorityKeyId = (key: KeyObject): Buffer => extension("2.5.29.35", sequence(der(0x80, keyId(key))));

function keyId(key: KeyObject): Buffer {
  return createHash("sha1")
    .update(key.export({ type: "spki", format: "der" }))
    .digest();
}

/** The extensions of an authority and of a signer as they should be. */
export const AUTHORITY = [basicConstraints(true), keyUsage(0x04)];
export const SIGNER = [keyUsage(0x80), purposes(PURPOSES.codeSigning)];
export const CN = "2.5.4.3";
export const O = "2.5.4.10";

const ECDSA_WITH_SHA256 = sequence(oid("1.2.840.10045.4.3.2"));
const RSA_WITH_SHA256 = sequence(oid("1.2.840.113549.1.1.11"), der(0x05));

/** Makes a certificate of an issuer, or one signed by its own key; Node has no maker of certificates. */
export function issue(form: CertificateForm, issuer?: Issued): Issued {
  const { publicKey, privateKey: key } = keyPair(form);
  const name = sequence(...(form.subject ?? [[CN, "signer"]]).map(([id, text]) => der(0x31, sequence(oid(id), utf8(text)))));
  const signer = issuer?.key ?? key;
  const algorithm = signer.asymmetricKeyType === "rsa" ? RSA_WITH_SHA256 : ECDSA_WITH_SHA256;
  const tbs = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, form.serial ?? newSerial()),
    algorithm,
    issuer?.name ?? name,
    sequence(time(form.notBefore), time(form.notAfter)),
    name,
    publicKey.export({ type: "spki", format: "der" }),
    ...(form.extensions === undefined || form.extensions.length === 0 ? [] : [der(0xa3, sequence(...form.extensions))]),
  );
  const certificate = sequence(tbs, algorithm, der(0x03, Buffer.from([0]), sign("sha256", tbs, signer)));
  return { der: certificate, pem: pemOf(certificate), key, publicKey, name };
}

export const newSerial = (): Buffer => Buffer.from([1, ...randomBytes(15)]);

function keyPair({ rsaBits, curve = "P-256", keys }: CertificateForm): KeyPair {
  if (keys !== undefined) return keys;
  return rsaBits === undefined ? generateKeyPairSync("ec", { namedCurve: curve }) : generateKeyPairSync("rsa", { modulusLength: rsaBits });
}

/** With two digits of the year up to 2049, and four from then on (RFC 5280 §4.1.2.5). */
function time(at: Date): Buffer {
  const digits = at.toISOString().replace(/[-:T]|\.\d+/g, "");
  return at.getUTCFullYear() < 2050 ? der(0x17, Buffer.from(digits.slice(2))) : der(0x18, Buffer.from(digits));
}

/** A certificate in PEM. */
export function pemOf(certificate: Buffer): string {
  return new X509Certificate(certificate).toString();
}
