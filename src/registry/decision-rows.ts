import { createHash } from "node:crypto";
import { z } from "zod";
import { type Digest, digestSchema } from "../oci/digest.ts";
import type { RepositoryName } from "../oci/reference.ts";
import type { Decision } from "../policy/promotion.ts";
import type { Signatory } from "../trust/distinct-signers.ts";
import { type SignerIdentity, signerId } from "../trust/verdict.ts";
import { keys } from "../storage/keys.ts";
import type { Put } from "../storage/metadata-store.ts";
import { signerRecord } from "../storage/policy-records.ts";

/** The rows of a decision that is recorded, and of those whose evidence it took: who is revoked later is found by them. */
export function decisionRows(repository: RepositoryName, artifact: Digest, decision: Decision): readonly Put[] {
  const taken = decision.policies.flatMap(({ requirements }) => requirements.flatMap(({ accepted }) => accepted));
  return [
    { key: keys.decision(repository, artifact, decision.digest), value: { v: 1, decision } },
    ...signerRows(repository, artifact, taken.flatMap(identitiesOf)),
  ];
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

const texts = z.record(z.string(), z.string());
const keySigner = z.object({ type: z.literal("key"), fingerprint: digestSchema });
const [, identitySigner, certificateSigner] = signerRecord.options;
const recordedDecision = z.looseObject({
  decision: z.looseObject({
    scan: z.object({ scan_results: texts, scanner_versions: texts, policy_version: z.string(), source_revision: z.string() }),
    policies: z
      .array(
        z.looseObject({
          name: z.string(),
          version: z.number(),
          digest: digestSchema,
          mode: z.string(),
          requirements: z.array(
            z.looseObject({
              name: z.string(),
              accepted: z.array(
                z.looseObject({
                  manifest: digestSchema,
                  signer: z.discriminatedUnion("type", [keySigner, identitySigner, certificateSigner]),
                  key: digestSchema.optional(),
                  signed_at: z.string().nullable(),
                }),
              ),
            }),
          ),
        }),
      )
      .default([]),
  }),
});
/** What a decision of any version says of scans and of the evidence that it took. */
export type RecordedDecision = z.infer<typeof recordedDecision>["decision"];

/** Reads the row of a decision. */
export function parseDecision(row: unknown): RecordedDecision {
  return recordedDecision.parse(row).decision;
}

/** Whose evidence a recorded decision took, and by which keys. */
export function signersIn({ policies }: RecordedDecision): readonly Signatory[] {
  return policies.flatMap(({ requirements }) => requirements.flatMap(({ accepted }) => accepted));
}

/** By what an artifact is found: a key also where it is in a certificate, but for those that sign once and are thrown away. */
export function identitiesOf({ signer, key }: Signatory): readonly SignerIdentity[] {
  return signer.type === "certificate" && key !== undefined ? [signer, { type: "key", fingerprint: key }] : [signer];
}
