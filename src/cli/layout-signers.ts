import { z } from "zod";
import { type LayoutReport, layoutReport } from "../api/layout-report.ts";
import { evidenceSigner } from "../api/decision.ts";
import type { ProofFault } from "../lifecycle/proof-fault.ts";
import type { Proven } from "../lifecycle/proof.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { type Digest, digestSchema } from "../oci/digest.ts";
import { JsonError, parseJson } from "../oci/json.ts";
import { type AuthorityRevocation, revocationOf, revokedAuthoritySchema } from "../trust/revoked-authority.ts";
import { DECISION, GROUNDS } from "./export-policies.ts";
import { LayoutError } from "./layout-error.ts";
import { type ListedContent, readManifest } from "./layout-statements.ts";
import type { Layout } from "./layout.ts";

/** No decision that is recorded is larger. */
const MAX_DECISION_BYTES = 16 * 1_048_576;
const MAX_DEPTH = 32;

const decisionSchema = z.looseObject({
  artifact: digestSchema,
  policies: z
    .array(
      z.looseObject({
        name: z.string(),
        requirements: z.array(
          z.looseObject({
            name: z.string(),
            accepted: z.array(
              z.looseObject({
                manifest: digestSchema,
                signer: evidenceSigner,
                key: digestSchema.optional(),
                signed_at: z.string().nullable(),
              }),
            ),
          }),
        ),
      }),
    )
    .default([]),
});

type Told = Pick<LayoutReport, "signers" | "revoked_authorities">;

/** What a layout tells of signers that proves nothing. */
export const NOBODY: Told = { signers: [], revoked_authorities: null };

/**
 * Whose evidence promotions took, by the decisions that their statements name, and who of them is believed no more by the statements that the
 * snapshot names (trust.md §7.4). What the registry decided by that is in the chain; this says what it was about. A statement about nobody that
 * this version knows is a fault.
 */
export async function signersOf(
  layout: Layout,
  { authorities }: Pick<Proven, "authorities">,
  { grounds, manifests }: { readonly grounds: ReadonlySet<Digest>; readonly manifests: ListedContent["manifests"] },
): Promise<{ readonly told: Told; readonly faults: readonly ProofFault[] }> {
  const revocations: AuthorityRevocation[] = [];
  for (const { statement, authority, from } of authorities ?? []) {
    const { data } = revokedAuthoritySchema.safeParse(authority);
    if (data === undefined) return { told: NOBODY, faults: [{ code: "chain-broken", about: statement }] };
    revocations.push({ statement, authority: data, from });
  }
  const told = authorities?.map((each, at) => ({
    statement: each.statement,
    authority: revocations[at]?.authority,
    from: each.from === null ? null : new Date(each.from).toISOString(),
    reason: each.reason,
    revoked_by: each.actor,
    revoked_at: new Date(each.at).toISOString(),
  }));
  const signers = await signersIn(layout, { grounds, manifests, revocations });
  return { told: { signers, revoked_authorities: layoutReport.shape.revoked_authorities.parse(told ?? null) }, faults: [] };
}

async function signersIn(
  layout: Layout,
  {
    grounds,
    manifests,
    revocations,
  }: {
    readonly grounds: ReadonlySet<Digest>;
    readonly manifests: ListedContent["manifests"];
    readonly revocations: readonly AuthorityRevocation[];
  },
): Promise<LayoutReport["signers"]> {
  const decisions = await decisionsIn(layout, grounds, manifests);
  const judged = decisions.flatMap(({ artifact, policies }) => policies.map((policy) => ({ artifact, ...policy })));
  return judged.flatMap(({ artifact, name: policy, requirements }) =>
    requirements.flatMap(({ name: requirement, accepted }) =>
      accepted.map(({ manifest, signer, key, signed_at: signedAt }) => ({
        artifact,
        policy,
        requirement,
        signer,
        evidence: manifest,
        signed_at: signedAt,
        revoked_by: revocationOf(revocations, { signer, key }, signedAt)?.statement ?? null,
      })),
    ),
  );
}

/** The decisions among the grounds; what cannot be read is a fault that others tell. */
async function decisionsIn(
  layout: Layout,
  grounds: ReadonlySet<Digest>,
  manifests: ListedContent["manifests"],
): Promise<readonly z.infer<typeof decisionSchema>[]> {
  const found: z.infer<typeof decisionSchema>[] = [];
  for (const { descriptor, artifactType } of manifests.values())
    if (artifactType === GROUNDS) found.push(...(await decisionsOf(layout, descriptor, grounds)));
  return found.toSorted((a, b) => (a.artifact < b.artifact ? -1 : 1));
}

async function decisionsOf(
  layout: Layout,
  descriptor: Descriptor,
  grounds: ReadonlySet<Digest>,
): Promise<readonly z.infer<typeof decisionSchema>[]> {
  const found: z.infer<typeof decisionSchema>[] = [];
  try {
    const { manifest } = await readManifest(layout, descriptor);
    for (const layer of manifest.layers.filter(({ mediaType, digest }) => mediaType === DECISION && grounds.has(digest))) {
      const bytes = await layout.read(layer, MAX_DECISION_BYTES);
      found.push(...(decisionSchema.array().safeParse([parseJson(bytes, { maxDepth: MAX_DEPTH })]).data ?? []));
    }
  } catch (error) {
    if (!(error instanceof LayoutError || error instanceof JsonError)) throw error;
  }
  return found;
}
