import { createHash } from "node:crypto";
import { z } from "zod";
import type { Digest } from "../oci/digest.ts";
import type { RepositoryName } from "../oci/reference.ts";
import type { Decision } from "../policy/promotion.ts";
import { type RecordedDecision, recordedDecision, signersIn } from "../policy/recorded-decision.ts";
import type { Signatory } from "../trust/distinct-signers.ts";
import { type SignerIdentity, signerId } from "../trust/verdict.ts";
import { keys } from "../storage/keys.ts";
import type { Put } from "../storage/metadata-store.ts";
import type { signerRecord } from "../storage/policy-records.ts";

/** The rows of a decision that is recorded, and of those whose evidence it took: who is revoked later is found by them. */
export function decisionRows(repository: RepositoryName, artifact: Digest, decision: Decision): readonly Put[] {
  return [
    { key: keys.decision(repository, artifact, decision.digest), value: { v: 1, decision } },
    ...rowsOfSigners(repository, artifact, decision),
  ];
}

/** The rows of those whose evidence a decision took about an artifact. */
export function rowsOfSigners(repository: RepositoryName, artifact: Digest, decision: Parameters<typeof signersIn>[0]): readonly Put[] {
  return signerRows(repository, artifact, signersIn(decision).flatMap(identitiesOf));
}

/** The rows by which an artifact is found whose evidence somebody signed. */
export function signerRows(repository: RepositoryName, artifact: Digest, signers: readonly SignerIdentity[]): readonly Put[] {
  const distinct = new Map(signers.map((signer) => [signerHash(signer), signer]));
  return [...distinct].flatMap(([hash, signer]) => [
    { key: keys.signer(hash), value: identityOf(signer) },
    { key: keys.signerArtifact(hash, repository, artifact), value: {} },
  ]);
}

/** A signer's place in keys: what tells it from others may be longer than a key bears. */
export function signerHash(signer: SignerIdentity): string {
  return createHash("sha256").update(signerId(signer)).digest("hex");
}

/** Without what a policy calls it. */
function identityOf(signer: SignerIdentity): z.infer<typeof signerRecord> {
  return signer.type === "key" ? { type: "key", fingerprint: signer.fingerprint } : signer;
}

const decisionRow = z.looseObject({ decision: recordedDecision });

/** Reads the row of a decision of any version. */
export function parseDecision(row: unknown): RecordedDecision {
  return decisionRow.parse(row).decision;
}

/** By what an artifact is found: a key also where it is in a certificate, but for those that sign once and are thrown away. */
export function identitiesOf({ signer, key }: Signatory): readonly SignerIdentity[] {
  return signer.type === "certificate" && key !== undefined ? [signer, { type: "key", fingerprint: key }] : [signer];
}
