import { setImmediate } from "node:timers/promises";
import type { Digest } from "../oci/digest.ts";
import type { Manifest } from "../oci/manifest.ts";
import type { RepositoryName } from "../oci/reference.ts";
import type { Requirement } from "../policy/document.ts";
import { isBuiltIn } from "../policy/promotion.ts";
import type { ScanEvidence } from "../policy/scan-evidence.ts";
import {
  type AcceptedEvidence,
  type JudgedPolicy,
  type JudgedRequirement,
  NOTHING_WRITTEN,
  type RejectedEvidence,
  type StandingApproval,
  type WrittenPolicy,
  approvalRequirement,
  foundEvidence,
  judge,
  objectionTo,
  scanRequirement,
  signedRequirement,
} from "../policy/written.ts";
import type { Authority } from "../trust/authority.ts";
import { REASONS } from "../trust/reason.ts";
import type { AuthorityRevocation } from "../trust/revoked-authority.ts";
import { type Subject, subjectOf } from "../trust/subject.ts";
import type { Grounds, Verdict } from "../trust/verdict.ts";
import { keys } from "../storage/keys.ts";
import type { Expectation } from "../storage/metadata-store.ts";
import type { ManifestRecord } from "../storage/records.ts";
import type { HeldCandidate } from "./evidence-reader.ts";
import { type GatheredEvidence, gatherEvidence } from "./find-evidence.ts";
import { policiesFor } from "./policies-in-force.ts";
import type { Services } from "./ports.ts";
import type { FoundManifest } from "./serving.ts";
import { authorityRevocations } from "./authority-revocations.ts";
import { rememberedVerdict, verdictKey, verdictOn } from "./verdict-cache.ts";

type Needs = Pick<Services, "metadata" | "blobs" | "clock" | "settings">;

/** Signatures that one decision verifies at most, and candidates that it looks at however many authorities there are. */
const MAX_VERIFIED = 4_096;
const LEAST_CANDIDATES = 16;
/** After so many others get their turn: one takes up to a few milliseconds. */
const BATCH = 8;

/** What written policies are held against. */
export interface JudgedArtifact {
  readonly record: ManifestRecord;
  readonly manifest: Manifest;
  /** What of that which is attached was found already and is fit to be covered, by canonical digest. */
  readonly attached: ReadonlyMap<Digest, FoundManifest>;
  /** Evidence to be considered first (RULES 7). */
  readonly evidence: readonly Digest[];
  readonly scan: ScanEvidence;
  /** By distinct people, none of whom put the artifact there. */
  readonly approvals: readonly StandingApproval[];
  readonly tried: TriedPolicy | undefined;
}

/** A policy that is judged although it is not in force. */
export interface TriedPolicy {
  readonly policy: WrittenPolicy;
  /** `alone`: nothing else is asked; `with-others`: it takes the place of the one in force of its name, if there is one. */
  readonly beside: "alone" | "with-others";
}

/** What the written policies say, and what that rests on. */
export interface JudgedPolicies {
  readonly written: typeof NOTHING_WRITTEN;
  readonly expect: readonly Expectation[];
}

/** Holds an artifact against the written policies of its repository; changes nothing. */
export async function judgePolicies(needs: Needs, repository: RepositoryName, artifact: JudgedArtifact): Promise<JudgedPolicies> {
  if (!isBuiltIn(needs.settings.promotionPolicy)) return { written: NOTHING_WRITTEN, expect: [] };
  const { policies, expect } = await policiesToJudge(needs, repository, artifact.tried);
  if (policies.length === 0) return { written: NOTHING_WRITTEN, expect };
  const isSigned = policies.some(({ document }) => document.spec.require.some(({ anyOf }) => anyOf.length > 0));
  const found = isSigned ? await gatherEvidence(needs, repository, artifact, artifact.evidence) : NO_EVIDENCE;
  const revocations = isSigned ? await authorityRevocations(needs) : [];
  const judging = await Judging.of(needs, repository, artifact, { found, policies, revocations });
  const judged: JudgedPolicy[] = [];
  for (const policy of policies) judged.push(await judging.judge(policy));
  const { considered, beyond, grounds } = judging;
  const evidence = foundEvidence(considered, found.notConsidered + beyond, found.skipped);
  return { written: { policies: judged, evidence }, expect: [...expect, ...grounds] };
}

const NO_EVIDENCE: GatheredEvidence = { candidates: [], skipped: [], notConsidered: 0, grounds: new Map() };

async function policiesToJudge(needs: Needs, repository: RepositoryName, tried: TriedPolicy | undefined): ReturnType<typeof policiesFor> {
  if (tried?.beside === "alone") return { policies: [tried.policy], expect: [] };
  const inForce = await policiesFor(needs, repository);
  if (tried === undefined) return inForce;
  const others = inForce.policies.filter(({ name }) => name !== tried.policy.name);
  return { ...inForce, policies: [...others, tried.policy].toSorted((one, other) => (one.name < other.name ? -1 : 1)) };
}

interface JudgingBy {
  readonly found: GatheredEvidence;
  readonly policies: readonly WrittenPolicy[];
  /** Those of authorities that hold. */
  readonly revocations: readonly AuthorityRevocation[];
}

interface Bounds extends Pick<JudgingBy, "revocations"> {
  readonly now: number;
  /** Candidates that are looked at. */
  readonly limit: number;
}

/** One decision's work on evidence. */
class Judging {
  readonly grounds: Expectation[] = [];
  readonly #subject: Subject;
  readonly #artifact: JudgedArtifact;
  readonly #found: GatheredEvidence;
  readonly #candidates: readonly HeldCandidate[];
  /** Whole seconds: what a decision says of times, it says in them. */
  readonly #now: number;
  readonly #revocations: readonly AuthorityRevocation[];
  #done = 0;

  private constructor(subject: Subject, artifact: JudgedArtifact, found: GatheredEvidence, { now, limit, revocations }: Bounds) {
    this.#subject = subject;
    this.#artifact = artifact;
    this.#found = found;
    this.#candidates = found.candidates.slice(0, limit);
    this.#now = now;
    this.#revocations = revocations;
  }

  static async of(
    { metadata, clock }: Needs,
    repository: RepositoryName,
    artifact: JudgedArtifact,
    { found, policies, revocations }: JudgingBy,
  ): Promise<Judging> {
    const { record } = artifact;
    const content = await metadata.get(keys.manifestContent(repository, record.digest));
    const bytes = content?.value instanceof Uint8Array ? content.value : new Uint8Array();
    const authorities = policies.flatMap(({ document }) => document.spec.require.flatMap(({ anyOf }) => anyOf)).length;
    const limit = Math.max(LEAST_CANDIDATES, Math.floor(MAX_VERIFIED / Math.max(1, authorities)));
    const now = Math.floor(clock() / 1_000) * 1_000;
    return new Judging(subjectOf(bytes, record.mediaType), artifact, found, { now, limit, revocations });
  }

  get considered(): number {
    return this.#candidates.length;
  }

  get beyond(): number {
    return this.#found.candidates.length - this.#candidates.length;
  }

  async judge(policy: WrittenPolicy): Promise<JudgedPolicy> {
    const { name, version, digest, document, trustRoots, updatedRoots } = policy;
    const requirements: JudgedRequirement[] = [];
    for (const requirement of document.spec.require) requirements.push(await this.#judgeRequirement(policy, requirement));
    const roots = new Set([...trustRoots.values()].map((root) => root.digest));
    const { mode } = document.spec;
    return { name, version, digest, mode, trust_roots: [...roots].toSorted(), updated_roots: updatedRoots, requirements };
  }

  async #judgeRequirement(policy: WrittenPolicy, requirement: Requirement): Promise<JudgedRequirement> {
    const { name, evidence } = requirement;
    if (evidence.kind === "approvals") return approvalRequirement(name, evidence, this.#artifact.approvals, this.#now);
    if (evidence.kind === "scan-results") return scanRequirement(name, evidence, this.#artifact.scan);
    const judged: (AcceptedEvidence | RejectedEvidence)[] = [];
    for (const candidate of this.#candidates) judged.push(...(await this.#judgeCandidate(policy, requirement, candidate)));
    const result = signedRequirement(requirement, judged);
    for (const { manifest } of result.accepted) this.grounds.push(...(this.#found.grounds.get(manifest) ?? []));
    return result;
  }

  /** The first authority that takes it counts; otherwise why each of them does not. */
  async #judgeCandidate(
    policy: WrittenPolicy,
    requirement: Requirement,
    candidate: HeldCandidate,
  ): Promise<readonly (AcceptedEvidence | RejectedEvidence)[]> {
    const objection = objectionTo(candidate, requirement);
    if (objection !== undefined) return [objection];
    const { spec } = policy.document;
    const { evidence, anyOf } = requirement;
    const unsignedConfig = evidence.kind === "oms" && evidence.unsignedConfig;
    const grounds = { subject: this.#subject, trustRoots: policy.trustRoots, now: this.#now, unsignedConfig };
    const rejected: RejectedEvidence[] = [];
    for (const authority of spec.authorities.filter(({ name }) => anyOf.includes(name))) {
      if ((this.#done += 1) % BATCH === 0) await setImmediate();
      const verdict = await verdictOf(candidate, authority, grounds);
      const judged = judge(candidate, verdict, {
        requirement,
        authority: authority.name,
        now: this.#now,
        revocations: this.#revocations,
      });
      if ("signer" in judged) return [judged];
      rejected.push(judged);
    }
    return rejected;
  }
}

/** The verdict that is known by the digests of all that it follows from, or what is found now. */
async function verdictOf(held: HeldCandidate, authority: Authority, grounds: Grounds): Promise<Verdict> {
  const key = verdictKey(held, authority, grounds);
  const known = key && (rememberedVerdict(key) ?? held.verdictBy(key));
  if (known !== undefined) return known;
  const candidate = await held.claimed();
  return candidate === undefined ? GONE : verdictOn(candidate, authority, grounds);
}

/** It was there when the evidence was gathered, and is not any more. */
const GONE: Verdict = { ok: false, code: "blob-missing", message: REASONS["blob-missing"] };
