import { type KeyObject, createHash, generateKeyPairSync, sign } from "node:crypto";
import { initializeCA, initializeCTLog, initializeTSA } from "@sigstore/mock";

export const ISSUER = "https://issuer.corp.example";
const COSIGN_SIGN = "https://sigstore.dev/cosign/sign/v1";
const IN_TOTO = "application/vnd.in-toto+json";
const BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json";

const base64 = (bytes: ArrayBufferView): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
const sha256 = (bytes: Uint8Array | string): Buffer => createHash("sha256").update(bytes).digest();
const ec = (): { readonly publicKey: KeyObject; readonly privateKey: KeyObject } => generateKeyPairSync("ec", { namedCurve: "P-256" });
const spki = (key: KeyObject): Buffer<ArrayBuffer> => Buffer.from(key.export({ format: "der", type: "spki" }));
const FAR = { start: "2020-01-01T00:00:00Z" };

/** A Sigstore instance of our own: certificate authority, certificate log and timestamp authority with one clock that stands on a whole second. */
export interface PrivateSigstore {
  /** Its trusted root, JSON. */
  readonly root: string;
  /** A bundle over a statement, signed by an identity for which it issues a certificate. */
  keyless(subject: string, payload: Buffer): Promise<string>;
}

export async function startPrivateSigstore(): Promise<PrivateSigstore> {
  const clock = new Date(Math.ceil(Date.now() / 1_000) * 1_000 + 1_000);
  const [caKeys, ctKeys, tsaKeys] = [ec(), ec(), ec()];
  const ctlog = await initializeCTLog(ctKeys, clock);
  const ca = await initializeCA(caKeys, ctlog, clock);
  const tsa = await initializeTSA(tsaKeys, clock);
  const chain = (...certificates: ArrayBufferView[]): unknown => ({
    certificates: certificates.map((bytes) => ({ rawBytes: base64(bytes) })),
  });
  const root = JSON.stringify({
    mediaType: "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
    tlogs: [],
    certificateAuthorities: [{ uri: "https://ca.corp.example", certChain: chain(ca.rootCertificate), validFor: FAR }],
    ctlogs: [
      {
        baseUrl: "https://ct.corp.example",
        hashAlgorithm: "SHA2_256",
        publicKey: { rawBytes: base64(ctlog.publicKey), keyDetails: "PKIX_ECDSA_P256_SHA_256", validFor: FAR },
        logId: { keyId: base64(ctlog.logID) },
      },
    ],
    timestampAuthorities: [{ uri: "https://tsa.corp.example", certChain: chain(tsa.intCertificate, tsa.rootCertificate), validFor: FAR }],
  });
  return {
    root,
    keyless: async (subject, payload) => {
      const keys = ec();
      const certificate = await ca.issueCertificate({
        publicKey: spki(keys.publicKey),
        subjectAltName: subject,
        extensions: [{ oid: "1.3.6.1.4.1.57264.1.8", value: ISSUER }],
      });
      const signature = sign("sha256", pae(payload), keys.privateKey);
      const timestamp = await tsa.timestamp({
        artifactHash: sha256(signature),
        hashAlgorithmOID: "2.16.840.1.101.3.4.2.1",
        nonce: 42,
        policyOID: "1.3.6.1.4.1.57264.2",
        certReq: true,
      });
      return bundle(payload, signature, {
        certificate: { rawBytes: base64(certificate) },
        timestampVerificationData: { rfc3161Timestamps: [{ signedTimestamp: base64(timestamp) }] },
      });
    },
  };
}

/** Who signs with a key of their own. */
export interface KeySigner {
  /** SPKI. */
  readonly pem: string;
  /** A DSSE bundle over a statement. */
  bundle(payload: Buffer): string;
  sign(bytes: Buffer): Buffer;
}

export function keySigner(): KeySigner {
  const { publicKey, privateKey } = ec();
  return {
    pem: publicKey.export({ format: "pem", type: "spki" }),
    sign: (bytes) => sign("sha256", bytes, privateKey),
    bundle: (payload) =>
      bundle(payload, sign("sha256", pae(payload), privateKey), { publicKey: { hint: base64(sha256(spki(publicKey))) } }),
  };
}

/** An in-toto statement about a manifest; cosign's plain signature unless it has another predicate. */
export function statementOf(artifact: string, predicateType = COSIGN_SIGN, predicate: unknown = {}): Buffer {
  const subject = [{ digest: { sha256: artifact.replace("sha256:", "") } }];
  return Buffer.from(JSON.stringify({ _type: "https://in-toto.io/Statement/v1", subject, predicateType, predicate }));
}

function pae(payload: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`DSSEv1 ${IN_TOTO.length} ${IN_TOTO} ${payload.length} `), payload]);
}

function bundle(payload: Buffer, signature: Buffer, verificationMaterial: object): string {
  const dsseEnvelope = { payload: base64(payload), payloadType: IN_TOTO, signatures: [{ sig: base64(signature) }] };
  return JSON.stringify({ mediaType: BUNDLE, verificationMaterial, dsseEnvelope });
}

/** The manifest by which a bundle is attached to an artifact, as cosign writes it. */
export function bundleManifest(
  artifact: { readonly digest: string; readonly size: number; readonly mediaType: string },
  bytes: string,
  note = "",
): string {
  return JSON.stringify({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    artifactType: BUNDLE,
    config: { mediaType: "application/vnd.oci.empty.v1+json", digest: `sha256:${sha256("{}").toString("hex")}`, size: 2 },
    layers: [{ mediaType: BUNDLE, digest: `sha256:${sha256(bytes).toString("hex")}`, size: Buffer.byteLength(bytes) }],
    subject: artifact,
    annotations: { "dev.sigstore.bundle.content": "dsse-envelope", ...(note !== "" && { note }) },
  });
}
