import type { KeyObject } from "node:crypto";
import { RFC3161Timestamp } from "@sigstore/core";
import { type SignedEntity, type TrustMaterial, VerificationError, Verifier } from "@sigstore/verify";
import type { Leaf } from "./leaf.ts";
import { type LogEntry, checkLogEntries } from "./log-entries.ts";
import { type Reason, Refusal } from "./reason.ts";
import type { SignedContent } from "./signed-content.ts";

/** What proves a signature besides itself. */
export interface Proofs {
  readonly logEntries: readonly LogEntry[];
  /** RFC 3161 responses in DER. */
  readonly timestamps: readonly Buffer[];
}

/** What the signature is checked with. */
export type SignerKey =
  | { readonly type: "key"; readonly key: KeyObject; readonly isValidAt: (time: Date) => boolean }
  | { readonly type: "leaf"; readonly leaf: Leaf };

/** How many of each must prove a signature; 0 log entries: none are looked at; 0 timestamps: those of timestamp authorities are not. */
export interface Thresholds {
  readonly tlog: number;
  readonly ctlog: number;
  readonly timestamps: number;
}

/** A signature and all that speaks for it. */
export interface Evidence {
  readonly content: SignedContent;
  readonly signer: SignerKey;
  readonly proofs: Proofs;
}

/** A time that the verifier has taken for proven, and who says so. */
interface TrustedTime {
  readonly time: Date;
  readonly source: string;
}

/** Who is trusted, how much of it is asked for, and the current time in milliseconds since the epoch. */
export interface Demands {
  readonly material: Omit<TrustMaterial, "publicKey">;
  readonly thresholds: Thresholds;
  readonly now: number;
}

/**
 * Verifies a signature with its timestamps, certificate and log entries by the Sigstore verifier, and what that one leaves to its
 * callers. Returns the trusted times, earliest first; throws a `Refusal`.
 */
export function verifyEvidence({ content, signer, proofs }: Evidence, { material, thresholds, now }: Demands): readonly Date[] {
  // First of all, as it is cheap: whoever cannot sign must not cost more than this.
  if (!content.verifySignature(keyOf(signer))) throw new Refusal("signature-invalid");
  const logEntries = thresholds.tlog === 0 ? [] : proofs.logEntries;
  const tokens = thresholds.timestamps === 0 ? [] : proofs.timestamps.map(readTimestamp);
  const entity: SignedEntity = {
    signature: content,
    key: entityKey(signer),
    tlogEntries: [...logEntries],
    timestamps: [
      ...logEntries.filter(isTimed).map((tlogEntry) => ({ $case: "transparency-log" as const, tlogEntry })),
      ...tokens.map((timestamp) => ({ $case: "timestamp-authority" as const, timestamp })),
    ],
  };
  const times = [...logEntries.filter(isPromised).map(timeOfEntry), ...tokens.map(timeOfToken)];
  const trust: TrustMaterial = { ...material, publicKey: () => finderKey(signer) };
  const { tlog: tlogThreshold, ctlog: ctlogThreshold, timestamps: timestampThreshold } = thresholds;
  try {
    new Verifier(trust, { tlogThreshold, ctlogThreshold, timestampThreshold }).verify(entity);
  } catch (error) {
    throw refusalOf(error, signer, times);
  }
  if (new Set(times.map(({ source }) => source)).size < thresholds.timestamps) throw new Refusal("timestamp-missing");
  const trusted = times.map(({ time }) => time).toSorted((one, other) => one.getTime() - other.getTime());
  const at = trusted[0] ?? new Date(now);
  checkLogEntries(logEntries, { logs: material.tlogs, threshold: tlogThreshold, at, signer: () => derOf(signer) });
  return trusted;
}

function keyOf(signer: SignerKey): KeyObject {
  return signer.type === "key" ? signer.key : signer.leaf.key;
}

function derOf(signer: SignerKey): Buffer {
  return signer.type === "key" ? signer.key.export({ format: "der", type: "spki" }) : signer.leaf.der;
}

function entityKey(signer: SignerKey): SignedEntity["key"] {
  // The hint is whatever the sender wrote: the finder ignores it (trust.md §2.3, 14).
  if (signer.type === "key") return { $case: "public-key", hint: "" };
  return { $case: "certificate", certificate: signer.leaf.certificate };
}

function finderKey(signer: SignerKey): ReturnType<TrustMaterial["publicKey"]> {
  if (signer.type === "key") return { publicKey: signer.key, validFor: signer.isValidAt };
  throw new Refusal("other-signer-type");
}

function readTimestamp(der: Buffer): RFC3161Timestamp {
  try {
    const token = RFC3161Timestamp.parse(Buffer.from(der));
    // Read once here, where a time or an issuer that the library cannot read is told from a token that is not trusted (trust.md §2.3, 15).
    if (!Number.isFinite(timeOfToken(token).time.getTime())) throw new Refusal("timestamp-malformed");
    return token;
  } catch {
    throw new Refusal("timestamp-malformed");
  }
}

function timeOfToken(token: RFC3161Timestamp): TrustedTime {
  return { time: token.signingTime, source: `${token.signerIssuer.toString("hex")}#${token.signerSerialNumber.toString("hex")}` };
}

function isTimed({ integratedTime }: LogEntry): boolean {
  return integratedTime !== "" && integratedTime !== "0";
}

/** Only a promise signs the time of an entry. */
function isPromised(entry: LogEntry): boolean {
  return isTimed(entry) && entry.inclusionPromise !== undefined;
}

function timeOfEntry({ integratedTime, logId }: LogEntry): TrustedTime {
  return { time: new Date(Number(integratedTime) * 1_000), source: `log#${logId.keyId.toString("hex")}` };
}

const REASON_OF: Readonly<Record<VerificationError["code"], Reason>> = {
  NOT_IMPLEMENTED_ERROR: "malformed",
  TLOG_ERROR: "log-entry-missing",
  TLOG_INCLUSION_PROOF_ERROR: "log-proof-invalid",
  TLOG_INCLUSION_PROMISE_ERROR: "log-promise-invalid",
  TLOG_MISSING_INCLUSION_ERROR: "log-proof-invalid",
  TLOG_BODY_ERROR: "log-entry-mismatch",
  CERTIFICATE_ERROR: "certificate-untrusted",
  PUBLIC_KEY_ERROR: "key-not-valid-then",
  SIGNATURE_ERROR: "signature-invalid",
  TIMESTAMP_ERROR: "timestamp-invalid",
};
/** One code of the library stands for several causes, which only its messages tell apart. */
const REASON_OF_MESSAGE: readonly (readonly [RegExp, Reason])[] = [
  [/^duplicate tlog entry$/, "log-entry-duplicate"],
  [/^duplicate timestamp$/, "timestamp-duplicate"],
  [/^expected \d+ timestamps, got \d+$/, "timestamp-missing"],
  [/^expected \d+ SCTs, got \d+$|^duplicate SCT$/, "ct-missing"],
  [/^SCT verification failed$/, "ct-invalid"],
];

/** Errors of the library are of many classes (trust.md §2.3, 13): what is not understood refuses as well. */
function refusalOf(error: unknown, signer: SignerKey, times: readonly TrustedTime[]): Refusal {
  if (error instanceof Refusal) return error;
  if (!(error instanceof VerificationError)) return new Refusal("malformed");
  const told = REASON_OF_MESSAGE.find(([message]) => message.test(error.message))?.[1];
  const code = told ?? REASON_OF[error.code];
  return new Refusal(code === "certificate-untrusted" && isOutside(signer, times) ? "certificate-expired" : code);
}

function isOutside(signer: SignerKey, times: readonly TrustedTime[]): boolean {
  return signer.type === "leaf" && times.some(({ time }) => time < signer.leaf.notBefore || time > signer.leaf.notAfter);
}
