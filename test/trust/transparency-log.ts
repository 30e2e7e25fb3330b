import { createHash, generateKeyPairSync, sign } from "node:crypto";
import type { Bundle } from "@sigstore/bundle";
import { canonicalJson } from "../../src/oci/canonical-json.ts";

export type LogEntry = Bundle["verificationMaterial"]["tlogEntries"][number];

/** A body of a log entry. */
export interface LogBody {
  readonly kind: string;
  readonly apiVersion: string;
  readonly spec: object;
}

const sha256 = (...parts: readonly Buffer[]): Buffer => createHash("sha256").update(Buffer.concat(parts)).digest();

/** What stands before the second entry of a log. */
const FIRST_LEAF = sha256(Buffer.from([0]), Buffer.from("first"));

/**
 * A log that enters whatever it is given, each time as the first entry of a tree of one or, since some clients lose an index of 0 on the
 * way through JSON, as the second of a tree of two, and promises and proves that it did.
 */
export class TransparencyLog {
  readonly host: string;
  readonly #clock: Date;
  readonly #index: 0 | 1;
  readonly #keys = generateKeyPairSync("ec", { namedCurve: "P-256" });

  constructor(host: string, clock: Date, index: 0 | 1 = 0) {
    this.host = host;
    this.#clock = clock;
    this.#index = index;
  }

  get publicKey(): Buffer {
    return this.#keys.publicKey.export({ format: "der", type: "spki" });
  }

  get id(): Buffer {
    return sha256(this.publicKey);
  }

  entry(body: LogBody): LogEntry {
    const canonicalizedBody = Buffer.from(canonicalJson(body));
    const integratedTime = Math.floor(this.#clock.getTime() / 1_000);
    const promise = { body: canonicalizedBody.toString("base64"), integratedTime, logID: this.id.toString("hex"), logIndex: this.#index };
    // RFC 6962 §2.1: the hash of a tree of one is that of its leaf.
    const leaf = sha256(Buffer.from([0]), canonicalizedBody);
    const hashes = this.#index === 0 ? [] : [FIRST_LEAF];
    const rootHash = hashes.reduce((right, left) => sha256(Buffer.from([1]), left, right), leaf);
    const [logIndex, treeSize] = [String(this.#index), String(this.#index + 1)];
    const checkpoint = { envelope: this.#checkpoint(treeSize, rootHash) };
    return {
      logIndex,
      logId: { keyId: this.id },
      kindVersion: { kind: body.kind, version: body.apiVersion },
      integratedTime: String(integratedTime),
      inclusionPromise: { signedEntryTimestamp: this.#sign(canonicalJson(promise)) },
      inclusionProof: { logIndex, treeSize, rootHash, hashes, checkpoint },
      canonicalizedBody,
    };
  }

  #checkpoint(treeSize: string, rootHash: Buffer): string {
    const note = `${this.host}\n${treeSize}\n${rootHash.toString("base64")}\n`;
    const signature = Buffer.concat([this.id.subarray(0, 4), this.#sign(note)]).toString("base64");
    return `${note}\n\u2014 ${this.host} ${signature}\n`;
  }

  #sign(text: string): Buffer {
    return sign("sha256", Buffer.from(text), this.#keys.privateKey);
  }
}

/** A kind of log entry. Entries of the second version of the log have no promise, and so no time. */
export type EntryKind = "v1" | "intoto" | "v2";
type Content = Bundle["content"];

/** What the log keeps of a signature and of who made it, in PEM. */
export function entryBody(kind: EntryKind, content: Content, signer: string): LogBody {
  if (kind === "v2") return secondVersion(content, signer);
  if (content.$case === "messageSignature") return hashedRekord(content.messageSignature, signer);
  return kind === "intoto" ? inToto(content.dsseEnvelope, signer) : dsse(content.dsseEnvelope, signer);
}

export function signatureIn(content: Content): Buffer {
  const signature = content.$case === "messageSignature" ? content.messageSignature.signature : content.dsseEnvelope.signatures[0]?.sig;
  return signature ?? Buffer.alloc(0);
}

type Envelope = Extract<Content, { $case: "dsseEnvelope" }>["dsseEnvelope"];
type Message = Extract<Content, { $case: "messageSignature" }>["messageSignature"];
const base64 = (bytes: Buffer | string | undefined): string => Buffer.from(bytes ?? "").toString("base64");

function hashedRekord({ messageDigest, signature }: Message, signer: string): LogBody {
  const hash = { algorithm: "sha256", value: messageDigest?.digest.toString("hex") };
  const spec = { data: { hash }, signature: { content: base64(signature), publicKey: { content: base64(signer) } } };
  return { apiVersion: "0.0.1", kind: "hashedrekord", spec };
}

function dsse({ payload, signatures }: Envelope, signer: string): LogBody {
  const payloadHash = { algorithm: "sha256", value: sha256(payload).toString("hex") };
  const spec = { payloadHash, signatures: [{ signature: base64(signatures[0]?.sig), verifier: base64(signer) }] };
  return { apiVersion: "0.0.1", kind: "dsse", spec };
}

function inToto({ payload, payloadType, signatures }: Envelope, signer: string): LogBody {
  const payloadHash = { algorithm: "sha256", value: sha256(payload).toString("hex") };
  // The log encodes signatures twice.
  const envelope = { payloadType, signatures: [{ publicKey: base64(signer), sig: base64(base64(signatures[0]?.sig)) }] };
  return { apiVersion: "0.0.2", kind: "intoto", spec: { content: { envelope, payloadHash } } };
}

function secondVersion(content: Content, signer: string): LogBody {
  const raw = { rawBytes: signer.replaceAll(/-----[A-Z ]+-----|\s/g, "") };
  const verifier = signer.includes("CERTIFICATE") ? { x509Certificate: raw } : { publicKey: raw };
  const digest =
    content.$case === "messageSignature" ? content.messageSignature.messageDigest?.digest : sha256(preAuthEncoding(content.dsseEnvelope));
  const hashedRekordV002 = {
    data: { algorithm: "SHA2_256", digest: base64(digest) },
    signature: { content: base64(signatureIn(content)), verifier: { ...verifier, keyDetails: "PKIX_ECDSA_P256_SHA_256" } },
  };
  return { apiVersion: "0.0.2", kind: "hashedrekord", spec: { hashedRekordV002 } };
}

/** What a DSSE signature is over. */
export function preAuthEncoding({ payloadType, payload }: { readonly payloadType: string; readonly payload: Buffer }): Buffer {
  return Buffer.concat([Buffer.from(`DSSEv1 ${Buffer.byteLength(payloadType)} ${payloadType} ${payload.length} `), payload]);
}
