import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { type SerializedBundle, bundleToJSON } from "@sigstore/bundle";
import { initializeCTLog, initializeTSA } from "@sigstore/mock";
import { DSSEBundleBuilder, MessageSignatureBundleBuilder, type Signer, type Witness } from "@sigstore/sign";
import { type TrustRoot, parseTrustRoot } from "../../src/trust/trust-root.ts";
import * as x509 from "./certificates.ts";
import { type EntryKind, TransparencyLog, entryBody, signatureIn } from "./transparency-log.ts";

/** Where certificates of the instance say that their holders were authenticated, and one of these holders. */
export const ISSUER = "https://issuer.corp.example";
export const WORKFLOW = "https://git.corp.example/ml/demo/.ci/release.yml@refs/heads/main";
const IN_TOTO = "application/vnd.in-toto+json";
export const ISSUER_V1 = "1.3.6.1.4.1.57264.1.1";
export const ISSUER_V2 = "1.3.6.1.4.1.57264.1.8";
const SCT_LIST = "1.3.6.1.4.1.11129.2.4.2";
const VALIDITY = { start: "2020-01-01T00:00:00Z" };
const TEN_MINUTES = 600_000;

const sha256 = (bytes: Buffer | string): Buffer => createHash("sha256").update(bytes).digest();
const base64 = (bytes: ArrayBufferView | Buffer): string => bytesOf(bytes).toString("base64");
const bytesOf = (bytes: ArrayBufferView): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const newKeys = (namedCurve = "P-256"): x509.KeyPair => generateKeyPairSync("ec", { namedCurve });

/**
 * A clock that stands at a whole second, as the library refuses times with one or two decimals, and an hour from now: the certificates
 * that the mock makes are valid from the moment that it makes them.
 */
export const wholeSecond = (): Date => new Date(Math.ceil(Date.now() / 1_000) * 1_000 + 3_600_000);

/** What a test may have otherwise. */
export interface InstanceOptions {
  readonly clock?: Date;
  /** What the timestamp authority takes for the time. */
  readonly timestampClock?: Date;
  readonly host?: string;
}

/** A Sigstore instance in this process: authority, certificate log, log and timestamp authority that nobody else knows. */
export class SigstoreInstance {
  readonly clock: Date;
  readonly document: TrustedRootDocument;
  readonly authority: x509.Issued;
  readonly log: TransparencyLog;
  readonly #ctLog: Awaited<ReturnType<typeof initializeCTLog>>;
  readonly #timestamps: Awaited<ReturnType<typeof initializeTSA>>;

  private constructor(clock: Date, document: TrustedRootDocument, parts: Parts) {
    this.clock = clock;
    this.document = document;
    this.authority = parts.authority;
    this.log = parts.log;
    this.#ctLog = parts.ctLog;
    this.#timestamps = parts.timestamps;
  }

  static async start({
    clock = wholeSecond(),
    timestampClock = clock,
    host = "rekor.corp.example",
  }: InstanceOptions = {}): Promise<SigstoreInstance> {
    const authority = x509.issue({
      subject: [[x509.CN, "corp authority"]],
      notBefore: new Date("2020-01-01T00:00:00Z"),
      notAfter: new Date("2120-01-01T00:00:00Z"),
      extensions: x509.AUTHORITY,
      curve: "P-384",
    });
    const log = new TransparencyLog(host, clock);
    const ctLog = await initializeCTLog(newKeys(), clock);
    const timestamps = await initializeTSA(newKeys(), timestampClock);
    const parts = { authority, log, ctLog, timestamps };
    return new SigstoreInstance(clock, documentOf(parts), parts);
  }

  get trustRoot(): TrustRoot {
    return parseTrustRoot(Buffer.from(JSON.stringify(this.document)));
  }

  /** Enters a signature into the log; the second version of the log signs no time. */
  readonly logged = (kind: EntryKind = "v1"): Witness => ({
    testify: async (content, signer) => {
      const entry = this.log.entry(entryBody(kind, content, signer));
      return { tlogEntries: [kind === "v2" ? { ...entry, integratedTime: "0", inclusionPromise: undefined } : entry] };
    },
  });

  /** Has a signature timestamped. */
  readonly timestamped = (): Witness => ({
    testify: async (content) => {
      return { rfc3161Timestamps: [{ signedTimestamp: await this.timestamp(signatureIn(content)) }] };
    },
  });

  /** An RFC 3161 response over a signature. */
  async timestamp(signature: Buffer): Promise<Buffer> {
    const response = await this.#timestamps.timestamp({
      artifactHash: sha256(signature),
      hashAlgorithmOID: "2.16.840.1.101.3.4.2.1",
      nonce: 42,
      policyOID: "1.3.6.1.4.1.57264.2",
      certReq: true,
    });
    return Buffer.from(bytesOf(response));
  }

  /** A certificate of the authority for ten minutes, logged, with what a test wants otherwise. */
  async certificate({ extensions, isLogged = true, ...form }: CertificateWish = {}): Promise<x509.Issued> {
    const whole = {
      notBefore: this.clock,
      notAfter: new Date(this.clock.getTime() + TEN_MINUTES),
      subject: [],
      keys: newKeys(),
      serial: x509.newSerial(),
      ...form,
      extensions: extensions ?? identity(),
    };
    const bare = x509.issue(whole, this.authority);
    if (!isLogged) return bare;
    const issuerId = sha256(this.authority.publicKey.export({ type: "spki", format: "der" }));
    const sct = Buffer.from(await this.#ctLog.log(arrayBufferOf(bare.der), arrayBufferOf(issuerId)));
    // The mock has written the length of the timestamp itself.
    const list = Buffer.concat([Buffer.from([0, sct.length]), sct]);
    return x509.issue({ ...whole, extensions: [...whole.extensions, x509.extension(SCT_LIST, x509.der(0x04, list))] }, this.authority);
  }

  /** Signs with a certificate of the authority. */
  async identitySigner(wish: CertificateWish = {}): Promise<Signer> {
    return certificateSigner(await this.certificate(wish));
  }
}

/** A form of a certificate of which all is given. */
type CertificateWish = Partial<x509.CertificateForm> & { readonly isLogged?: boolean };

interface Parts {
  readonly authority: x509.Issued;
  readonly log: TransparencyLog;
  readonly ctLog: Awaited<ReturnType<typeof initializeCTLog>>;
  readonly timestamps: Awaited<ReturnType<typeof initializeTSA>>;
}

/** The extensions of a certificate for an identity. */
export function identity({ san = [x509.uri(WORKFLOW)], issuer = ISSUER, more = [], base = x509.SIGNER }: IdentityWish = {}): Buffer[] {
  return [...base, x509.names(...san), x509.extension(ISSUER_V2, x509.utf8(issuer)), ...more];
}
interface IdentityWish {
  readonly san?: readonly Buffer[];
  readonly issuer?: string;
  readonly more?: readonly Buffer[];
  readonly base?: readonly Buffer[];
}

/** Signs with a certificate and its key. */
export function certificateSigner({ key, pem }: x509.Issued): Signer {
  return { sign: async (data) => ({ signature: sign("sha256", data, key), key: { $case: "x509Certificate", certificate: pem } }) };
}

/** A key that signs without a certificate, by the algorithm that goes with it. */
export function keySigner(
  keys: x509.KeyPair = newKeys(),
  { hash = "sha256", hint = "any" }: { readonly hash?: string | null; readonly hint?: string } = {},
): Signer & { readonly pem: string; readonly publicKey: x509.KeyPair["publicKey"] } {
  const pem = keys.publicKey.export({ format: "pem", type: "spki" });
  return {
    pem,
    publicKey: keys.publicKey,
    sign: async (data) => ({ signature: sign(hash, data, keys.privateKey), key: { $case: "publicKey", publicKey: pem, hint } }),
  };
}

/** A bundle with a DSSE envelope, version 0.3, or 0.2 when it is to have a chain, as JSON. */
export async function dsseBundle(
  signer: Signer,
  payload: object | Buffer,
  witnesses: readonly Witness[] = [],
  type = IN_TOTO,
): Promise<SerializedBundle> {
  const data = Buffer.isBuffer(payload) ? payload : Buffer.from(JSON.stringify(payload));
  return bundleToJSON(await new DSSEBundleBuilder({ signer, witnesses: [...witnesses] }).create({ data, type }));
}

/** A bundle with a signature over some bytes, version 0.2, as JSON. */
export async function messageBundle(signer: Signer, data: Buffer, witnesses: readonly Witness[] = []): Promise<SerializedBundle> {
  return bundleToJSON(await new MessageSignatureBundleBuilder({ signer, witnesses: [...witnesses] }).create({ data }));
}

/** An in-toto statement about an artifact, by its hex SHA-256. */
export function statement(hex: string, predicateType = "https://slsa.dev/provenance/v1", predicate: unknown = {}): object {
  return {
    _type: "https://in-toto.io/Statement/v1",
    subject: [{ name: "models/demo", digest: { sha256: hex } }],
    predicateType,
    predicate,
  };
}

/** A trusted root as JSON, with what tests change in it. */
export type TrustedRootDocument = ReturnType<typeof documentOf>;

function documentOf({ authority, log, ctLog, timestamps }: Parts) {
  const key = (rawBytes: Buffer): object => ({ rawBytes: base64(rawBytes), keyDetails: "PKIX_ECDSA_P256_SHA_256", validFor: VALIDITY });
  const chain = (...certificates: readonly ArrayBufferView[]): object => ({
    certificates: certificates.map((raw) => ({ rawBytes: base64(raw) })),
  });
  return {
    mediaType: "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
    tlogs: [
      {
        baseUrl: `https://${log.host}`,
        hashAlgorithm: "SHA2_256",
        publicKey: key(log.publicKey),
        logId: { keyId: base64(log.id) },
      },
    ],
    certificateAuthorities: [{ uri: "https://fulcio.corp.example", certChain: chain(authority.der), validFor: VALIDITY }],
    ctlogs: [
      {
        baseUrl: "https://ct.corp.example",
        hashAlgorithm: "SHA2_256",
        publicKey: key(ctLog.publicKey),
        logId: { keyId: base64(ctLog.logID) },
      },
    ],
    timestampAuthorities: [
      { uri: "https://tsa.corp.example", certChain: chain(timestamps.intCertificate, timestamps.rootCertificate), validFor: VALIDITY },
    ],
  };
}

function arrayBufferOf(bytes: Buffer): ArrayBuffer {
  return Uint8Array.from(bytes).buffer;
}
