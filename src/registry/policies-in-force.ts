import type { Digest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { type TrustPolicy, matchesRepository, parsePolicy, policyDigest } from "../policy/document.ts";
import { notationOf } from "../policy/document-text.ts";
import { type JudgedTrustRoot, judgeTrustRoot } from "../policy/named-trust-root.ts";
import type { WrittenPolicy } from "../policy/written.ts";
import { type TrustRoot, parseTrustRoot } from "../trust/trust-root.ts";
import { keys } from "../storage/keys.ts";
import type { Expectation } from "../storage/metadata-store.ts";
import { policyVersionRecord } from "../storage/policy-records.ts";
import { nextVersion, policyRows } from "./policies.ts";
import type { Services } from "./ports.ts";
import { findTrustRootUpdate } from "./trust-root-updates.ts";
import { findTrustRoot, trustRootBytes } from "./trust-roots.ts";

type Needs = Pick<Services, "metadata" | "clock">;

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
  const expect: Expectation[] = [{ key: keys.policyEpoch(), version: epoch?.version ?? "absent" }];
  const policies: WrittenPolicy[] = [];
  for (const { name, record } of await policyRows(needs)) {
    const { version, digest, repositories, inForce } = record;
    if (!inForce || !matchesRepository(repositories, repository)) continue;
    const document = await documentOf(needs, name, record);
    const { expect: updates, ...roots } = await rootsOf(needs, document);
    policies.push({ name, version, digest, document, ...roots });
    expect.push(...updates);
  }
  return { policies, expect };
}

/** The documents of all policies in force, by name. */
export async function documentsInForce(needs: Pick<Services, "metadata">): Promise<readonly TrustPolicy[]> {
  const rows = (await policyRows(needs)).filter(({ record }) => record.inForce);
  return Promise.all(rows.map(({ name, record }) => documentOf(needs, name, record)));
}

/** A policy that is tried and not in force; its version is the one that it would have. Throws INVALID for what is none. */
export async function policyToTry(needs: Needs, text: string): Promise<WrittenPolicy> {
  const document = parsePolicy(Buffer.from(text), notationOf(text));
  const { name } = document.metadata;
  const last = (await policyRows(needs)).find((row) => row.name === name)?.record;
  const digest = policyDigest(document);
  const { trustRoots, updatedRoots } = await rootsOf(needs, document);
  return { name, version: nextVersion(last, digest), digest, document, trustRoots, updatedRoots };
}

/** The document of a version of a policy, in force or not. */
export async function documentOf(
  { metadata }: Pick<Services, "metadata">,
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

interface Roots extends Pick<WrittenPolicy, "trustRoots" | "updatedRoots"> {
  /** What says that the last updates are these. */
  readonly expect: readonly Expectation[];
}

/** A trust root that is missing stays out: evidence that needs it is refused with that reason. */
async function rootsOf(needs: Needs, { spec }: TrustPolicy): Promise<Roots> {
  const trustRoots = new Map<string, TrustRoot>();
  const updatedRoots: JudgedTrustRoot[] = [];
  const expect: Expectation[] = [];
  for (const [as, named] of Object.entries(spec.trustRoots)) {
    if ("tuf" in named) {
      const { update, expect: unchanged } = await findTrustRootUpdate(needs, named.tuf);
      const judged = judgeTrustRoot(as, named.tuf, update, needs.clock());
      const root = judged.digest === null ? undefined : await rootOf(needs, judged.digest);
      if (root !== undefined) trustRoots.set(as, judged.counts ? root : { ...root, isStale: true });
      updatedRoots.push(judged);
      expect.push(unchanged);
    } else {
      const isThere = (await findTrustRoot(needs, named.name, named.digest)) !== undefined;
      const root = isThere ? await rootOf(needs, named.digest) : undefined;
      if (root !== undefined) trustRoots.set(as, root);
    }
  }
  return { trustRoots, updatedRoots, expect };
}

async function rootOf(needs: Needs, digest: Digest): Promise<TrustRoot | undefined> {
  const known = ROOTS.get(digest);
  if (known !== undefined) return known;
  const bytes = await trustRootBytes(needs, digest);
  return bytes && keep(ROOTS, digest, parseTrustRoot(bytes));
}

function keep<T>(kept: Map<Digest, T>, digest: Digest, value: T): T {
  if (kept.size >= MAX_KEPT) kept.delete(kept.keys().next().value ?? digest);
  kept.set(digest, value);
  return value;
}
