import { canonicalJson } from "../oci/canonical-json.ts";
import type { Digest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { type TrustPolicy, parsePolicy, policyDigest } from "../policy/document.ts";
import type { Notation } from "../policy/document-text.ts";
import type { UpdatedTrustRoot } from "../policy/named-trust-root.ts";
import { trustNameSchema } from "../trust/authority.ts";
import { keys, under } from "../storage/keys.ts";
import type { Change, Expectation } from "../storage/metadata-store.ts";
import { type PolicyRecord, type PolicyVersionRecord, policyRecord, policyVersionRecord } from "../storage/policy-records.ts";
import { auditEvent } from "./audit-event.ts";
import { type Decided, decideAndCommit } from "./commit.ts";
import type { Caller, Services } from "./ports.ts";
import { type StatingServices, stated } from "./registry-statements.ts";
import { findTrustRootUpdate } from "./trust-root-updates.ts";
import { findTrustRoot } from "./trust-roots.ts";

type Needs = StatingServices;

/** Names of policies, those that are no longer in force among them: every decision looks through all of them. */
const MAX_POLICIES = 128;

/** A version of a written promotion policy. */
export interface Policy {
  readonly name: string;
  readonly version: number;
  readonly digest: Digest;
  /** Is it the version by which promotions are decided now? */
  readonly inForce: boolean;
  /** Canonical JSON. */
  readonly text: string;
  readonly by: string;
  readonly at: number;
}

/** A policy as it was sent. */
export interface SentPolicy {
  readonly bytes: Uint8Array;
  readonly notation: Notation;
  /** What somebody was shown who decided to put it in force: nothing changes where it is another one by now. */
  readonly restsOn?: { readonly document: string; readonly inForce: string | null } | undefined;
}

/** How a policy is ended. */
export interface EndedPolicy {
  readonly reason: string | null;
  /** The digest of the version that somebody decided to end; undefined: whichever is in force. */
  readonly restsOn?: string | undefined;
}

/** Puts a policy in force from the next decision on. The same document again changes nothing. Throws INVALID with the path and the rule. */
export async function putPolicy(services: Needs, caller: Caller, name: string, { bytes, notation, restsOn }: SentPolicy): Promise<Policy> {
  const document = parsePolicy(bytes, notation);
  if (document.metadata.name !== name) {
    throw new RegistryError(
      "INVALID",
      `the policy is invalid: metadata.name: must be ${JSON.stringify(name.slice(0, 64))}, as in the path`,
    );
  }
  return decideAndCommit(services, async () => {
    const last = await findPolicy(services, name);
    if (restsOn !== undefined) demandShown(restsOn, { document: policyDigest(document), inForce: inForceOf(last?.record) });
    const roots = await rootExpectations(services, document);
    return decidePut(services, caller, { document, last, roots });
  });
}

function inForceOf(record: PolicyRecord | undefined): Digest | null {
  return record?.inForce === true ? record.digest : null;
}

type Shown = NonNullable<SentPolicy["restsOn"]>;

function demandShown(shown: Shown, is: Shown): void {
  if (shown.document !== is.document)
    throw new RegistryError("CONFLICT", "this is not the document that was tried: nothing was changed; try it as it is now");
  if (shown.inForce !== is.inForce)
    throw new RegistryError("CONFLICT", "another version is in force than when it was tried: nothing was changed; try it again");
}

interface PutPolicy {
  readonly document: TrustPolicy;
  readonly last: FoundPolicy | undefined;
  readonly roots: readonly Expectation[];
}

async function decidePut(services: Needs, caller: Caller, { document, last, roots }: PutPolicy): Promise<Decided<Policy>> {
  const { name } = document.metadata;
  const digest = policyDigest(document);
  const before = last?.record;
  if (before?.digest === digest && before.inForce) return { result: await versionOf(services, name, before) };
  if (before === undefined) await checkRoom(services);
  const said = { by: caller.principal.name, at: services.clock() };
  const version = nextVersion(before, digest);
  const record: PolicyRecord = { v: 1, version, digest, repositories: document.spec.match.repositories, inForce: true, ...said };
  const written: PolicyVersionRecord = { v: 1, digest, text: canonicalJson(document), ...said };
  const rows = version === before?.version ? [] : [{ key: keys.policyVersion(name, version), value: written }];
  const change = await changeOf(services, caller, { name, last, record, reason: null });
  return {
    change: { ...change, expect: [...change.expect, ...roots], put: [...change.put, ...rows] },
    result: { name, version, digest, inForce: true, text: written.text, ...said },
  };
}

/** The version that a document has, or would have: the last one's own again, else the one after it. */
export function nextVersion(last: PolicyRecord | undefined, digest: Digest): number {
  return last?.digest === digest ? last.version : (last?.version ?? 0) + 1;
}

/** Ends a policy from the next decision on; its versions stay. Throws NOT_FOUND when none of this name is in force. */
export async function deletePolicy(
  services: Needs,
  caller: Caller,
  name: string,
  { reason, restsOn }: EndedPolicy = { reason: null },
): Promise<Policy> {
  return decideAndCommit(services, async () => {
    const last = await findPolicy(services, name);
    if (last === undefined || !last.record.inForce) throw unknownPolicy();
    if (restsOn !== undefined && restsOn !== last.record.digest)
      throw new RegistryError("CONFLICT", "another version is in force than was looked at: nothing was changed; look at it again");
    const record: PolicyRecord = { ...last.record, inForce: false, by: caller.principal.name, at: services.clock() };
    return {
      change: await changeOf(services, caller, { name, last, record, reason }),
      result: await versionOf(services, name, record),
    };
  });
}

/** All policies in force, by name. */
export async function listPolicies(needs: Pick<Services, "metadata">): Promise<readonly Policy[]> {
  const rows = await policyRows(needs);
  return Promise.all(rows.filter(({ record }) => record.inForce).map(({ name, record }) => versionOf(needs, name, record)));
}

/** A version of a policy, the last one unless another is named; a policy that is no longer in force only by its version. */
export async function showPolicy(needs: Pick<Services, "metadata">, name: string, version: number | undefined): Promise<Policy> {
  const last = await findPolicy(needs, name);
  if (last === undefined || (version === undefined && !last.record.inForce)) throw unknownPolicy();
  return versionOf(needs, name, last.record, version);
}

/** The last versions of all policies, in force or not, by name. */
export async function policyRows({
  metadata,
}: Pick<Services, "metadata">): Promise<readonly { readonly name: string; readonly record: PolicyRecord }[]> {
  const rows = await metadata.list(under(keys.policies(), MAX_POLICIES));
  return rows.map(({ key, value }) => ({ name: String(key[1]), record: policyRecord.parse(value) }));
}

interface FoundPolicy {
  readonly record: PolicyRecord;
  readonly version: number;
}

async function findPolicy({ metadata }: Pick<Services, "metadata">, name: string): Promise<FoundPolicy | undefined> {
  const entry = trustNameSchema.safeParse(name).success ? await metadata.get(keys.policy(name)) : undefined;
  return entry && { record: policyRecord.parse(entry.value), version: entry.version };
}

async function versionOf(
  { metadata }: Pick<Services, "metadata">,
  name: string,
  last: PolicyRecord,
  version = last.version,
): Promise<Policy> {
  const entry = await metadata.get(keys.policyVersion(name, version));
  if (entry === undefined) throw unknownPolicy();
  const { digest, text, by, at } = policyVersionRecord.parse(entry.value);
  return { name, version, digest, inForce: last.inForce && version === last.version, text, by, at };
}

function unknownPolicy(): RegistryError {
  return new RegistryError("NOT_FOUND", "there is no such policy in force, or no such version of it");
}

/** A policy rests on its trust roots: without them nothing would ever meet it. Throws INVALID for one that is not there. */
export async function rootExpectations(
  needs: Pick<Services, "metadata">,
  { spec: { trustRoots } }: TrustPolicy,
): Promise<readonly Expectation[]> {
  const expect: Expectation[] = [];
  for (const [as, named] of Object.entries(trustRoots)) {
    const at = `the policy is invalid: spec.trustRoots.${as}`;
    expect.push(...("tuf" in named ? await updateExpectations(needs, named.tuf, at) : await rootExpectation(needs, named, at)));
  }
  return expect;
}

async function rootExpectation(
  needs: Pick<Services, "metadata">,
  { name, digest }: { readonly name: string; readonly digest: Digest },
  at: string,
): Promise<readonly Expectation[]> {
  const root = await findTrustRoot(needs, name, digest);
  if (root !== undefined) return root.expect;
  const remedy = `add it first, by \`securectl trust add ${name} FILE\``;
  throw new RegistryError("INVALID", `${at}: there is no trust root ${name} with this digest: ${remedy}`);
}

async function updateExpectations(
  needs: Pick<Services, "metadata">,
  wanted: UpdatedTrustRoot,
  at: string,
): Promise<readonly Expectation[]> {
  const { update, expect } = await findTrustRootUpdate(needs, wanted);
  if (update !== undefined) return [expect];
  const remedy = `run \`securectl trust update ${wanted.name}\` with the root metadata of this digest first`;
  throw new RegistryError("INVALID", `${at}: no update has brought ${wanted.name} by this root metadata: ${remedy}`);
}

async function checkRoom(needs: Pick<Services, "metadata">): Promise<void> {
  if ((await policyRows(needs)).length < MAX_POLICIES) return;
  throw new RegistryError(
    "CONFLICT",
    `there are ${MAX_POLICIES} policies, and more are not allowed: put another document under the name of one`,
  );
}

interface ChangedPolicy {
  readonly name: string;
  readonly last: FoundPolicy | undefined;
  readonly record: PolicyRecord;
  readonly reason: string | null;
}

/** Changes of policies come one after the other, so that a decision need rest on one row alone. Each is a signed statement. */
async function changeOf(services: Needs, caller: Caller, { name, last, record, reason }: ChangedPolicy): Promise<Change> {
  const epoch = await services.metadata.get(keys.policyEpoch());
  const change: Change = {
    expect: [
      { key: keys.policy(name), version: last?.version ?? "absent" },
      { key: keys.policyEpoch(), version: epoch?.version ?? "absent" },
    ],
    put: [
      { key: keys.policy(name), value: record },
      { key: keys.policyEpoch(), value: { at: services.clock() } },
    ],
    remove: [],
    audit: [
      auditEvent(services, caller.actor, {
        type: record.inForce ? "policy.put" : "policy.delete",
        target: { kind: "policy", name, digest: record.digest },
        ...(reason !== null && { reason }),
        before: toldOf(last?.record),
        after: toldOf(record),
      }),
    ],
  };
  const { version, digest, inForce, by: actor, at } = record;
  const said = { kind: "policy", subjects: [{ name, digest }], at, actor, reason, says: { inForce, version } } as const;
  return (await stated(services, said, () => change)).change;
}

function toldOf(record: PolicyRecord | undefined): Record<string, string | number | boolean> {
  return record === undefined ? { inForce: false } : { version: record.version, digest: record.digest, inForce: record.inForce };
}
