import { canonicalJson } from "../oci/canonical-json.ts";
import { type Digest, digestOf } from "../oci/digest.ts";
import type { Authority } from "../trust/authority.ts";
import type { Candidate, FoundCandidate } from "../trust/candidate.ts";
import type { Grounds, Verdict } from "../trust/verdict.ts";
import { verifyCandidate } from "../trust/verify.ts";
import { RecentlyUsed } from "./recently-used.ts";

/** Verdicts that are remembered, and the most characters of a statement in one of them: 16 MiB at most. */
const MAX_VERDICTS = 1_024;
const MAX_PREDICATE = 16_384;

/** Verdicts of this process. */
const VERDICTS = new RecentlyUsed<Verdict>(MAX_VERDICTS);
const DIGESTS = new WeakMap<Authority, Digest>();

/**
 * The verdict on a candidate, remembered by the digests of all that it follows from: the artifact, the evidence, what the authority asks for
 * and the trust root, so that a change of any of them finds it anew. A verdict that could be another one tomorrow is not remembered.
 */
export function verdictOn(candidate: Candidate, authority: Authority, grounds: Grounds): Verdict {
  const key = verdictKey(candidate, authority, grounds);
  const known = key === undefined ? undefined : VERDICTS.get(key);
  if (known !== undefined) return known;
  const verdict = verifyCandidate(candidate, authority, grounds);
  if (key !== undefined && isSmall(verdict)) VERDICTS.set(key, verdict);
  return verdict;
}

/** A verdict of which the key is known, if this process remembers it. */
export function rememberedVerdict(key: Digest): Verdict | undefined {
  return VERDICTS.get(key);
}

/** Does a verdict say so little that it may be kept? */
export function isSmall(verdict: Verdict): boolean {
  return !verdict.ok || verdict.predicate === null || JSON.stringify(verdict.predicate).length <= MAX_PREDICATE;
}

/** SHA-256 over all that a verdict follows from; undefined for one that could be another one tomorrow. */
export function verdictKey(candidate: FoundCandidate, authority: Authority, grounds: Grounds): Digest | undefined {
  if (!isTimeless(candidate, authority)) return undefined;
  const { subject, trustRoots, unsignedConfig } = grounds;
  const root = authority.trustRoot === undefined ? undefined : trustRoots.get(authority.trustRoot);
  // To ask for none is not the same as to ask for one that is missing, or too old.
  const rests = authority.trustRoot === undefined ? "none" : root === undefined ? "missing" : [root.digest, root.isStale === true];
  return digestOf(JSON.stringify([subject.digests.sha256, candidate.id, demandsOf(authority), rests, unsignedConfig]));
}

/** Is all that is held against time a time that the evidence proves, and none of it the present? */
function isTimeless({ format }: FoundCandidate, authority: Authority): boolean {
  if (format === "notation" || authority.type === "x509") return false;
  return authority.timestamps > 0 || authority.tlog === "ignore";
}

/** What an authority asks for, whatever a policy calls it and its trust root: policies that ask for the same share the verdict. */
function demandsOf(authority: Authority): Digest {
  const known = DIGESTS.get(authority);
  if (known !== undefined) return known;
  const { name: _name, trustRoot: _trustRoot, ...demands } = authority;
  const digest = digestOf(canonicalJson(demands));
  DIGESTS.set(authority, digest);
  return digest;
}
