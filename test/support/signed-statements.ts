import { createPublicKey, verify as verifySignature } from "node:crypto";
import { bundleFromJSON } from "@sigstore/bundle";
import { TrustedRoot } from "@sigstore/protobuf-specs";
import { Verifier, toSignedEntity, toTrustMaterial } from "@sigstore/verify";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import type { RepositoryName } from "../../src/oci/reference.ts";
import { type PublicAttestationKey, listAttestationKeys } from "../../src/registry/attestation-keys.ts";
import { keys, under } from "../../src/storage/keys.ts";
import { statementRecord } from "../../src/storage/records.ts";
import type { Transitions } from "./transitions.ts";

/** A public key as `/v1/keys` shows it; times are epoch milliseconds. */
type Known = Pick<PublicAttestationKey, "id" | "pem" | "validFrom" | "validUntil">;

export interface Statement {
  readonly predicateType: string;
  readonly subject: readonly { readonly name: string; readonly digest: Readonly<Record<string, string>> }[];
  readonly predicate: Readonly<Record<string, unknown>>;
}

interface Envelope {
  readonly payload: string;
  readonly payloadType: string;
  readonly signatures: readonly { readonly sig: string }[];
}

/**
 * The statement in a bundle, if a known key signed it: by @sigstore/verify, and again by hand over the DSSE encoding. Throws where either
 * refuses.
 */
export function verified(bundle: unknown, known: readonly Known[]): { readonly statement: Statement; readonly key: Known } {
  const root = TrustedRoot.fromJSON({ mediaType: "application/vnd.dev.sigstore.trustedroot+json;version=0.1" });
  let key: Known | undefined;
  const material = toTrustMaterial(root, (hint) => {
    key = known.find(({ id }) => id === hint);
    if (key === undefined) throw new Error("no such key");
    return { publicKey: createPublicKey(key.pem), validFor: () => true };
  });
  const verifier = new Verifier(material, { tlogThreshold: 0, ctlogThreshold: 0, timestampThreshold: 0 });
  verifier.verify(toSignedEntity(bundleFromJSON(bundle)));
  const { payload, payloadType, signatures } = (bundle as { readonly dsseEnvelope: Envelope }).dsseEnvelope;
  const text = Buffer.from(payload, "base64").toString("utf8");
  const encoded = Buffer.from(`DSSEv1 ${Buffer.byteLength(payloadType)} ${payloadType} ${Buffer.byteLength(text)} ${text}`);
  const signature = Buffer.from(signatures[0]?.sig ?? "", "base64");
  if (key === undefined || !verifySignature("sha256", encoded, key.pem, signature))
    throw new Error("the signature is not over the envelope");
  return { statement: JSON.parse(text) as Statement, key };
}

/** A statement counts when it took effect while its key signed; the first link of a chain is signed with the one that follows. */
export function isInRange({ validFrom, validUntil }: Known, effectiveAt: number): boolean {
  return effectiveAt >= validFrom && (validUntil === null || effectiveAt <= validUntil);
}

export interface WrittenStatement {
  readonly sequence: number;
  readonly state: string;
  readonly manifest: Digest;
  readonly bundle: Digest;
  readonly summary: { readonly manifest: Digest; readonly bundle: Digest } | undefined;
  readonly unsigned: Digest | undefined;
  readonly payload: string;
}

/** The links of a chain that are written as manifests. */
export async function writtenStatements(
  { services: { metadata } }: Transitions,
  at: RepositoryName,
  artifact: Digest,
): Promise<readonly WrittenStatement[]> {
  const rows = await metadata.list(under(keys.statements(at, artifact), 1000));
  return rows.flatMap(({ key, value }) => {
    const { manifest, bundle, summary, unsigned, payload, state } = statementRecord.parse(value);
    if (manifest === null || bundle === undefined) return [];
    return [{ sequence: Number(key[3]), state, manifest, bundle, summary, unsigned, payload }];
  });
}

/** The bundle that a blob holds. */
export async function bundleIn({ services: { blobs } }: Transitions, digest: Digest): Promise<unknown> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of await blobs.open(digest)) chunks.push(chunk as Uint8Array);
  const bytes = Buffer.concat(chunks);
  if (digestOf(bytes) !== digest) throw new Error(`${digest} is damaged`);
  return JSON.parse(bytes.toString("utf8"));
}

/** The statement of a blob, verified with the registry's own keys. */
export async function statementIn(at: Transitions, digest: Digest): Promise<ReturnType<typeof verified>> {
  return verified(await bundleIn(at, digest), await listAttestationKeys(at.services));
}
