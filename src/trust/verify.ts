import type { KeyObject } from "node:crypto";
import { digestOf, encodedOf } from "../oci/digest.ts";
import {
  type Authority,
  type AuthorityKey,
  type KeyAuthority,
  type KeylessAuthority,
  type X509Authority,
  matchesText,
} from "./authority.ts";
import type { Candidate } from "./candidate.ts";
import { followChain } from "./certificate-chain.ts";
import { hasAttributes, nameText } from "./distinguished-name.ts";
import { type Leaf, type LeafIdentity, checkCodeSigning, identityOf, ifWellFormed, readLeaf } from "./leaf.ts";
import { fingerprintOf, publicKeyFrom } from "./public-key.ts";
import { Refusal } from "./reason.ts";
import { type SignedClaim, claimAbout } from "./signed-claim.ts";
import { type SignerKey, type Thresholds, verifyEvidence } from "./sigstore.ts";
import { NO_TRUST_ROOT, type TrustRoot } from "./trust-root.ts";
import type { Grounds, Signer, Verdict, Verified } from "./verdict.ts";

/**
 * Is this candidate evidence about the artifact by this authority? Never throws: whatever is wrong with it, also what no code foresees,
 * refuses it. What costs least is looked at first, so that junk costs no more than one look at a signature.
 */
export function verifyCandidate(candidate: Candidate, authority: Authority, grounds: Grounds): Verdict {
  try {
    return verify(candidate, authority, grounds);
  } catch (error) {
    const { code, message } = error instanceof Refusal ? error : new Refusal("malformed");
    return { ok: false, code, message };
  }
}

function verify({ format, claim: unread }: Candidate, authority: Authority, grounds: Grounds): Verified {
  if (format === "notation" && authority.type !== "x509") throw new Refusal("unsupported-format");
  const claim = claimAbout(unread, grounds);
  const { signer, key, thresholds } = signatoryOf(claim, authority, grounds);
  const { content, proofs } = claim;
  const material = materialOf(authority, grounds);
  const [earliest] = verifyEvidence({ content, signer: key, proofs }, { material, thresholds, now: grounds.now });
  claim.checkRest();
  return { ok: true, ...claim.says, signer, key: fingerprintOf(keyIn(key)), signed: content.signed, at: earliest?.toISOString() ?? null };
}

function keyIn(signer: SignerKey): KeyObject {
  return signer.type === "key" ? signer.key : signer.leaf.key;
}

function materialOf({ trustRoot }: Authority, { trustRoots }: Grounds): TrustRoot["material"] {
  if (trustRoot === undefined) return NO_TRUST_ROOT;
  const root = trustRoots.get(trustRoot);
  if (root === undefined) throw new Refusal("trust-root-missing");
  if (root.isStale === true) throw new Refusal("trust-root-stale");
  return root.material;
}

/** Who seems to have signed, what that is checked with, and how many proofs the authority asks for. */
interface Signatory {
  readonly signer: Signer;
  readonly key: SignerKey;
  readonly thresholds: Thresholds;
}

function signatoryOf(claim: SignedClaim, authority: Authority, { now }: Grounds): Signatory {
  switch (authority.type) {
    case "key":
      return keyHolder(claim, authority);
    case "keyless":
      return identityHolder(claim, authority);
    case "x509":
      return certificateHolder(claim, authority, now);
  }
}

function keyHolder({ chain, content, hint }: SignedClaim, { keys, tlog, timestamps }: KeyAuthority): Signatory {
  if (chain !== undefined) throw new Refusal("other-signer-type");
  const known = publicKeysOf(keys);
  // The hint decides nothing but the order: all other keys are tried as well (trust.md §2.3, 14).
  const isHinted = ({ hints }: KnownKey): boolean => hint !== undefined && hints.includes(hint);
  const found = [...known.filter(isHinted), ...known.filter((each) => !isHinted(each))].find(({ key }) => content.verifySignature(key));
  if (found === undefined) throw new Refusal("signature-invalid");
  const { key, fingerprint, entries } = found;
  const isValidAt = (time: Date): boolean => entries.every((entry) => wasValid(entry, time));
  return {
    signer: { type: "key", id: entries[0]?.id ?? "", fingerprint },
    key: { type: "key", key, isValidAt },
    thresholds: { tlog: tlog === "ignore" ? 0 : tlog, ctlog: 0, timestamps },
  };
}

/** A key of an authority with all its entries: one that is listed twice is valid only when each entry says so. */
interface KnownKey {
  readonly key: KeyObject;
  readonly fingerprint: ReturnType<typeof fingerprintOf>;
  readonly entries: readonly AuthorityKey[];
  /** What signers call it: cosign by its SubjectPublicKeyInfo, model signing by its text. */
  readonly hints: readonly string[];
}
const KNOWN_KEYS = new WeakMap<readonly AuthorityKey[], readonly KnownKey[]>();

/** The keys of an authority, read once as long as the authority lives. */
function publicKeysOf(keys: readonly AuthorityKey[]): readonly KnownKey[] {
  const known = KNOWN_KEYS.get(keys);
  if (known !== undefined) return known;
  const read = new Map<string, KnownKey>();
  for (const entry of keys) {
    const key = publicKeyFrom(entry.pem);
    if (key === undefined) throw new Refusal("unsupported-key");
    const fingerprint = fingerprintOf(key);
    const { entries = [], hints = [Buffer.from(encodedOf(fingerprint), "hex").toString("base64")] } = read.get(fingerprint) ?? {};
    read.set(fingerprint, { key, fingerprint, entries: [...entries, entry], hints: [...hints, encodedOf(digestOf(entry.pem))] });
  }
  KNOWN_KEYS.set(keys, [...read.values()]);
  return [...read.values()];
}

function wasValid({ validFrom, validUntil, revokedAt }: AuthorityKey, time: Date): boolean {
  const isBefore = (limit: string | undefined): boolean => limit !== undefined && time < new Date(limit);
  const isNotTooLate = (validUntil === undefined || time <= new Date(validUntil)) && (revokedAt === undefined || isBefore(revokedAt));
  return Number.isFinite(time.getTime()) && !isBefore(validFrom) && isNotTooLate;
}

function identityHolder({ chain }: SignedClaim, { identities, tlog, ctlog, timestamps }: KeylessAuthority): Signatory {
  const der = chain?.[0];
  if (der === undefined) throw new Refusal("other-signer-type");
  const leaf = readLeaf(der);
  const identity = ifWellFormed(() => {
    checkCodeSigning(leaf);
    return identityOf(leaf);
  });
  // By ourselves: the library takes a pattern for a regular expression without anchors, and an empty one for anybody (trust.md §2.3, 3).
  if (!identities.some((wanted) => isIdentity(wanted, identity, leaf))) throw new Refusal("identity-mismatch");
  return {
    signer: { type: "identity", ...identity },
    key: { type: "leaf", leaf },
    thresholds: { tlog: tlog === "ignore" ? 0 : tlog, ctlog, timestamps },
  };
}

function isIdentity(wanted: KeylessAuthority["identities"][number], { issuer, subject }: LeafIdentity, leaf: Leaf): boolean {
  return (
    wanted.issuer.exact === issuer &&
    matchesText(wanted.subject, subject) &&
    Object.entries(wanted.extensions ?? {}).every(([oid, text]) => leaf.extension(oid) === text)
  );
}

function certificateHolder({ chain }: SignedClaim, { roots, identities, timestamps }: X509Authority, now: number): Signatory {
  if (chain === undefined) throw new Refusal("other-signer-type");
  const path = followChain(chain, roots);
  if (!identities.some(({ subject }) => hasAttributes(path.subject, subject))) throw new Refusal("identity-mismatch");
  const isValidAt = (time: Date): boolean => {
    if (path.isValidAt(time)) return true;
    throw new Refusal("certificate-expired");
  };
  // Without a trusted time only the present tells whether the certificate was valid.
  if (timestamps === 0) isValidAt(new Date(now));
  return {
    signer: { type: "certificate", subject: nameText(path.subject), root: path.root },
    key: { type: "key", key: path.leaf.key, isValidAt },
    thresholds: { tlog: 0, ctlog: 0, timestamps },
  };
}
