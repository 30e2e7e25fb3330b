import { createHmac } from "node:crypto";
import { dutyOfPromoting } from "../identity/duties.ts";
import { RegistryError } from "../oci/errors.ts";
import type { Decision } from "../policy/promotion.ts";
import { NO_SCAN_EVIDENCE } from "../policy/scan-evidence.ts";
import { keys } from "../storage/keys.ts";
import { counts, everyApprovalOf } from "./approvals.ts";
import { refuseApproval } from "./approve.ts";
import { demandDeletion, mayDelete } from "./delete-artifact.ts";
import { type Evaluated, type PromotionRequest, evaluatePromotion } from "./evaluate.ts";
import { type FoundArtifact, demand } from "./find-artifact.ts";
import type { Caller, Services } from "./ports.ts";
import { decideTransition } from "./transition.ts";

type Needs = Pick<Services, "metadata" | "blobs" | "clock" | "settings">;

/** What a person may do to an artifact. */
export type ArtifactChange = "quarantine" | "approve" | "withdraw" | "promote" | "revoke" | "delete";

/** What a caller could do to an artifact as it is now. It promises nothing: each change decides for itself. */
export interface Outlook {
  /** What a promotion would decide; undefined for who may not ask for that, and for what is deleted. */
  readonly decision: Decision | undefined;
  /** Why the caller cannot make a change; undefined where it can. */
  readonly hindrances: Readonly<Record<ArtifactChange, string | undefined>>;
}

/** The promotion that a page offers: the tags of the digest that are promoted nowhere, the evidence that is there, and no word of a scan. */
export const requestOfPage: PromotionRequest = { refTag: undefined, tags: [], covers: [], evidence: [], scan: NO_SCAN_EVIDENCE };

/** Tells beforehand which changes a caller could make, a promotion as it is asked for, and what stands in the way of the others, by the rules of the changes themselves. */
export async function possibleChanges(
  needs: Needs,
  caller: Caller,
  artifact: FoundArtifact,
  request: PromotionRequest = requestOfPage,
): Promise<Outlook> {
  const evaluated = await promotionNow(needs, artifact, request);
  return {
    decision: evaluated?.decision,
    hindrances: {
      quarantine: await hindrance(() => quarantining(needs, artifact)),
      approve: await hindrance(() => approving(needs, caller, artifact)),
      withdraw: await hindrance(() => withdrawing(needs, caller, artifact)),
      promote: await hindrance(() => promoting(needs, caller, artifact, evaluated)),
      revoke: await hindrance(() => revoking(needs, artifact)),
      delete: await hindrance(() => deleting(needs, caller, artifact)),
    },
  };
}

/** What a promotion would come to now; undefined for who may not ask for that, and for what is deleted. */
export async function promotionNow(
  needs: Needs,
  artifact: FoundArtifact,
  request: PromotionRequest = requestOfPage,
): Promise<Evaluated | undefined> {
  const { repository, record, rights } = artifact;
  if (!rights.has("pull:any") || record.state === "deleted") return undefined;
  return evaluatePromotion(needs, repository, artifact, request);
}

/**
 * What a change by this caller rests on: it is another one as soon as the artifact, or the caller's approval of it, has changed. So a form
 * that is sent again finds that it was shown for something else.
 */
export async function groundOf(
  { metadata, secretFor }: Pick<Services, "metadata" | "secretFor">,
  { principal }: Caller,
  { repository, record, version }: FoundArtifact,
): Promise<string> {
  const own = await metadata.get(keys.approval(repository, record.digest, record.generation, principal.countsAs));
  const told = JSON.stringify([repository, record.digest, version, own?.version ?? 0]);
  // Versions count what everybody does: nobody is to read that out of a form.
  return createHmac("sha256", secretFor("form-ground")).update(told).digest("base64url");
}

async function hindrance(change: () => Promise<void>): Promise<string | undefined> {
  try {
    await change();
    return undefined;
  } catch (error) {
    if (error instanceof RegistryError) return error.message;
    throw error;
  }
}

async function quarantining(needs: Needs, artifact: FoundArtifact): Promise<void> {
  demand(artifact.rights, "quarantine", "quarantining");
  if ((await decideTransition(needs, artifact, "quarantine")).kind === "same") throw conflict("it is quarantined already");
}

async function approving(needs: Needs, caller: Caller, artifact: FoundArtifact): Promise<void> {
  demand(artifact.rights, "approve", "approving");
  await refuseApproval(needs, caller, artifact);
  if (await hasApproved(needs, caller, artifact)) throw conflict("you have approved it; more approvals must be those of others");
}

async function withdrawing(needs: Needs, caller: Caller, artifact: FoundArtifact): Promise<void> {
  demand(artifact.rights, "approve", "withdrawing an approval");
  const isDeleted = artifact.record.state === "deleted";
  if (isDeleted || !(await hasApproved(needs, caller, artifact))) throw conflict("there is no approval of yours that counts");
}

async function promoting(needs: Needs, caller: Caller, artifact: FoundArtifact, evaluated: Evaluated | undefined): Promise<void> {
  demand(artifact.rights, "promote", "promoting");
  await decideTransition(needs, artifact, "promote");
  if (evaluated === undefined) return demand(artifact.rights, "pull:any", "seeing what a promotion would decide");
  const duty = dutyOfPromoting(caller.principal, evaluated);
  if (duty.effect === "forbid") throw new RegistryError("DENIED", duty.reason);
  if (!evaluated.decision.allowed) throw new RegistryError("REFUSED", "the policy refuses it: see the checks that fail");
}

async function revoking(needs: Needs, artifact: FoundArtifact): Promise<void> {
  demand(artifact.rights, "revoke", "revoking");
  const { kind } = await decideTransition(needs, artifact, "revoke");
  if (kind === "same" && artifact.record.revocation?.permanent === true) throw conflict("it is revoked permanently already");
}

async function deleting(needs: Needs, caller: Caller, artifact: FoundArtifact): Promise<void> {
  demandDeletion(artifact);
  if ((await decideTransition(needs, artifact, "delete")).kind === "same") throw conflict("it is deleted already");
  await mayDelete(needs, caller, artifact);
}

async function hasApproved(needs: Needs, { principal }: Caller, { repository, record }: FoundArtifact): Promise<boolean> {
  const approvals = await everyApprovalOf(needs, repository, record);
  return approvals.some((each) => each.person === principal.countsAs && counts(each.record, record, needs.clock()));
}

function conflict(message: string): RegistryError {
  return new RegistryError("CONFLICT", message);
}
