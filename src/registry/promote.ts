import { dutyOfPromoting } from "../identity/duties.ts";
import type { Digest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import type { RepositoryName } from "../oci/reference.ts";
import type { Decision } from "../policy/promotion.ts";
import { keys } from "../storage/keys.ts";
import type { Change, Expectation, Key, Put } from "../storage/metadata-store.ts";
import type { RefusalRecord } from "../storage/policy-records.ts";
import { type ManifestRecord, everywhereRecord } from "../storage/records.ts";
import { staleApprovals } from "./approvals.ts";
import { auditEvent } from "./audit-event.ts";
import { type BuiltTransition, type ChangeDetails, type Rows, buildTransition } from "./change-state.ts";
import { decisionRows } from "./decision-rows.ts";
import { type Evaluated, type PromotionRequest, evaluatePromotion } from "./evaluate.ts";
import { type FoundArtifact, changed, demand, reload, stillMeant } from "./find-artifact.ts";
import type { Caller } from "./ports.ts";
import { movePointer } from "./tags.ts";
import { type TransitionServices, commitTransition, contentOf, decideTransition, noOtherTransition } from "./transition.ts";

export interface Promotion extends PromotionRequest {
  readonly reason: string | null;
  /** The decision that evaluate showed; another one now is a CONFLICT (RULES 6). */
  readonly expected: Digest | undefined;
  /** What the predecessor's API is to keep of the artifact afterwards; undefined: as before. */
  readonly details?: ChangeDetails | undefined;
  /** Throws when the artifact, as it is now, is not the one that was meant. */
  readonly demand?: ((now: FoundArtifact) => Promise<void>) | undefined;
}

/**
 * Makes an artifact trusted when the policy allows it. The decision is recorded whether it does or not; a refusal is thrown as REFUSED
 * with the decision.
 */
export async function promote(
  services: TransitionServices,
  caller: Caller,
  artifact: FoundArtifact,
  promotion: Promotion,
): Promise<{ readonly record: ManifestRecord; readonly decision: Decision }> {
  demand(artifact.rights, "promote", "promoting");
  let decision: Decision | undefined;
  const record = await commitTransition(services, { repository: artifact.repository, event: "promote" }, async () => {
    const now = await reload(services, artifact);
    await promotion.demand?.(now);
    const { evaluated, built } = await decidePromotion(services, caller, now, promotion);
    decision = evaluated.decision;
    return built;
  });
  if (decision === undefined) throw new RegistryError("INTERNAL");
  if (!decision.allowed) throw new RegistryError("REFUSED", undefined, { detail: { decision } });
  return { record, decision };
}

/** Records a refusal of what is not in the repository and does not come into it, and throws it. */
export async function recordRefusal(
  services: TransitionServices,
  caller: Caller,
  artifact: FoundArtifact,
  decision: Decision,
): Promise<never> {
  const { change } = refusal(services, caller, artifact, decision);
  if (change !== undefined) await services.metadata.commit({ ...change, expect: [] });
  throw new RegistryError("REFUSED", undefined, { detail: { decision } });
}

interface DecidedPromotion {
  readonly evaluated: Evaluated;
  readonly built: BuiltTransition;
}

/** The change that promotes an artifact as it is now, or that records why the policy refuses it. */
export async function decidePromotion(
  services: TransitionServices,
  caller: Caller,
  artifact: FoundArtifact,
  promotion: Promotion,
): Promise<DecidedPromotion> {
  const { repository, record } = artifact;
  const alone = record.state === "revoked" ? [await noOtherTransition(services, repository)] : [];
  await decideTransition(services, artifact, "promote");
  const lifted = await liftEverywhere(services, artifact);
  const evaluated = await evaluatePromotion(services, repository, artifact, promotion);
  const { decision } = evaluated;
  if (promotion.expected !== undefined && promotion.expected !== decision.digest) {
    throw new RegistryError("CONFLICT", "what the expected decision rests on has changed: look at the new one and ask again", {
      detail: { decision },
    });
  }
  const duty = dutyOfPromoting(caller.principal, evaluated);
  if (duty.effect === "forbid") throw new RegistryError("DENIED", duty.reason);
  const waived = duty.waived === undefined ? {} : { duty: `waived (${duty.waived})` };
  if (!decision.allowed) return { evaluated, built: refusal(services, caller, artifact, decision) };
  return {
    evaluated,
    built: await trustedTransition(services, caller, {
      artifact,
      promotion,
      evaluated,
      expect: [...evaluated.expect, ...alone, lifted.expect],
      lifted: lifted.remove,
      waived,
    }),
  };
}

/** Promoting what is revoked everywhere lifts that, for whoever may revoke everywhere; never a permanent one. */
async function liftEverywhere({ metadata }: TransitionServices, { record, rights }: FoundArtifact): Promise<Lifted> {
  const key = keys.revokedEverywhere(record.digest);
  const entry = await metadata.get(key);
  if (entry === undefined) return { expect: { key, version: "absent" }, remove: [] };
  if (everywhereRecord.parse(entry.value).permanent) {
    throw new RegistryError("CONFLICT", "it was revoked everywhere, permanently: push a corrected artifact, which has another digest");
  }
  demand(rights, "reinstate", "promoting what was revoked");
  demand(rights, "revoke:everywhere", "lifting a revocation everywhere");
  if ((await metadata.get(keys.everywherePending(record.digest))) !== undefined) {
    throw new RegistryError("CONFLICT", "its revocation everywhere is still being written to other repositories: try again in a moment");
  }
  return { expect: { key, version: entry.version }, remove: [record.digest, record.sha512].map((name) => keys.revokedEverywhere(name)) };
}

interface Lifted {
  /** What was found is there still when it is lifted. */
  readonly expect: Expectation;
  readonly remove: readonly Key[];
}

interface Allowed {
  readonly artifact: FoundArtifact;
  readonly promotion: Promotion;
  readonly evaluated: Evaluated;
  readonly expect: readonly Expectation[];
  readonly lifted: readonly Key[];
  readonly waived: Readonly<Record<string, string>>;
}

async function trustedTransition(services: TransitionServices, caller: Caller, allowed: Allowed): Promise<BuiltTransition> {
  const { artifact, promotion, evaluated, expect, lifted, waived } = allowed;
  const { repository, record } = artifact;
  const { decision } = evaluated;
  const at = services.clock();
  const by = caller.principal.name;
  const tags = await tagMoves(services, { repository, record, evaluated, by, at });
  const stale = record.revocation === null ? [] : await staleApprovals(services, repository, record);
  return buildTransition(services, {
    repository,
    before: artifact,
    after: changed(record, by, {
      state: "trusted",
      onceTrusted: true,
      revocation: null,
      reason: promotion.reason,
      closureBytes: decision.size_bytes,
      policy: decision.policy,
      decision: decision.digest,
      changedAt: at,
    }),
    manifest: await contentOf(services, repository, record),
    said: {
      everywhere: false,
      actor: by,
      permanent: false,
      inputs: inputsOf(evaluated),
      at,
      reason: promotion.reason,
      policy: decision.policy,
    },
    covers: { digests: evaluated.covers, loaded: evaluated.loaded },
    details: promotion.details,
    also: {
      expect: [...expect, ...tags.expect],
      put: [...tags.put, ...decisionRows(repository, record.digest, decision)],
      remove: [...tags.remove, ...lifted, ...stale, keys.refusal(repository, record.digest)],
    },
    audit: [
      auditEvent(services, caller.actor, {
        type: "artifact.promote",
        target: { kind: "artifact", name: repository, digest: record.digest },
        ...(promotion.reason === null ? {} : { reason: promotion.reason }),
        before: { state: record.state },
        after: { state: "trusted", policy: decision.policy, decision: decision.digest, tags: [...evaluated.tags], ...waived },
      }),
    ],
  });
}

/** What the promotion rests on: the decision, the policies, the approvals and the evidence that they took, and all that it covers. */
function inputsOf({ decision, covers }: Evaluated): readonly Digest[] {
  const taken = decision.policies.flatMap(({ requirements }) =>
    requirements.flatMap(({ accepted, approvals = [] }) => [...accepted, ...approvals].map(({ manifest }) => manifest)),
  );
  return [...new Set([decision.digest, ...decision.policies.map(({ digest }) => digest), ...taken, ...covers])];
}

/** A refused promotion changes no state and makes no statement: it is a decision and an audit event (trust.md §5.2). */
function refusal(services: TransitionServices, caller: Caller, artifact: FoundArtifact, decision: Decision): BuiltTransition {
  const { repository, record } = artifact;
  const change: Change = {
    expect: stillMeant(repository, artifact),
    put: [...decisionRows(repository, record.digest, decision), refusalRow(services, repository, record, decision)],
    remove: [],
    audit: [
      auditEvent(services, caller.actor, {
        type: "artifact.promote",
        outcome: "deny",
        target: { kind: "artifact", name: repository, digest: record.digest },
        reason: "the promotion policy refuses it",
        before: { state: record.state },
        after: { state: record.state, policy: decision.policy, decision: decision.digest },
      }),
    ],
  };
  return { change, record, folders: new Set(), pending: "" };
}

function refusalRow(
  { clock }: TransitionServices,
  repository: RepositoryName,
  { digest, generation }: ManifestRecord,
  decision: Decision,
): Put {
  const value: RefusalRecord = { v: 1, decision: decision.digest, generation, at: clock() };
  return { key: keys.refusal(repository, digest), value };
}

async function tagMoves(
  services: TransitionServices,
  {
    repository,
    record,
    evaluated,
    by,
    at,
  }: { repository: RepositoryName; record: ManifestRecord; evaluated: Evaluated; by: string; at: number },
): Promise<Rows> {
  const rows = { expect: [] as Expectation[], put: [] as Put[], remove: [] as Key[] };
  const target = { digest: record.names[0] ?? record.digest, canonical: record.digest, trusted: true };
  for (const tag of evaluated.tags) {
    const moved = await movePointer(services, { repository, tag, which: "promoted", by, at }, target);
    rows.expect.push(...moved.expect);
    rows.put.push(...moved.put);
    rows.remove.push(...moved.remove);
  }
  return rows;
}
