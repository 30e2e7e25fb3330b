import { type LayoutReport, layoutReport } from "../api/layout-report.ts";
import type { ProofFault } from "../lifecycle/proof-fault.ts";
import type { Proven } from "../lifecycle/proof.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import { JsonError, parseJson } from "../oci/json.ts";
import { type RecordedDecision, recordedDecision } from "../policy/recorded-decision.ts";
import { type AuthorityRevocation, revocationOf, revokedAuthoritySchema } from "../trust/revoked-authority.ts";
import { DECISION, GROUNDS } from "./export-policies.ts";
import { LayoutError } from "./layout-error.ts";
import { type ListedContent, readManifest } from "./layout-statements.ts";
import type { Layout } from "./layout.ts";

/** No decision that is recorded is larger. */
const MAX_DECISION_BYTES = 16 * 1_048_576;
const MAX_DEPTH = 32;

type Told = Pick<LayoutReport, "signers" | "revoked_authorities">;

/** What a layout tells of signers that proves nothing. */
export const NOBODY: Told = { signers: [], revoked_authorities: null };

/** A promotion that statements prove. */
export interface ProvenPromotion {
  readonly artifact: Digest;
  /** In the artifact's chain. */
  readonly sequence: number;
  /** What it rested on: the decision first. */
  readonly inputs: readonly Digest[];
}

interface Places {
  readonly promotions: readonly ProvenPromotion[];
  readonly manifests: ListedContent["manifests"];
}

/**
 * Whose evidence promotions took, by the decisions that their statements name, and who of them is believed no more by the statements that the
 * snapshot names (trust.md §7.4). What the registry decided by that is in the chain; this says what it was about. A statement about nobody that
 * this version knows is a fault.
 */
export async function signersOf(
  layout: Layout,
  { authorities }: Pick<Proven, "authorities">,
  places: Places,
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
  const signers = await signersIn(layout, places, revocations);
  return { told: { signers, revoked_authorities: layoutReport.shape.revoked_authorities.parse(told ?? null) }, faults: [] };
}

async function signersIn(
  layout: Layout,
  { promotions, manifests }: Places,
  revocations: readonly AuthorityRevocation[],
): Promise<LayoutReport["signers"]> {
  // The evidence of a promotion is named beside its decision: what publishers signed must not pass for one.
  const wanted = new Set(promotions.flatMap(({ inputs }) => inputs.slice(0, 1)));
  const found = await decisionsIn(layout, wanted, manifests);
  return promotions.flatMap(({ artifact, sequence, inputs: [decision] }) => {
    const taken = decision === undefined ? undefined : found.get(decision);
    if (taken?.artifact !== artifact) return [];
    return taken.policies.flatMap(({ name: policy, requirements }) =>
      requirements.flatMap(({ name: requirement, accepted }) =>
        accepted.map(({ manifest, signer, key, signed_at: signedAt }) => ({
          artifact,
          sequence,
          policy,
          requirement,
          signer,
          evidence: manifest,
          signed_at: signedAt,
          revoked_by: revocationOf(revocations, { signer, key }, signedAt)?.statement ?? null,
        })),
      ),
    );
  });
}

/** The decisions among the grounds, by digest; what cannot be read is a fault that others tell. */
async function decisionsIn(
  layout: Layout,
  wanted: ReadonlySet<Digest>,
  manifests: ListedContent["manifests"],
): Promise<ReadonlyMap<Digest, RecordedDecision>> {
  const found = new Map<Digest, RecordedDecision>();
  for (const { descriptor, artifactType } of manifests.values())
    if (artifactType === GROUNDS)
      for (const [digest, decision] of await decisionsOf(layout, descriptor, wanted)) found.set(digest, decision);
  return found;
}

async function decisionsOf(
  layout: Layout,
  descriptor: Descriptor,
  wanted: ReadonlySet<Digest>,
): Promise<readonly (readonly [Digest, RecordedDecision])[]> {
  const found: (readonly [Digest, RecordedDecision])[] = [];
  try {
    const { manifest } = await readManifest(layout, descriptor);
    for (const layer of manifest.layers.filter(({ mediaType, digest }) => mediaType === DECISION && wanted.has(digest))) {
      const { data } = recordedDecision.safeParse(parseJson(await layout.read(layer, MAX_DECISION_BYTES), { maxDepth: MAX_DEPTH }));
      if (data !== undefined) found.push([layer.digest, data]);
    }
  } catch (error) {
    if (!(error instanceof LayoutError || error instanceof JsonError)) throw error;
  }
  return found;
}
