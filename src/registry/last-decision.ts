import { rightsOn } from "../identity/authorize.ts";
import type { Digest } from "../oci/digest.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { signersIn } from "../policy/recorded-decision.ts";
import { keys } from "../storage/keys.ts";
import { refusalRecord } from "../storage/policy-records.ts";
import type { ManifestRecord } from "../storage/records.ts";
import { identitiesOf, parseDecision, signerHash } from "./decision-rows.ts";
import { seesAll } from "./list-artifacts.ts";
import type { Caller, Services } from "./ports.ts";

type Needs = Pick<Services, "metadata">;

/** What a decision can be. */
export type Verdict = "allowed" | "refused";

/** What was decided about an artifact last, as far as the caller may know: refusals are for who reads what is not trusted. */
export async function lastDecision(
  { metadata }: Needs,
  { principal }: Caller,
  repository: RepositoryName,
  { digest, generation, decision }: ManifestRecord,
): Promise<{ readonly verdict: Verdict; readonly digest: Digest } | undefined> {
  const entry = seesAll(rightsOn(principal, repository)) ? await metadata.get(keys.refusal(repository, digest)) : undefined;
  const refusal = entry && refusalRecord.parse(entry.value);
  if (refusal?.generation === generation) return { verdict: "refused", digest: refusal.decision };
  return decision === null ? undefined : { verdict: "allowed", digest: decision };
}

/** Where a decision about an artifact is recorded. */
export interface DecisionPlace {
  readonly repository: RepositoryName;
  readonly artifact: Digest;
  readonly decision: Digest;
}

/** Did a decision take evidence of the signer with this hash? */
export async function tookEvidenceOf(
  { metadata }: Needs,
  signer: string,
  { repository, artifact, decision }: DecisionPlace,
): Promise<boolean> {
  const entry = await metadata.get(keys.decision(repository, artifact, decision));
  const signers = entry === undefined ? [] : signersIn(parseDecision(entry.value)).flatMap(identitiesOf);
  return signers.some((each) => signerHash(each) === signer);
}
