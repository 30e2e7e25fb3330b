import type { Digest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import type { NamedTrustRoot } from "../policy/named-trust-root.ts";
import { keys } from "../storage/keys.ts";
import type { Change, Expectation, Key, Put } from "../storage/metadata-store.ts";
import { auditEvent } from "./audit-event.ts";
import { decideAndCommit } from "./commit.ts";
import { documentsInForce } from "./policies-in-force.ts";
import type { Caller, Services } from "./ports.ts";
import { type StatingServices, stated } from "./registry-statements.ts";
import { endedRow, findTrustRootUpdate, listTrustRootUpdates } from "./trust-root-updates.ts";
import { findTrustRoot, listTrustRoots, saidOfTrustRoot } from "./trust-roots.ts";

type Needs = Pick<Services, "metadata">;

/** A name with all that is kept under it, or one trust root of it. */
export interface EndedTrustRoots {
  readonly name: string;
  readonly digest: Digest | undefined;
}

/**
 * Ends a name of trust roots: policies may name them by it no more, and their documents stay. Answers their digests. Throws NOT_FOUND when
 * there is none, and CONFLICT while a policy in force names one of them, or for what comes with the registry.
 */
export async function endTrustRoots(services: StatingServices, caller: Caller, ended: EndedTrustRoots): Promise<readonly Digest[]> {
  return decideAndCommit(services, async () => {
    // Before the policies: one that comes meanwhile raises it.
    const epoch = await services.metadata.get(keys.policyEpoch());
    const found = [...(await keptRoots(services, ended)), ...(await updatedRoots(services, ended))];
    if (found.length === 0) throw await nothingToEnd(services, ended);
    await refuseNamed(services, found);
    const digests = [...new Set(found.map(({ digest }) => digest))].toSorted();
    const change: Change = {
      expect: [...found.map(({ expect }) => expect), { key: keys.policyEpoch(), version: epoch?.version ?? "absent" }],
      put: digests.flatMap((digest) => found.find((root) => root.digest === digest)?.put ?? []),
      remove: found.map(({ remove }) => remove),
      audit: digests.map((digest) =>
        auditEvent(services, caller.actor, { type: "trust-root.delete", target: { kind: "policy", name: ended.name, digest } }),
      ),
    };
    const told = { name: ended.name, digests, by: caller.principal.name, at: services.clock(), says: { event: "delete" } };
    return { change: (await stated(services, saidOfTrustRoot(told), () => change)).change, result: digests };
  });
}

/** A trust root that is ended. */
interface FoundRoot {
  readonly name: string;
  readonly digest: Digest;
  readonly isNamedBy: (named: NamedTrustRoot) => boolean;
  readonly expect: Expectation;
  readonly put: Put;
  readonly remove: Key;
}

async function keptRoots(needs: Needs, ended: EndedTrustRoots): Promise<readonly FoundRoot[]> {
  const found: FoundRoot[] = [];
  for (const { name, digest } of await listTrustRoots(needs)) {
    const root = isMeant(ended, name, digest) ? await findTrustRoot(needs, name, digest) : undefined;
    if (root === undefined) continue;
    const { by, size, at } = root.root;
    const [expect] = root.expect;
    // What comes with the registry stays.
    if (at === null || expect === undefined) continue;
    found.push({
      name,
      digest,
      isNamedBy: (named) => "digest" in named && named.name === name && named.digest === digest,
      expect,
      put: endedRow(name, { digest, size, by, at }),
      remove: keys.trustRoot(name, digest),
    });
  }
  return found;
}

async function updatedRoots(needs: Needs, ended: EndedTrustRoots): Promise<readonly FoundRoot[]> {
  const found: FoundRoot[] = [];
  for (const { name, rootDigest, record } of await listTrustRootUpdates(needs)) {
    if (!isMeant(ended, name, record.digest)) continue;
    found.push({
      name,
      digest: record.digest,
      isNamedBy: (named) => "tuf" in named && named.tuf.name === name && named.tuf.rootDigest === rootDigest,
      expect: (await findTrustRootUpdate(needs, { name, rootDigest })).expect,
      put: endedRow(name, record),
      remove: keys.trustRootUpdate(name, rootDigest),
    });
  }
  return found;
}

async function nothingToEnd(needs: Needs, ended: EndedTrustRoots): Promise<RegistryError> {
  const isShipped = (await listTrustRoots(needs)).some(({ name, digest }) => isMeant(ended, name, digest));
  return isShipped
    ? new RegistryError("CONFLICT", `${ended.name} comes with the registry and stays`)
    : new RegistryError("NOT_FOUND", "there is no such trust root");
}

function isMeant(ended: EndedTrustRoots, name: string, digest: Digest): boolean {
  return ended.name === name && (ended.digest === undefined || ended.digest === digest);
}

async function refuseNamed(needs: Needs, found: readonly FoundRoot[]): Promise<void> {
  for (const { metadata, spec } of await documentsInForce(needs)) {
    const named = Object.values(spec.trustRoots);
    const root = found.find(({ isNamedBy }) => named.some((each) => isNamedBy(each)));
    if (root === undefined) continue;
    const remedy = "put a version in force that does not name it first, or delete the policy";
    throw new RegistryError(
      "CONFLICT",
      `the policy ${metadata.name} names the trust root ${root.name} with the digest ${root.digest}: ${remedy}`,
    );
  }
}
