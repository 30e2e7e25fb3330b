import { z } from "zod";
import { REGISTRY_STATEMENTS } from "../lifecycle/registry-statement.ts";
import { digestSchema } from "../oci/digest.ts";

/** The records of policies, trust roots and approvals, each with a version as those of `records.ts`. */
const time = z.number().int().nonnegative();
const count = z.number().int().nonnegative();

/** A statement of the registry by its payload, and where it is: a manifest with the Sigstore bundle. */
const writtenStatement = z.strictObject({ digest: digestSchema, manifest: digestSchema, bundle: digestSchema });

/** What a person says of an artifact; the person whose word it is stands in its key. What is left out was not known to earlier versions. */
export const approvalRecord = z.strictObject({
  v: z.literal(1),
  by: z.string(),
  reason: z.string().nullable(),
  at: time,
  expiresAt: time.nullable().default(null),
  withdrawn: z.literal(true).exactOptional(),
  /** How often this person has approved this generation. */
  times: z.number().int().positive().default(1),
  /** The approval as it was signed; there is none while it is not. */
  statement: writtenStatement.exactOptional(),
});
export type ApprovalRecord = z.infer<typeof approvalRecord>;

/** A signed statement of an approval, or of its withdrawal. */
export const approvalStatementRecord = z.strictObject({ v: z.literal(1), payload: z.string(), ...writtenStatement.shape });
export type ApprovalStatementRecord = z.infer<typeof approvalStatementRecord>;

/** How far the signing of approvals has come that an earlier version kept unsigned; `after` is the end of the last key that was looked at. */
export const approvalSigningRecord = z.strictObject({
  v: z.literal(1),
  status: z.enum(["under-way", "done"]),
  after: z.array(z.union([z.string(), z.number()])).nullable(),
  signed: z.number().int().nonnegative(),
});
export type ApprovalSigningRecord = z.infer<typeof approvalSigningRecord>;

/** The last version of a promotion policy: what has to be known to tell whether it decides about a repository. */
export const policyRecord = z.strictObject({
  v: z.literal(1),
  version: z.number().int().positive(),
  digest: digestSchema,
  /** Patterns of the repositories that it decides about. */
  repositories: z.array(z.string()),
  inForce: z.boolean(),
  by: z.string(),
  at: time,
});
export type PolicyRecord = z.infer<typeof policyRecord>;

/** A version of a promotion policy as canonical JSON, over which its digest is. */
export const policyVersionRecord = z.strictObject({ v: z.literal(1), digest: digestSchema, text: z.string(), by: z.string(), at: time });
export type PolicyVersionRecord = z.infer<typeof policyVersionRecord>;

/** What the registry states of itself, as a Sigstore bundle. */
export const registryStatementRecord = z.strictObject({
  v: z.literal(1),
  kind: z.enum(REGISTRY_STATEMENTS),
  subjects: z.array(z.strictObject({ name: z.string(), digest: digestSchema })),
  at: time,
  /** Digest of the statement, which the next one names. */
  statement: digestSchema,
  bundle: z.string(),
});
export type RegistryStatementRecord = z.infer<typeof registryStatementRecord>;

/** Who is believed no more; `authority` is JSON as `trust/` has it. */
export const revokedAuthorityRecord = z.strictObject({
  v: z.literal(1),
  authority: z.json(),
  /** From which time on; null: whenever it signed. */
  from: time.nullable(),
  reason: z.string(),
  by: z.string(),
  at: time,
  /** The statement that says so, as a Sigstore bundle. */
  bundle: z.string(),
  /** What became of the artifacts that rested on it; null while a job looks at them. */
  followed: z.strictObject({ revoked: count, quarantined: count, kept: count }).nullable(),
});
export type RevokedAuthorityRecord = z.infer<typeof revokedAuthorityRecord>;

/** A layer that was read, with the bytes that it has. */
const readLayer = z.strictObject({ digest: digestSchema, size: z.number().int().nonnegative() });
/** What `trust/` makes of evidence under certain demands; `verdict` is JSON of its own. */
const readVerdict = z.strictObject({ of: digestSchema, verdict: z.string() });

/** What was read in a referrer when it was attached, by which reader, all its layers being there. */
export const readingRecord = z.strictObject({
  v: z.literal(1),
  verifier: z.string(),
  layers: z.array(readLayer),
  candidates: z.array(z.strictObject({ format: z.string(), blob: digestSchema, id: digestSchema, verdicts: z.array(readVerdict) })),
  skipped: z.array(z.strictObject({ blob: digestSchema.nullable(), code: z.string(), message: z.string() })),
});
export type ReadingRecord = z.infer<typeof readingRecord>;

/** Somebody who signed evidence. */
export const signerRecord = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("key"), fingerprint: digestSchema }),
  z.strictObject({ type: z.literal("identity"), issuer: z.string(), subject: z.string() }),
  z.strictObject({ type: z.literal("certificate"), subject: z.string(), root: digestSchema }),
]);

/** Hash of a signer, repository and artifact. */
const signerPlace = z.tuple([z.string(), z.string(), z.string()]);

/** How far the job has come that looks at what rested on a revoked authority; so far. */
export const followingRecord = z.strictObject({
  v: z.literal(1),
  statement: digestSchema,
  after: signerPlace.nullable(),
  revoked: count,
  quarantined: count,
  kept: count,
  /** Those that could not be decided about. */
  failed: count,
});
export type FollowingRecord = z.infer<typeof followingRecord>;

/** The revoked authority by which an artifact was looked at last, by its statement. */
export const followedRecord = z.strictObject({ v: z.literal(1), statement: digestSchema });

/** The last promotion of an artifact that was refused; what is of another generation says nothing of this one. */
export const refusalRecord = z.strictObject({ v: z.literal(1), decision: digestSchema, generation: z.number().int().positive(), at: time });
export type RefusalRecord = z.infer<typeof refusalRecord>;

const size = z.number().int().nonnegative();

/** A Sigstore trusted root; its bytes are in a row of their own. */
export const trustRootRecord = z.strictObject({ v: z.literal(1), size, by: z.string(), at: time });
export type TrustRootRecord = z.infer<typeof trustRootRecord>;

const version = z.number().int().positive();

/** What the last update by TUF brought under a name. */
export const trustRootUpdateRecord = z.strictObject({
  v: z.literal(1),
  digest: digestSchema,
  size,
  /** When it was fetched. */
  updatedAt: time,
  /** When the first of the roles' metadata that it was fetched by expires. */
  expiresAt: time,
  /** Of the roles' metadata: none ever falls (TUF §5). */
  versions: z.strictObject({ root: version, timestamp: version, snapshot: version, targets: version }),
  by: z.string(),
  at: time,
});
export type TrustRootUpdateRecord = z.infer<typeof trustRootUpdateRecord>;
