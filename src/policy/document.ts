import { z } from "zod";
import { canonicalJson } from "../oci/canonical-json.ts";
import { type Digest, digestOf } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { type Authority, authoritySchema, trustNameSchema } from "../trust/authority.ts";
import { isGlob, matchesGlob } from "../trust/glob.ts";
import { MODEL_SIGNING } from "../trust/oms.ts";
import { fingerprintOf, publicKeyFrom } from "../trust/public-key.ts";
import { COSIGN_SIGN } from "../trust/signed-claim.ts";
import { conditionSchema } from "./condition.ts";
import { namedTrustRootSchema } from "./named-trust-root.ts";
import { MAX_POLICY_BYTES, type Notation, readPolicyText } from "./document-text.ts";

const MAX_TEXT = 1_024;
const MAX_LISTED = 64;
/** More approvals or signers than anybody asks for. */
const MAX_PEOPLE = 16;
const MAX_FAULTS = 10;
const MAX_TOLD_FAULTS = 50;

const repositoriesSchema = z
  .string()
  .refine(
    (glob) => isGlob(glob) && /^[a-z0-9._/*-]+$/.test(glob),
    "must be a repository or a pattern that covers its whole name: lower case, * for a part of one component, ** for anything",
  );

const evidenceSchema = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("signature"),
    formats: z
      .array(z.enum(["bundle", "cosign-legacy", "notation"]))
      .min(1)
      .max(3)
      .default(["bundle"]),
  }),
  z.strictObject({
    kind: z.literal("attestation"),
    predicateType: z
      .string()
      .max(MAX_TEXT)
      .refine((type) => URL.canParse(type), "must be the URI of a predicate type")
      .refine((type) => type !== COSIGN_SIGN && type !== MODEL_SIGNING, "is not that of an attestation: ask for kind signature, or oms"),
    formats: z
      .array(z.enum(["bundle", "cosign-legacy"]))
      .min(1)
      .max(2)
      .default(["bundle"]),
    where: z.array(conditionSchema).max(32).default([]),
  }),
  z.strictObject({
    kind: z.literal("oms"),
    unsignedConfig: z
      .boolean()
      .default(false)
      .describe("may a config that says something go unsigned? Model signing does not know of configs"),
  }),
  z.strictObject({
    kind: z.literal("scan-results"),
    scanners: z
      .array(z.string().min(1).max(255))
      .max(MAX_LISTED)
      .default([])
      .describe("these at least must have passed; whatever else has a result must have passed too"),
  }),
  z.strictObject({
    kind: z.literal("approvals"),
    minimum: z.int().min(1).max(MAX_PEOPLE).describe("distinct people, none an uploader"),
    maxAgeSeconds: z.int().min(1).max(3_153_600_000).optional().describe("from then on an approval counts no more"),
  }),
]);
/** What a requirement asks for. */
export type WantedEvidence = z.infer<typeof evidenceSchema>;

const requirementSchema = z.strictObject({
  name: trustNameSchema,
  anyOf: z.array(trustNameSchema).max(MAX_LISTED).default([]).describe("authorities, of signed evidence only"),
  threshold: z.int().min(1).max(MAX_PEOPLE).default(1).describe("distinct signers"),
  evidence: evidenceSchema,
});
/** A requirement of a policy; all of them must be met. */
export type Requirement = z.infer<typeof requirementSchema>;

const specSchema = z.strictObject({
  match: z.strictObject({ repositories: z.array(repositoriesSchema).min(1).max(MAX_LISTED) }),
  mode: z.enum(["enforce", "warn"]).default("enforce"),
  trustRoots: z
    .record(trustNameSchema, namedTrustRootSchema)
    .refine((roots) => Object.keys(roots).length <= MAX_PEOPLE, `must be at most ${MAX_PEOPLE}`)
    .default({}),
  authorities: z.array(authoritySchema).max(MAX_LISTED).default([]),
  require: z.array(requirementSchema).min(1).max(MAX_LISTED),
});
type Spec = z.infer<typeof specSchema>;

/** A written promotion policy (trust.md §4), with every default filled in. */
export const trustPolicySchema = z.strictObject({
  apiVersion: z.literal("trust.ai-model-registry.dev/v1"),
  kind: z.literal("TrustPolicy"),
  metadata: z.strictObject({ name: trustNameSchema }),
  spec: specSchema.superRefine((spec, context) => {
    for (const { path, message } of [...authorityFaults(spec), ...requirementFaults(spec)])
      context.addIssue({ code: "custom", path, message });
  }),
});
/** A written promotion policy. */
export type TrustPolicy = z.infer<typeof trustPolicySchema>;

/** Reads a policy. Throws INVALID with every place and rule that it breaks, at most 10. */
export function parsePolicy(bytes: Uint8Array, notation: Notation): TrustPolicy {
  const parsed = trustPolicySchema.safeParse(readPolicyText(bytes, notation));
  if (!parsed.success) throw new RegistryError("INVALID", `the policy is invalid: ${faultsOf(parsed.error, MAX_FAULTS).join("; ")}`);
  if (canonical(parsed.data).length > MAX_POLICY_BYTES)
    throw new RegistryError("INVALID", "the policy is invalid: it is too large with its defaults");
  return parsed.data;
}

/** Every place of a text and the rule that it breaks there, at most 50; none where it is a policy. */
export function policyFaults(bytes: Uint8Array, notation: Notation): readonly string[] {
  try {
    const { error } = trustPolicySchema.safeParse(readPolicyText(bytes, notation));
    if (error !== undefined) return faultsOf(error, MAX_TOLD_FAULTS);
    parsePolicy(bytes, notation);
    return [];
  } catch (error) {
    if (error instanceof RegistryError && error.code === "INVALID") return [error.message];
    throw error;
  }
}

function canonical(policy: TrustPolicy): Buffer {
  try {
    return Buffer.from(canonicalJson(policy));
  } catch (error) {
    throw new RegistryError("INVALID", "the policy is invalid: a number in it is not the same to every reader", { cause: error });
  }
}

/** The digest of a policy: over its canonical JSON (RFC 8785), every default filled in. */
export function policyDigest(policy: TrustPolicy): Digest {
  return digestOf(canonicalJson(policy));
}

/** Does the policy decide about this repository? Each pattern covers the whole name. */
export function matchesRepository(patterns: readonly string[], repository: string): boolean {
  return patterns.some((pattern) => matchesGlob(pattern, repository));
}

function faultsOf(error: z.ZodError, most: number): readonly string[] {
  const issues = error.issues.flatMap((issue) => issuesIn(issue));
  const told = issues.slice(0, most).map(({ path, message }) => (path.length === 0 ? message : `${z.core.toDotPath(path)}: ${message}`));
  return [...told, ...(issues.length > most ? [`and ${issues.length - most} more`] : [])];
}

/** Of several forms that a value may have, it is told of that one which it comes closest to. */
function issuesIn(issue: z.core.$ZodIssue): readonly z.core.$ZodIssue[] {
  if (issue.code !== "invalid_union") return [issue];
  const [closest] = issue.errors.toSorted((one, other) => one.length - other.length);
  if (closest === undefined || closest.length === 0) return [issue];
  return closest.map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] })).flatMap((inner) => issuesIn(inner));
}

interface SpecFault {
  readonly path: (string | number)[];
  readonly message: string;
}

function authorityFaults({ authorities, trustRoots }: Spec): readonly SpecFault[] {
  return [
    ...doubles(authorities, "authorities"),
    ...authorities.flatMap(({ trustRoot }, at) =>
      trustRoot === undefined || Object.hasOwn(trustRoots, trustRoot)
        ? []
        : [{ path: ["authorities", at, "trustRoot"], message: `${trustRoot} is not among the policy's trustRoots` }],
    ),
  ];
}

function requirementFaults({ authorities, require }: Spec): readonly SpecFault[] {
  const known = new Map(authorities.map((authority) => [authority.name, authority]));
  return [...doubles(require, "require"), ...require.flatMap((requirement, at) => signerFaults(requirement, at, known))];
}

function signerFaults(
  { anyOf, threshold, evidence }: Requirement,
  at: number,
  known: ReadonlyMap<string, Authority>,
): readonly SpecFault[] {
  const fault = (member: string, message: string): SpecFault => ({ path: ["require", at, member], message });
  if (evidence.kind === "scan-results" || evidence.kind === "approvals") {
    return anyOf.length === 0 && threshold === 1
      ? []
      : [fault("anyOf", `authorities and threshold are for signed evidence, not for ${evidence.kind}`)];
  }
  if (anyOf.length === 0) return [fault("anyOf", "must name the authorities whose signature counts")];
  const unknown = anyOf.filter((name) => !known.has(name));
  if (unknown.length > 0) return unknown.map((name) => fault("anyOf", `${name} is not among the policy's authorities`));
  const most = mostSigners(anyOf.flatMap((name) => known.get(name) ?? []));
  return threshold <= most ? [] : [fault("threshold", `can never be met: these authorities have ${most} keys between them`)];
}

/** How many distinct signers some authorities can have: a key is a signer, whatever it is called and wherever it is listed. */
function mostSigners(authorities: readonly Authority[]): number {
  const keys = new Set<string>();
  for (const authority of authorities) {
    if (authority.type !== "key") return Number.POSITIVE_INFINITY;
    for (const { pem } of authority.keys) {
      const key = publicKeyFrom(pem);
      if (key !== undefined) keys.add(fingerprintOf(key));
    }
  }
  return keys.size;
}

function doubles(named: readonly { readonly name: string }[], list: string): readonly SpecFault[] {
  const first = new Set<string>();
  return named.flatMap(({ name }, at) => {
    if (!first.has(name)) {
      first.add(name);
      return [];
    }
    return [{ path: [list, at, "name"], message: `${name} comes twice` }];
  });
}
