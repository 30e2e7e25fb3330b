import { z } from "zod";
import { type Digest, digestSchema } from "../oci/digest.ts";
import type { RepositoryName } from "../oci/reference.ts";
import type { Decision } from "../policy/promotion.ts";
import { NO_SCAN_EVIDENCE, type ScanEvidence } from "../policy/scan-evidence.ts";
import type { WrittenPolicy } from "../policy/written.ts";
import { keys } from "../storage/keys.ts";
import { type RefusalRecord, refusalRecord } from "../storage/policy-records.ts";
import type { ManifestRecord } from "../storage/records.ts";
import { evaluatePromotion } from "./evaluate.ts";
import type { Services } from "./ports.ts";
import { type FoundManifest, findManifest } from "./serving.ts";

type Needs = Pick<Services, "metadata" | "blobs" | "clock" | "settings">;

/** Failed checks that are told of one artifact, and characters of what each of them says. */
const MAX_CHECKS = 8;
const MAX_MESSAGE = 300;
/** Evidence that an earlier decision rests on and that is looked at first again. */
const MAX_EVIDENCE = 1_000;

/** A check that failed, and the reasons why evidence did not count for it. */
interface FailedCheck {
  readonly id: string;
  readonly message: string;
  readonly codes: readonly string[];
}

/** An artifact for which a policy would change something. */
export interface ChangedArtifact {
  readonly repository: string;
  readonly digest: Digest;
  readonly state: string;
  /** `would-fail`: it is trusted; `would-pass`: it is not. */
  readonly outcome: "would-fail" | "would-pass";
  /** The checks that would fail, the first of them, and how many more there are. */
  readonly failed: readonly FailedCheck[];
  readonly failed_more: number;
  /** The decision that refused it last, in this generation and since it was trusted last. */
  readonly refused: { readonly decision: Digest; readonly at: string } | null;
}

/** What a replay found of one artifact; nothing changes for it where there is no `changed`. */
export interface ReplayedArtifact {
  readonly isTrusted: boolean;
  readonly changed: ChangedArtifact | undefined;
}

/**
 * Decides about an artifact as if it were promoted while a policy were in force beside the others, on the scan results of its last decision.
 * Undefined for what is neither trusted nor could become so.
 */
export async function replayArtifact(
  needs: Needs,
  policy: WrittenPolicy,
  repository: RepositoryName,
  digest: Digest,
): Promise<ReplayedArtifact | undefined> {
  const found = await findManifest(needs, repository, digest);
  if (found === undefined || !isReplayed(found.record)) return undefined;
  const isTrusted = found.record.state === "trusted";
  const refusal = await refusalOf(needs, repository, found.record);
  const earlier = isTrusted ? found.record.decision : (refusal?.decision ?? null);
  const decision = await decide(needs, policy, { repository, found, earlier });
  return { isTrusted, changed: decision.allowed === isTrusted ? undefined : changedArtifact(repository, found.record, decision, refusal) };
}

/** Since its row was read it may have become something else. */
function isReplayed({ state }: ManifestRecord): boolean {
  return state === "trusted" || state === "acquired" || state === "quarantined";
}

async function refusalOf(
  { metadata }: Needs,
  repository: RepositoryName,
  { digest, generation }: ManifestRecord,
): Promise<RefusalRecord | undefined> {
  const entry = await metadata.get(keys.refusal(repository, digest));
  const refusal = entry && refusalRecord.parse(entry.value);
  return refusal?.generation === generation ? refusal : undefined;
}

async function decide(
  needs: Needs,
  policy: WrittenPolicy,
  { repository, found, earlier }: { readonly repository: RepositoryName; readonly found: FoundManifest; readonly earlier: Digest | null },
): Promise<Decision> {
  const entry = earlier === null ? undefined : await needs.metadata.get(keys.decision(repository, found.record.digest, earlier));
  const request = {
    refTag: undefined,
    tags: [],
    covers: [],
    ...groundsOf(entry?.value),
    tried: { policy, beside: "with-others" as const },
  };
  return (await evaluatePromotion(needs, repository, found, request)).decision;
}

const texts = z.record(z.string(), z.string());
const decisionRecord = z.looseObject({
  decision: z.looseObject({
    scan: z.object({ scan_results: texts, scanner_versions: texts, policy_version: z.string(), source_revision: z.string() }),
    policies: z
      .array(z.looseObject({ requirements: z.array(z.looseObject({ accepted: z.array(z.looseObject({ manifest: digestSchema })) })) }))
      .default([]),
  }),
});

/** What was said of scans in an earlier decision, and the evidence that it rests on: to be looked at first, as it was then. */
function groundsOf(record: unknown): { readonly scan: ScanEvidence; readonly evidence: readonly Digest[] } {
  if (record === undefined) return { scan: NO_SCAN_EVIDENCE, evidence: [] };
  const { scan, policies } = decisionRecord.parse(record).decision;
  const accepted = policies.flatMap(({ requirements }) => requirements.flatMap((requirement) => requirement.accepted));
  return { scan, evidence: [...new Set(accepted.map(({ manifest }) => manifest))].slice(0, MAX_EVIDENCE) };
}

function changedArtifact(
  repository: RepositoryName,
  { names, digest, state }: ManifestRecord,
  decision: Decision,
  refusal: RefusalRecord | undefined,
): ChangedArtifact {
  return {
    repository,
    digest: names[0] ?? digest,
    state,
    outcome: decision.allowed ? "would-pass" : "would-fail",
    ...failedChecks(decision),
    refused: refusal === undefined ? null : { decision: refusal.decision, at: new Date(refusal.at).toISOString() },
  };
}

function failedChecks({ checks, policies }: Decision): Pick<ChangedArtifact, "failed" | "failed_more"> {
  const codes = new Map<string, readonly string[]>();
  for (const { name, requirements } of policies) {
    for (const requirement of requirements) {
      codes.set(`policy/${name}/${requirement.name}`, [...new Set(requirement.rejected.map(({ code }) => code))].toSorted());
    }
  }
  const failed = checks.filter(({ status }) => status === "fail");
  const told = failed.slice(0, MAX_CHECKS).map(({ id, message }) => ({
    id,
    message: message.slice(0, MAX_MESSAGE).toWellFormed(),
    codes: codes.get(id) ?? [],
  }));
  return { failed: told, failed_more: failed.length - told.length };
}
