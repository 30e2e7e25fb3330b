import { z } from "zod";
import { type Digest, digestSchema } from "../oci/digest.ts";
import { repositoryNameSchema } from "../oci/reference.ts";
import { stateSchema } from "./state.ts";

const hex = z.string().regex(/^[0-9a-f]{64}$/);
const longHex = z.string().regex(/^[0-9a-f]{128}$/);
/** As `statementTime` writes it; epoch milliseconds. */
const time = z
  .string()
  .regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
  .transform((text) => Date.parse(text))
  .refine((milliseconds) => !Number.isNaN(milliseconds));
const previous = z.object({ sha256: hex }).nullable();
const sequence = z.int().positive();

const aboutArtifact = z.array(z.object({ digest: z.object({ sha256: hex, sha512: longHex }) })).length(1);

/** A link of an artifact's chain. */
export const linkSchema = z.object({
  subject: aboutArtifact,
  predicate: z
    .object({
      registry: z.string(),
      repository: repositoryNameSchema,
      state: stateSchema,
      seq: sequence,
      prev: previous,
      scope: z.enum(["digest", "repository"]),
      effectiveAt: time,
      actor: z.string(),
      reason: z.string().optional(),
      permanent: z.boolean().optional(),
      policy: z.object({ uri: z.string() }).optional(),
      inputs: z.array(z.object({ digest: z.record(z.string(), z.string()) })),
    })
    .refine(({ state, permanent }) => (state === "revoked") === (permanent !== undefined)),
});

/** A verification summary. */
export const summarySchema = z.object({
  subject: aboutArtifact,
  predicate: z.object({
    verifier: z.object({ id: z.string() }),
    timeVerified: time,
    resourceUri: z.string(),
    verificationResult: z.enum(["PASSED", "FAILED"]),
  }),
});

/** A person's word for an artifact, or that it is taken back: it changes no state by itself. */
export const approvalSchema = z.object({ subject: aboutArtifact, predicate: z.object({ registry: z.string() }) });

/** A link of the chain of keys. */
export const keyLinkSchema = z.object({
  subject: z.array(z.object({ digest: z.object({ sha256: hex }) })).length(1),
  predicate: z.object({
    registry: z.string(),
    seq: sequence,
    prev: previous,
    effectiveAt: time,
    key: z.object({ id: z.string(), algorithm: z.string(), pem: z.string().max(4096) }),
    signedBy: z.string(),
  }),
});

/** A link of the chain of what the registry states of itself, as far as it says of which registry it is. */
export const registryLinkSchema = z.object({ predicate: z.object({ registry: z.string() }) });

/** That an authority is believed no more; who that is, `trust/` reads. */
export const authorityRevokedSchema = z.object({
  predicate: z.object({
    registry: z.string(),
    state: z.literal("revoked"),
    authority: z.unknown(),
    from: time.optional(),
    seq: sequence,
    effectiveAt: time,
    actor: z.string(),
    reason: z.string(),
  }),
});

const headSchema = z.object({
  state: stateSchema,
  seq: sequence,
  statement: digestSchema,
  permanent: z.boolean(),
  summaries: z.array(z.object({ seq: sequence, bundle: digestSchema })),
});
export type ProofHead = z.infer<typeof headSchema>;

/** Where the chains end. */
export const snapshotSchema = z.object({
  subject: aboutArtifact,
  predicate: z
    .object({
      registry: z.string(),
      repository: repositoryNameSchema,
      takenAt: time,
      expires: time,
      keys: z.object({ seq: sequence, statement: digestSchema }),
      // What earlier versions took tells of neither.
      registryStatements: z.object({ seq: sequence, statement: digestSchema }).nullable().optional(),
      revokedAuthorities: z.array(digestSchema).optional(),
      subjects: z.record(z.string().regex(/^[^@]+@sha256:[0-9a-f]{64}$/), headSchema),
    })
    .refine(({ repository, subjects }) => Object.keys(subjects).every((name) => name.startsWith(`${repository}@`))),
});
export type ProofSnapshot = z.infer<typeof snapshotSchema>;

/** The digest in a set of digests that in-toto writes; by sha256, as all of ours are. */
export function digestIn({ sha256 }: { readonly sha256: string }): Digest {
  return digestSchema.parse(`sha256:${sha256}`);
}

/** Both names of the manifest that a statement is about. */
export function namesIn({ subject }: { readonly subject: z.infer<typeof aboutArtifact> }): ReadonlySet<string> {
  const digest = subject[0]?.digest;
  return digest === undefined ? new Set() : new Set([`sha256:${digest.sha256}`, `sha512:${digest.sha512}`]);
}
