import type { Digest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { type TrustPolicy, matchesRepository, parsePolicy, policyDigest } from "../policy/document.ts";
import { notationOf } from "../policy/document-text.ts";
import type { WrittenPolicy } from "../policy/written.ts";
import { type TrustRoot, type TrustRoots, parseTrustRoot } from "../trust/trust-root.ts";
import { keys } from "../storage/keys.ts";
import type { Expectation } from "../storage/metadata-store.ts";
import { policyVersionRecord } from "../storage/policy-records.ts";
import { nextVersion, policyRows } from "./policies.ts";
import type { Services } from "./ports.ts";
import { findTrustRoot, trustRootBytes } from "./trust-roots.ts";

type Needs = Pick<Services, "metadata">;

/** Documents that are kept parsed: reading keys and certificates takes longer than a decision. */
const MAX_KEPT = 64;
const POLICIES = new Map<Digest, TrustPolicy>();
const ROOTS = new Map<Digest, TrustRoot>();

/** The policies that decide about a repository, by name, and what says that they are these. */
export interface PoliciesInForce {
  readonly policies: readonly WrittenPolicy[];
  readonly expect: readonly Expectation[];
}

/** The written policies whose patterns match the repository. */
export async function policiesFor(needs: Needs, repository: RepositoryName): Promise<PoliciesInForce> {
  // Before the policies: one that comes meanwhile raises it.
  const epoch = await needs.metadata.get(keys.policyEpoch());
  const policies: WrittenPolicy[] = [];
  for (const { name, record } of await policyRows(needs)) {
    const { version, digest, repositories, inForce } = record;
    if (!inForce || !matchesRepository(repositories, repository)) continue;
    const document = await documentOf(needs, name, record);
    policies.push({ name, version, digest, document, trustRoots: await rootsOf(needs, document) });
  }
  return { policies, expect: [{ key: keys.policyEpoch(), version: epoch?.version ?? "absent" }] };
}

/** A policy that is tried and not in force; its version is the one that it would have. Throws INVALID for what is none. */
export async function policyToTry(needs: Needs, text: string): Promise<WrittenPolicy> {
  const document = parsePolicy(Buffer.from(text), notationOf(text));
  const { name } = document.metadata;
  const last = (await policyRows(needs)).find((row) => row.name === name)?.record;
  const digest = policyDigest(document);
  return { name, version: nextVersion(last, digest), digest, document, trustRoots: await rootsOf(needs, document) };
}

async function documentOf(
  { metadata }: Needs,
  name: string,
  { version, digest }: { readonly version: number; readonly digest: Digest },
): Promise<TrustPolicy> {
  const kept = POLICIES.get(digest);
  if (kept !== undefined) return kept;
  const entry = await metadata.get(keys.policyVersion(name, version));
  // A policy in force that cannot be read must not let anything pass.
  if (entry === undefined) throw new RegistryError("INTERNAL");
  const document = parsePolicy(Buffer.from(policyVersionRecord.parse(entry.value).text), "json");
  return keep(POLICIES, digest, document);
}

/** A trust root that is missing stays out: evidence that needs it is refused with that reason. */
async function rootsOf(needs: Needs, { spec: { trustRoots } }: TrustPolicy): Promise<TrustRoots> {
  const roots = new Map<string, TrustRoot>();
  for (const [as, { name, digest }] of Object.entries(trustRoots)) {
    const known = ROOTS.get(digest);
    const isThere = (await findTrustRoot(needs, name, digest)) !== undefined;
    const bytes = isThere && known === undefined ? await trustRootBytes(needs, digest) : undefined;
    const root = isThere ? (known ?? (bytes && keep(ROOTS, digest, parseTrustRoot(bytes)))) : undefined;
    if (root !== undefined) roots.set(as, root);
  }
  return roots;
}

function keep<T>(kept: Map<Digest, T>, digest: Digest, value: T): T {
  if (kept.size >= MAX_KEPT) kept.delete(kept.keys().next().value ?? digest);
  kept.set(digest, value);
  return value;
}
