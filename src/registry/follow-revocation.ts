import type { Permission } from "../identity/permission.ts";
import type { Digest } from "../oci/digest.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { type MetRequirement, restsOn } from "../policy/reliance.ts";
import type { Decision } from "../policy/promotion.ts";
import type { RecordedDecision } from "../policy/recorded-decision.ts";
import { NO_SCAN_EVIDENCE } from "../policy/scan-evidence.ts";
import { type AuthorityRevocation, revocationOf } from "../trust/revoked-authority.ts";
import { keys } from "../storage/keys.ts";
import type { Change, Expectation } from "../storage/metadata-store.ts";
import { refusalRecord } from "../storage/policy-records.ts";
import type { ManifestRecord } from "../storage/records.ts";
import { auditEvent } from "./audit-event.ts";
import { type KnownRevocation, authorityRevocations } from "./authority-revocations.ts";
import type { BuiltTransition } from "./change-state.ts";
import { decisionRows, parseDecision } from "./decision-rows.ts";
import { evaluatePromotion } from "./evaluate.ts";
import { decidePlainTransition } from "./plain-transition.ts";
import { documentOf } from "./policies-in-force.ts";
import { isServedByAnother } from "./reach.ts";
import { decideRevocation } from "./revoke.ts";
import { type FoundManifest, findManifest } from "./serving.ts";
import { SYSTEM, onBehalfOf } from "./system-actor.ts";
import { type TransitionServices, commitTransition, unchanged } from "./transition.ts";

const RIGHTS: ReadonlySet<Permission> = new Set(["revoke", "quarantine"]);
/** Evidence that an earlier decision took and that is looked at first again. */
const MAX_EVIDENCE = 1_000;
const MAX_REASON = 1_024;

/** What became of an artifact whose evidence somebody signed who is believed no more. */
type Followed = "revoked" | "quarantined" | "kept";

/** An artifact in its repository. */
export interface ReliantArtifact {
  readonly repository: RepositoryName;
  readonly artifact: Digest;
}

/**
 * Holds an artifact against a revoked authority (trust.md §7.4). A trusted one is revoked when its promotion would not have passed without that
 * evidence, and would not pass now; one that is not trusted yet is quarantined when evidence is what it lacks by that. The statement names
 * the one that revoked the authority, and the decision that was taken anew. Everything else, and what changed meanwhile, is left alone.
 * Undefined where it is neither.
 */
export async function followRevocation(
  services: TransitionServices,
  revocation: KnownRevocation,
  { repository, artifact }: ReliantArtifact,
): Promise<Followed | undefined> {
  const found = await findManifest(services, repository, artifact);
  if (found?.record.state === "trusted") return move(services, revocation, { repository, found, event: "revoke" });
  if (found?.record.state === "acquired") return move(services, revocation, { repository, found, event: "quarantine" });
  return undefined;
}

interface Move {
  readonly repository: RepositoryName;
  readonly found: FoundManifest;
  readonly event: "revoke" | "quarantine";
}

const FOLLOWED = { revoke: "revoked", quarantine: "quarantined" } as const;

async function move(services: TransitionServices, revocation: KnownRevocation, { repository, found, event }: Move): Promise<Followed> {
  let followed: Followed = "kept";
  const { digest, state } = found.record;
  await commitTransition(services, { repository, event }, async () => {
    followed = "kept";
    const now = await findManifest(services, repository, digest);
    if (now === undefined || now.record.state !== state) return unchanged(now?.record ?? found.record);
    const decision = await (event === "revoke" ? withoutTrust : withoutProof)(services, repository, now, revocation);
    if (decision === undefined) return unchanged(now.record);
    const moved = { repository, found: now, event };
    if (decision.passes) return kept(services, moved, decision);
    followed = FOLLOWED[event];
    return decide(services, revocation, moved, decision);
  });
  return followed;
}

/** A decision that was taken anew, and what says that it is of now. */
interface DecidedAnew {
  readonly decision: Decision;
  readonly passes: boolean;
  readonly epoch: Expectation;
}

/** What it is trusted by now is recorded as well: when that is revoked in its turn, the artifact has to be found by it. */
function kept(services: TransitionServices, { repository, found }: Move, { decision, epoch }: DecidedAnew): BuiltTransition {
  const { record, version } = found;
  const change: Change = {
    expect: [{ key: keys.manifest(repository, record.digest), version }, epoch],
    put: decisionRows(repository, record.digest, decision),
    remove: [],
    audit: [
      auditEvent(services, SYSTEM, {
        type: "artifact.reevaluate",
        target: { kind: "artifact", name: repository, digest: record.digest },
        after: { state: record.state, policy: decision.policy, decision: decision.digest },
      }),
    ],
  };
  return { ...unchanged(record), change };
}

async function decide(
  services: TransitionServices,
  { record, statement }: KnownRevocation,
  { repository, found, event }: Move,
  { decision, epoch }: DecidedAnew,
): Promise<BuiltTransition> {
  const caller = onBehalfOf(record.by);
  const artifact = { ...found, repository, rights: RIGHTS, refTag: undefined };
  const reason = `who signed its evidence is believed no more: ${record.reason}`.slice(0, MAX_REASON).toWellFormed();
  const inputs = [statement, decision.digest];
  const built =
    event === "revoke"
      ? await decideRevocation(services, caller, artifact, { reason, permanent: false, everywhere: false, inputs })
      : await decidePlainTransition(services, caller, artifact, { event, reason, inputs });
  if (built.change === undefined) return built;
  const rows = decisionRows(repository, found.record.digest, decision);
  return { ...built, change: { ...built.change, expect: [...built.change.expect, epoch], put: [...built.change.put, ...rows] } };
}

/** Whether a trusted artifact is to be revoked; undefined where its promotion does not rest on what is revoked. */
async function withoutTrust(
  services: TransitionServices,
  repository: RepositoryName,
  found: FoundManifest,
  { statement }: KnownRevocation,
): Promise<DecidedAnew | undefined> {
  const epoch = await policyEpoch(services);
  const revocations = await authorityRevocations(services);
  const recorded = await decisionOf(services, repository, found.record, found.record.decision);
  if (recorded === undefined || !isHolding(revocations, statement)) return undefined;
  const met = await metRequirements(services, recorded);
  if (!restsOn(met, (taken) => revocationOf(revocations, taken, taken.signedAt) !== undefined)) return undefined;
  const decision = await decidedNow(services, repository, found, recorded);
  return { decision, passes: passesPolicies(decision), epoch };
}

/** Why an artifact that is not trusted yet is to be quarantined; undefined where it is not. What a trusted root holds cannot be (RULES 5). */
async function withoutProof(
  services: TransitionServices,
  repository: RepositoryName,
  found: FoundManifest,
  { statement }: KnownRevocation,
): Promise<DecidedAnew | undefined> {
  const epoch = await policyEpoch(services);
  if (!isHolding(await authorityRevocations(services), statement)) return undefined;
  if (await isServedByAnother(services, repository, found.record.digest)) return undefined;
  const entry = await services.metadata.get(keys.refusal(repository, found.record.digest));
  const refused = entry === undefined ? null : refusalRecord.parse(entry.value).decision;
  const decision = await decidedNow(services, repository, found, await decisionOf(services, repository, found.record, refused));
  return lacksEvidence(decision) ? { decision, passes: false, epoch } : undefined;
}

function isHolding(revocations: readonly AuthorityRevocation[], statement: Digest): boolean {
  return revocations.some((each) => each.statement === statement);
}

async function policyEpoch({ metadata }: TransitionServices): Promise<Expectation> {
  const key = keys.policyEpoch();
  return { key, version: (await metadata.get(key))?.version ?? "absent" };
}

async function decisionOf(
  { metadata }: TransitionServices,
  repository: RepositoryName,
  { digest }: ManifestRecord,
  decision: Digest | null,
): Promise<RecordedDecision | undefined> {
  const entry = decision === null ? undefined : await metadata.get(keys.decision(repository, digest, decision));
  return entry && parseDecision(entry.value);
}

/** The requirements of signed evidence that an earlier decision found met, by the versions of the policies that it was taken under. */
async function metRequirements(services: TransitionServices, { policies }: RecordedDecision): Promise<readonly MetRequirement[]> {
  const met: MetRequirement[] = [];
  for (const policy of policies.filter(({ mode }) => mode === "enforce")) {
    const { spec } = await documentOf(services, policy.name, policy);
    for (const { name, accepted } of policy.requirements) {
      const taken = accepted.map(({ signer, key, signed_at: signedAt }) => ({ signer, key, signedAt }));
      // Of what the policy does not have, nothing tells how few are enough.
      const threshold = spec.require.find((each) => each.name === name)?.threshold ?? Number.POSITIVE_INFINITY;
      met.push({ threshold, taken });
    }
  }
  return met;
}

/** The decision that a promotion would take now, on the scan results of an earlier one and its evidence first. */
async function decidedNow(
  services: TransitionServices,
  repository: RepositoryName,
  found: FoundManifest,
  earlier: RecordedDecision | undefined,
): Promise<Decision> {
  const accepted = earlier?.policies.flatMap(({ requirements }) => requirements.flatMap((requirement) => requirement.accepted)) ?? [];
  const evidence = [...new Set(accepted.map(({ manifest }) => manifest))].slice(0, MAX_EVIDENCE);
  const request = { refTag: undefined, tags: [], covers: [], evidence, scan: earlier?.scan ?? NO_SCAN_EVIDENCE };
  return (await evaluatePromotion(services, repository, found, request)).decision;
}

/** Whatever else ails an artifact, such as damaged bytes, is not the signer's fault. */
function passesPolicies({ checks }: Decision): boolean {
  return checks.every(({ id, status }) => !id.startsWith("policy/") || status !== "fail");
}

function lacksEvidence({ policies }: Decision): boolean {
  return policies.some(
    ({ mode, requirements }) =>
      mode === "enforce" && requirements.some(({ met, rejected }) => !met && rejected.some(({ code }) => code === "authority-revoked")),
  );
}
