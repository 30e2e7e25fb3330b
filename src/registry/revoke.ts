import type { Digest } from "../oci/digest.ts";
import type { Expectation, Put } from "../storage/metadata-store.ts";
import { keys } from "../storage/keys.ts";
import { type ManifestRecord, everywhereRecord } from "../storage/records.ts";
import { auditEvent } from "./audit-event.ts";
import { type BuiltTransition, buildTransition } from "./change-state.ts";
import { type FoundArtifact, changed, demand, reload } from "./find-artifact.ts";
import type { Caller } from "./ports.ts";
import { type TransitionServices, commitTransition, contentOf, decideTransition, noOtherTransition, unchanged } from "./transition.ts";

export interface Revocation {
  readonly reason: string;
  /** Never to be lifted, in no later generation either. */
  readonly permanent: boolean;
  /** In every repository, and later pushes of the digest are refused. */
  readonly everywhere: boolean;
  /** What it rests on, by digest. */
  readonly inputs?: readonly Digest[];
}

/** Takes an artifact out of service (DESIGN §2); in force at every door once this resolves. */
export async function revoke(
  services: TransitionServices,
  caller: Caller,
  artifact: FoundArtifact,
  revocation: Revocation,
): Promise<ManifestRecord> {
  demand(artifact.rights, "revoke", "revoking");
  if (revocation.everywhere) demand(artifact.rights, "revoke:everywhere", "revoking everywhere");
  return commitTransition(services, { repository: artifact.repository, event: "revoke" }, async () =>
    decideRevocation(services, caller, await reload(services, artifact), revocation),
  );
}

/** The change that takes an artifact, as it is now, out of service. */
export async function decideRevocation(
  services: TransitionServices,
  caller: Caller,
  artifact: FoundArtifact,
  { reason, permanent, everywhere, inputs = [] }: Revocation,
): Promise<BuiltTransition> {
  const { repository, record } = artifact;
  const alone = await noOtherTransition(services, repository);
  const decided = await decideTransition(services, artifact, "revoke");
  const wide = await wideRevocation(services, record);
  const inForce = strengthOf(record, wide, permanent);
  if (decided.kind === "same" && !isStronger({ permanent, everywhere }, inForce)) return unchanged(record);
  const stronger = {
    permanent: permanent || inForce.permanent,
    everywhere: everywhere || record.revocation?.everywhere === true,
  };
  const at = services.clock();
  const by = caller.principal.name;
  const rows = everywhere && !inForce.everywhere ? everywhereRows(record, { reason, permanent: stronger.permanent, by, at }) : [];
  return buildTransition(services, {
    repository,
    before: artifact,
    after: changed(record, by, { state: "revoked", reason, changedAt: at, revocation: { ...stronger, reason, by, at } }),
    manifest: await contentOf(services, repository, record),
    said: { everywhere: stronger.everywhere, actor: by, permanent: stronger.permanent, inputs, at, reason, policy: null },
    also: { expect: [alone, wide.expect], put: rows, remove: [] },
    audit: [
      auditEvent(services, caller.actor, {
        type: "artifact.revoke",
        target: { kind: "artifact", name: repository, digest: record.digest },
        reason,
        before: { state: record.state },
        after: { state: "revoked", ...stronger },
      }),
    ],
  });
}

/** The revocation everywhere that is in force now, whatever the record says: another repository may have lifted it since. */
async function wideRevocation(
  { metadata }: Pick<TransitionServices, "metadata">,
  { digest }: ManifestRecord,
): Promise<{ readonly permanent: boolean | undefined; readonly expect: Expectation }> {
  const key = keys.revokedEverywhere(digest);
  const entry = await metadata.get(key);
  return { permanent: entry && everywhereRecord.parse(entry.value).permanent, expect: { key, version: entry?.version ?? "absent" } };
}

type Strength = Pick<Revocation, "permanent" | "everywhere">;

/** How strongly an artifact is revoked already, for one who wants it `permanent` or not. */
function strengthOf({ revocation }: ManifestRecord, wide: { readonly permanent: boolean | undefined }, permanent: boolean): Strength {
  return { permanent: revocation?.permanent === true, everywhere: wide.permanent !== undefined && wide.permanent >= permanent };
}

/** A revocation that is already in force is only ever made wider or permanent. */
function isStronger(wanted: Strength, inForce: Strength): boolean {
  return (wanted.permanent && !inForce.permanent) || (wanted.everywhere && !inForce.everywhere);
}

/** In force at once in every repository, under both names (RULES 4 and 13); the job writes the statements of the others. */
function everywhereRows(
  { digest, sha512 }: ManifestRecord,
  value: { readonly reason: string; readonly permanent: boolean; readonly by: string; readonly at: number },
): readonly Put[] {
  return [
    ...[digest, sha512].map((name) => ({ key: keys.revokedEverywhere(name), value: { v: 1, ...value } })),
    { key: keys.everywherePending(digest), value: { v: 1, ...value } },
  ];
}
