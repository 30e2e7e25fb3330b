import { canonicalJson } from "../oci/canonical-json.ts";
import { type Digest, digestOf } from "../oci/digest.ts";
import type { Authority } from "../trust/authority.ts";
import type { Candidate } from "../trust/candidate.ts";
import type { TrustRoot } from "../trust/trust-root.ts";
import type { Grounds, Verdict } from "../trust/verdict.ts";
import { verifyCandidate } from "../trust/verify.ts";

/** Verdicts that are remembered, and the most characters of a statement in one of them: 16 MiB at most. */
const MAX_VERDICTS = 1_024;
const MAX_PREDICATE = 16_384;

/** Verdicts of this process, the least recently used first. */
const VERDICTS = new Map<string, Verdict>();
const DIGESTS = new WeakMap<Authority, Digest>();

/**
 * The verdict on a candidate, remembered by the digests of all that it follows from: the artifact, the evidence, the authority and the trust
 * root. A verdict that could be another one tomorrow is found anew each time, good or bad.
 */
export function verdictOn(candidate: Candidate, authority: Authority, grounds: Grounds): Verdict {
  if (!isTimeless(candidate, authority)) return verifyCandidate(candidate, authority, grounds);
  const key = keyOf(candidate, authority, grounds);
  const known = VERDICTS.get(key);
  VERDICTS.delete(key);
  const verdict = known ?? verifyCandidate(candidate, authority, grounds);
  if (isSmall(verdict)) VERDICTS.set(key, verdict);
  if (VERDICTS.size > MAX_VERDICTS) VERDICTS.delete(VERDICTS.keys().next().value ?? "");
  return verdict;
}

function isSmall(verdict: Verdict): boolean {
  return !verdict.ok || verdict.predicate === null || JSON.stringify(verdict.predicate).length <= MAX_PREDICATE;
}

/** Is all that is held against time a time that the evidence proves, and none of it the present? */
function isTimeless({ format }: Candidate, authority: Authority): boolean {
  if (format === "notation" || authority.type === "x509") return false;
  return authority.timestamps > 0 || authority.tlog === "ignore";
}

function keyOf({ manifest, blob, format }: Candidate, authority: Authority, { subject, trustRoots, unsignedConfig }: Grounds): string {
  const root: TrustRoot | undefined = authority.trustRoot === undefined ? undefined : trustRoots.get(authority.trustRoot);
  // The manifest as well: cosign's older signatures are in its annotations.
  return JSON.stringify([
    subject.digests.sha256,
    manifest,
    blob,
    format,
    digestOfAuthority(authority),
    root?.digest ?? null,
    unsignedConfig,
  ]);
}

function digestOfAuthority(authority: Authority): Digest {
  const known = DIGESTS.get(authority);
  if (known !== undefined) return known;
  const digest = digestOf(canonicalJson(authority));
  DIGESTS.set(authority, digest);
  return digest;
}
