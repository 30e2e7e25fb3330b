import type { Digest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { type RepositoryName, repositoryNameSchema } from "../oci/reference.ts";
import { type PolicyDiff, diffPolicies } from "../policy/diff.ts";
import { type TrustPolicy, matchesRepository, policyFaults } from "../policy/document.ts";
import { notationOf } from "../policy/document-text.ts";
import { keys } from "../storage/keys.ts";
import { policyVersionRecord } from "../storage/policy-records.ts";
import { rowsOf } from "./ordered-rows.ts";
import { documentOf, policyToTry } from "./policies-in-force.ts";
import { type Policy, policyRows, rootExpectations, showPolicy } from "./policies.ts";
import type { Services } from "./ports.ts";
import { repositoryRanges } from "./replay-places.ts";

type Needs = Pick<Services, "metadata" | "clock">;

/** Rows of repositories that are looked at for one page. */
const MAX_EXAMINED = 1_000;

/** A version of a policy, without its text. */
export interface PolicyVersion {
  readonly version: number;
  readonly digest: Digest;
  readonly by: string;
  /** Epoch, ms. */
  readonly at: number;
}

/** A version of a policy with its document, in force or not: the last one unless another is named. Throws NOT_FOUND where there is none. */
export async function readVersion(
  needs: Needs,
  name: string,
  wanted: number | undefined,
): Promise<{ readonly policy: Policy; readonly document: TrustPolicy; readonly last: number }> {
  const row = (await policyRows(needs)).find((each) => each.name === name);
  if (row === undefined) throw new RegistryError("NOT_FOUND", "there is no such policy, and there was none");
  const policy = await showPolicy(needs, name, wanted ?? row.record.version);
  return { policy, document: await documentOf(needs, name, policy), last: row.record.version };
}

/** Versions of a policy from one downwards, newest first. */
export async function policyVersions({ metadata }: Needs, name: string, from: number, limit: number): Promise<readonly PolicyVersion[]> {
  const numbers = Array.from({ length: Math.min(limit, from) }, (_, at) => from - at);
  const rows = await Promise.all(numbers.map((version) => metadata.get(keys.policyVersion(name, version))));
  return rows.flatMap((row, at) => {
    if (row === undefined) return [];
    const { digest, by, at: time } = policyVersionRecord.parse(row.value);
    return [{ version: numbers[at] ?? 0, digest, by, at: time }];
  });
}

/** What is different between two versions of a policy. Throws NOT_FOUND where one of them does not exist. */
export async function comparePolicies(needs: Needs, name: string, versions: readonly [number, number]): Promise<PolicyDiff> {
  const [from, to] = await Promise.all(
    versions.map(async (version) => {
      const [found] = await policyVersions(needs, name, version, 1);
      if (found?.version !== version) throw new RegistryError("NOT_FOUND", "there is no such version of this policy");
      return { version, digest: found.digest, document: await documentOf(needs, name, found) };
    }),
  );
  if (from === undefined || to === undefined) throw new TypeError("two versions are compared");
  return diffPolicies(from, to);
}

/** What a document would change of the policy of its name that is in force; undefined where there is none. */
export async function compareWithInForce(needs: Needs, text: string): Promise<PolicyDiff | undefined> {
  const { name, digest, document } = await policyToTry(needs, text);
  const last = (await policyRows(needs)).find((row) => row.name === name)?.record;
  if (last?.inForce !== true) return undefined;
  const before = { version: last.version, digest: last.digest, document: await documentOf(needs, name, last) };
  return diffPolicies(before, { version: null, digest, document });
}

/** A text that is a policy, and the version of that name that is in force. */
export interface ReadPolicy {
  readonly name: string;
  readonly digest: Digest;
  readonly notation: ReturnType<typeof notationOf>;
  readonly inForce: Digest | null;
}

/** Every place of a text and the rule of policies that it breaks there; else what it is the policy of. */
export async function readPolicy(needs: Needs, text: string): Promise<{ readonly faults: readonly string[] } | ReadPolicy> {
  const notation = notationOf(text);
  const faults = policyFaults(Buffer.from(text), notation);
  if (faults.length > 0) return { faults };
  const { name, digest, document } = await policyToTry(needs, text);
  try {
    await rootExpectations(needs, document);
  } catch (error) {
    if (error instanceof RegistryError && error.code === "INVALID") return { faults: [error.message] };
    throw error;
  }
  const last = (await policyRows(needs)).find((row) => row.name === name)?.record;
  return { name, digest, notation, inForce: last?.inForce === true ? last.digest : null };
}

/** Repositories that a policy decides about, by name, from after one on; `next` is where the look goes on, if it ended early. */
export async function matchingRepositories(
  needs: Needs,
  patterns: readonly string[],
  { after, limit }: { readonly after: RepositoryName | undefined; readonly limit: number },
): Promise<{ readonly repositories: readonly RepositoryName[]; readonly next: RepositoryName | undefined }> {
  const place = after === undefined ? undefined : { repository: after, digest: null };
  const repositories: RepositoryName[] = [];
  let [examined, last] = [0, after];
  for await (const { key } of rowsOf(needs, repositoryRanges({ patterns, within: ["**"] }, place))) {
    if (examined === MAX_EXAMINED || repositories.length === limit) return { repositories, next: last };
    examined += 1;
    last = repositoryNameSchema.parse(key[1]);
    if (matchesRepository(patterns, last)) repositories.push(last);
  }
  return { repositories, next: undefined };
}
