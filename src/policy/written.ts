import type { Digest } from "../oci/digest.ts";
import { compareTexts } from "../oci/text-order.ts";
import type { FoundCandidate, Skipped } from "../trust/candidate.ts";
import { bySigner } from "../trust/distinct-signers.ts";
import type { Reason } from "../trust/reason.ts";
import { type Signer, type Verdict, signerId } from "../trust/verdict.ts";
import type { TrustRoots } from "../trust/trust-root.ts";
import { type AuthorityRevocation, revocationOf } from "../trust/revoked-authority.ts";
import { type Check, listed } from "./check.ts";
import { meets } from "./condition.ts";
import type { Requirement, TrustPolicy, WantedEvidence } from "./document.ts";
import { type JudgedTrustRoot, trustRootChecks } from "./named-trust-root.ts";
import { type ScanEvidence, scanChecks, scanDigest } from "./scan-evidence.ts";

/** A version of a written policy, with the trust roots that it names. */
export interface WrittenPolicy {
  readonly name: string;
  readonly version: number;
  readonly digest: Digest;
  readonly document: TrustPolicy;
  readonly trustRoots: TrustRoots;
  /** How those of them stand that are updated. */
  readonly updatedRoots: readonly JudgedTrustRoot[];
}

/** What a requirement itself finds wrong with evidence that verifies. */
export const OBJECTIONS = {
  "format-not-accepted": "its format is not among those that the requirement takes",
  "other-kind": "it is another kind of evidence than the requirement asks for",
  "other-predicate-type": "its statement has another predicate type than the requirement asks for",
  "condition-not-met": "what it states does not meet",
  "authority-revoked": "who signed it is believed no more, by the statement",
} as const;
type Objection = keyof typeof OBJECTIONS;

/** Those say only that evidence is meant for something else. */
const BESIDE_THE_POINT: ReadonlySet<string> = new Set(["format-not-accepted", "other-kind", "other-predicate-type", "unknown-format"]);
/** Evidence beyond this is only counted, so that no decision grows with what is attached to an artifact. */
const MAX_LISTED = 32;

/** Evidence that counts for a requirement: who signed it, where it is, and what its signature is over. */
export interface AcceptedEvidence {
  readonly authority: string;
  readonly signer: Signer;
  /** SHA-256 of the public key that verifies it. */
  readonly key: Digest;
  readonly manifest: Digest;
  readonly blob: Digest;
  /** SHA-256 of the signed bytes; of a DSSE envelope of its pre-authentication encoding. */
  readonly signed: Digest;
  readonly predicate_type: string | null;
  /** The earliest trusted time of the signature, ISO 8601. */
  readonly signed_at: string | null;
  /** Until when it is young enough, ISO 8601; null where its age does not matter. */
  readonly holds_until: string | null;
}

/** Evidence that does not count for a requirement, and why. */
export interface RejectedEvidence {
  readonly authority: string | null;
  readonly manifest: Digest;
  readonly blob: Digest | null;
  readonly code: Reason | Objection;
  readonly message: string;
}

/** A person's approval that stands, by a signed statement. Times are epoch milliseconds. */
export interface StandingApproval {
  readonly person: string;
  /** The identity by which the person gave it. */
  readonly by: string;
  readonly at: number;
  readonly expiresAt: number | null;
  /** The referrer that holds the statement. */
  readonly manifest: Digest;
}

/** An approval that counts for a requirement. */
interface AcceptedApproval {
  readonly person: string;
  readonly by: string;
  readonly manifest: Digest;
  /** ISO 8601. */
  readonly approved_at: string;
  /** Until when it counts, ISO 8601; null where its age does not matter. */
  readonly holds_until: string | null;
}

/** A requirement of a policy and what met it, or did not. */
export interface JudgedRequirement {
  readonly name: string;
  readonly kind: WantedEvidence["kind"];
  readonly met: boolean;
  readonly message: string;
  readonly accepted: readonly AcceptedEvidence[];
  /** Of a requirement of approvals alone. */
  readonly approvals?: readonly AcceptedApproval[];
  readonly rejected: readonly RejectedEvidence[];
  /** How many more were rejected than are listed. */
  readonly rejected_more: number;
}

/** A policy that matches the repository, and what became of each of its requirements. */
export interface JudgedPolicy {
  readonly name: string;
  readonly version: number;
  readonly digest: Digest;
  readonly mode: TrustPolicy["spec"]["mode"];
  readonly trust_roots: readonly Digest[];
  readonly updated_roots: readonly JudgedTrustRoot[];
  readonly requirements: readonly JudgedRequirement[];
}

/** What was found attached to the artifact. */
export interface FoundEvidence {
  /** Signatures and statements that were held against the policies. */
  readonly considered: number;
  /** Left out by the bounds: manifests, and what is in them. */
  readonly not_considered: number;
  readonly skipped: readonly RejectedEvidence[];
  readonly skipped_more: number;
}

/** What the written policies of a repository say of an artifact. */
export interface Written {
  readonly policies: readonly JudgedPolicy[];
  readonly evidence: FoundEvidence;
}

/** No policy is written for the repository. */
export const NOTHING_WRITTEN: Written = {
  policies: [],
  evidence: { considered: 0, not_considered: 0, skipped: [], skipped_more: 0 },
};

/** What was found and is no evidence, for a decision. */
export function foundEvidence(considered: number, notConsidered: number, skipped: readonly Skipped[]): FoundEvidence {
  const all = skipped.map(({ manifest, blob, code, message }) => ({ authority: null, manifest, blob: blob ?? null, code, message }));
  const [shown, more] = bounded(all);
  return { considered, not_considered: notConsidered, skipped: shown, skipped_more: more };
}

/** What is wrong with a candidate before anybody verifies it; undefined: nothing. */
export function objectionTo(candidate: FoundCandidate, { evidence }: Requirement): RejectedEvidence | undefined {
  const isTaken =
    "formats" in evidence ? (evidence.formats as readonly string[]).includes(candidate.format) : candidate.format === "bundle";
  return isTaken ? undefined : rejected(candidate, null, "format-not-accepted");
}

/** What evidence is judged by, besides the verdict on it. */
export interface JudgedBy {
  readonly requirement: Requirement;
  readonly authority: string;
  /** The current time, in milliseconds since the epoch. */
  readonly now: number;
  /** The revocations of authorities that hold. */
  readonly revocations: readonly AuthorityRevocation[];
}

/** Does a candidate with this verdict count for a requirement? */
export function judge(
  candidate: FoundCandidate,
  verdict: Verdict,
  { requirement, authority, now, revocations }: JudgedBy,
): AcceptedEvidence | RejectedEvidence {
  const { manifest, blob } = candidate;
  if (!verdict.ok) return { authority, manifest, blob, code: verdict.code, message: verdict.message };
  const { evidence } = requirement;
  if (verdict.kind !== evidence.kind) return rejected(candidate, authority, "other-kind");
  const revocation = revocationOf(revocations, verdict, verdict.at);
  if (revocation !== undefined) return rejected(candidate, authority, "authority-revoked", ` ${revocation.statement}`);
  let until = Number.POSITIVE_INFINITY;
  if (evidence.kind === "attestation") {
    if (verdict.predicateType !== evidence.predicateType) return rejected(candidate, authority, "other-predicate-type");
    for (const condition of evidence.where) {
      const met = meets(verdict.predicate, condition, now);
      if (!met.met) return rejected(candidate, authority, "condition-not-met", ` ${condition.path} ${condition.op}`);
      until = Math.min(until, met.until ?? until);
    }
  }
  return {
    authority,
    signer: verdict.signer,
    key: verdict.key,
    manifest,
    blob,
    signed: verdict.signed,
    predicate_type: verdict.predicateType,
    signed_at: verdict.at,
    holds_until: Number.isFinite(until) ? new Date(until).toISOString() : null,
  };
}

function rejected({ manifest, blob }: FoundCandidate, authority: string | null, code: Objection, where = ""): RejectedEvidence {
  return { authority, manifest, blob, code, message: `${OBJECTIONS[code]}${where}` };
}

/** A requirement of signed evidence with all that was judged for it: as many distinct signers as it asks for meet it. */
export function signedRequirement(
  { name, threshold, anyOf, evidence: { kind } }: Requirement,
  judged: readonly (AcceptedEvidence | RejectedEvidence)[],
): JudgedRequirement {
  const accepted = judged.filter((each) => "signer" in each).toSorted(byPlace);
  const [shown, more] = bounded(judged.filter((each) => "code" in each));
  const signers = bySigner(accepted).flatMap(([each]) => (each === undefined ? [] : `${each.authority} (${signerText(each.signer)})`));
  const met = signers.length >= threshold;
  const counted = `${signers.length} of ${threshold} signers by ${anyOf.join(", ")}`;
  const message = signers.length === 0 ? counted : `${counted}: ${listed(signers)}`;
  const refused = judged.length - accepted.length;
  return {
    name,
    kind,
    met,
    message: met ? message : `${message}; ${refused === 0 ? "nothing else is attached" : `refused: ${codesOf(judged)}`}`,
    accepted: listedEvidence(accepted),
    rejected: shown,
    rejected_more: more,
  };
}

/** As much of what counts as is listed: something of each signer before more of any, so that a decision tells whom it rests on. */
function listedEvidence(accepted: readonly AcceptedEvidence[]): readonly AcceptedEvidence[] {
  if (accepted.length <= MAX_LISTED) return accepted;
  const first = new Map<string, AcceptedEvidence>();
  for (const each of accepted) if (!first.has(signerId(each.signer))) first.set(signerId(each.signer), each);
  return [...new Set([...first.values(), ...accepted])].slice(0, MAX_LISTED).toSorted(byPlace);
}

/** How often evidence was refused by which code. */
function codesOf(judged: readonly (AcceptedEvidence | RejectedEvidence)[]): string {
  const counts = new Map<string, number>();
  for (const each of judged) if ("code" in each) counts.set(each.code, (counts.get(each.code) ?? 0) + 1);
  return [...counts]
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
    .map(([code, count]) => `${code} (${count})`)
    .join(", ");
}

/** Of others' making: as long as a message bears. */
const MAX_SIGNER = 200;

function signerText(signer: Signer): string {
  const name = signer.type === "key" ? signer.id : signer.subject;
  return JSON.stringify(name.slice(0, MAX_SIGNER).toWellFormed());
}

/** A requirement of scan results: the predecessor's rule, and that certain scanners are among those that passed. */
export function scanRequirement(
  name: string,
  { scanners }: { readonly scanners: readonly string[] },
  scan: ScanEvidence,
): JudgedRequirement {
  const results = new Set(Object.keys(scan.scan_results));
  const faults = [
    ...scanChecks(scan).flatMap(({ status, message }) => (status === "fail" ? [message] : [])),
    ...scanners.filter((scanner) => !results.has(scanner)).map((scanner) => `there is no result of ${scanner}`),
  ];
  const message = faults.length === 0 ? `${results.size} scanners passed` : faults.join("; ");
  return plainRequirement(name, "scan-results", faults.length === 0, message);
}

/** A requirement of approvals by distinct people, none of whom put the artifact there, at a moment (epoch, ms). */
export function approvalRequirement(
  name: string,
  { minimum, maxAgeSeconds }: { readonly minimum: number; readonly maxAgeSeconds?: number | undefined },
  standing: readonly StandingApproval[],
  now: number,
): JudgedRequirement {
  const approvals = standing.flatMap((approval) => {
    const until = Math.min(
      approval.expiresAt ?? Number.POSITIVE_INFINITY,
      approval.at + (maxAgeSeconds ?? Number.POSITIVE_INFINITY) * 1_000,
    );
    return now < until ? [acceptedApproval(approval, until)] : [];
  });
  const counted = `${approvals.length} of ${minimum} approvals by distinct people`;
  const old = standing.length - approvals.length;
  const remedy = `${old === 0 ? "" : `${old} are too old; `}approve it with \`securectl approve\``;
  const message = approvals.length === 0 ? `${counted}: ${remedy}` : `${counted}: ${listed(approvals.map(({ person }) => person))}`;
  return { ...plainRequirement(name, "approvals", approvals.length >= minimum, message), approvals };
}

function acceptedApproval({ person, by, at, manifest }: StandingApproval, until: number): AcceptedApproval {
  return {
    person,
    by,
    manifest,
    approved_at: new Date(at).toISOString(),
    holds_until: Number.isFinite(until) ? new Date(until).toISOString() : null,
  };
}

function plainRequirement(name: string, kind: WantedEvidence["kind"], met: boolean, message: string): JudgedRequirement {
  return { name, kind, met, message, accepted: [], rejected: [], rejected_more: 0 };
}

/** A check a requirement, and one a trust root that is updated. A policy that only warns fails none. */
export function policyChecks({ policies }: Written, scan: ScanEvidence): readonly Check[] {
  return policies.flatMap((policy) => [
    ...trustRootChecks(policy, policy.updated_roots),
    ...policy.requirements.map((requirement) => {
      const check = requirementCheck(policy, requirement);
      return requirement.kind === "scan-results" ? { ...check, inputs: [...check.inputs, scanDigest(scan)] } : check;
    }),
  ]);
}

function requirementCheck(
  { name, mode, digest }: JudgedPolicy,
  { name: of, met, message, accepted, approvals = [] }: JudgedRequirement,
): Check {
  return {
    id: `policy/${name}/${of}`,
    status: met ? "pass" : mode === "warn" ? "warn" : "fail",
    message,
    inputs: [digest, ...new Set([...accepted, ...approvals].map(({ manifest }) => manifest))],
  };
}

/** The policies that decide, as decisions and records name them; undefined where none is enforced, and the built-in one decides. */
export function enforcedName({ policies }: Written): string | undefined {
  const enforced = policies.filter(({ mode }) => mode === "enforce").map(({ name, version }) => `${name}@${version}`);
  return enforced.length === 0 ? undefined : enforced.join(", ");
}

/** The first of what was rejected, what is meant for something else last, and how many more there are. */
function bounded(all: readonly RejectedEvidence[]): readonly [readonly RejectedEvidence[], number] {
  const rank = ({ code }: RejectedEvidence): number => Number(BESIDE_THE_POINT.has(code));
  const ordered = all.toSorted((one, other) => rank(one) - rank(other) || byPlace(one, other));
  return [ordered.slice(0, MAX_LISTED), Math.max(0, ordered.length - MAX_LISTED)];
}

interface Placed {
  readonly manifest: Digest;
  readonly blob: Digest | null;
  readonly authority: string | null;
}

/** The same evidence gives the same bytes of a decision, in whatever order it was found. */
function byPlace(one: Placed, other: Placed): number {
  return (
    compareTexts(one.manifest, other.manifest) ||
    compareTexts(one.blob ?? "", other.blob ?? "") ||
    compareTexts(one.authority ?? "", other.authority ?? "")
  );
}
