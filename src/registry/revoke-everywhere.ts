import type { Permission } from "../identity/permission.ts";
import { type Digest, digestSchema } from "../oci/digest.ts";
import { type RepositoryName, repositoryNameSchema } from "../oci/reference.ts";
import { keys, under } from "../storage/keys.ts";
import { type EverywhereRecord, type ManifestRecord, everywhereRecord } from "../storage/records.ts";
import { auditEvent } from "./audit-event.ts";
import type { FoundArtifact } from "./find-artifact.ts";
import type { Caller } from "./ports.ts";
import { type Revocation, revoke } from "./revoke.ts";
import { findManifest } from "./serving.ts";
import { SYSTEM } from "./system-actor.ts";
import type { TransitionServices } from "./transition.ts";

const PAGE = 100;
const RIGHTS: ReadonlySet<Permission> = new Set(["revoke", "revoke:everywhere"]);

/**
 * Writes the statements of revocations everywhere in every other repository that holds the digest (RULES 13). They were in force at once;
 * this can be stopped at any point and goes on where it was, since a repository that is done has nothing to change.
 */
export async function finishRevocationsEverywhere(services: TransitionServices): Promise<void> {
  for (;;) {
    const pending = await services.metadata.list(under(keys.everywheresPending(), PAGE));
    for (const { key, value, version } of pending) {
      const digest = digestSchema.parse(key[1]);
      await revokeInAll(services, digest, everywhereRecord.parse(value));
      const audit = [
        auditEvent(services, SYSTEM, {
          type: "artifact.revoke-everywhere",
          target: { kind: "registry", name: "every repository", digest },
        }),
      ];
      await services.metadata.commit({ expect: [{ key, version }], put: [], remove: [key], audit });
    }
    if (pending.length < PAGE) return;
  }
}

/** Revokes, and lets the other repositories follow at once without anybody waiting; the job makes good what this leaves undone. */
export async function revokeAndFollow(
  services: TransitionServices,
  caller: Caller,
  artifact: FoundArtifact,
  revocation: Revocation,
): Promise<ManifestRecord> {
  const record = await revoke(services, caller, artifact, revocation);
  if (revocation.everywhere) {
    void finishRevocationsEverywhere(services).catch((error: unknown) => {
      services.log.error({ err: error }, "a revocation everywhere is in force, and its statements are left to the job");
    });
  }
  return record;
}

async function revokeInAll(services: TransitionServices, digest: Digest, record: EverywhereRecord): Promise<void> {
  let after: readonly string[] = [];
  for (;;) {
    const holders = await services.metadata.list(under(keys.manifestRepositories(digest), PAGE, after));
    for (const { key } of holders) await revokeIn(services, repositoryNameSchema.parse(key[2]), digest, record);
    const last = holders.at(-1);
    if (last === undefined || holders.length < PAGE) return;
    after = [String(last.key[2])];
  }
}

async function revokeIn(
  services: TransitionServices,
  repository: RepositoryName,
  digest: Digest,
  { reason, permanent, by }: EverywhereRecord,
): Promise<void> {
  const found = await findManifest(services, repository, digest);
  if (found === undefined || found.record.state === "deleted" || found.record.statement) return;
  const artifact = { ...found, repository, rights: RIGHTS, refTag: undefined };
  await revoke(services, onBehalfOf(by), artifact, { reason, permanent, everywhere: true });
}

/** Statements name the person who revoked; the audit says that a job wrote them. */
function onBehalfOf(name: string): Caller {
  const principal = {
    name,
    kind: "system",
    bindings: [],
    countsAs: name,
    credential: undefined,
    access: undefined,
    duties: "standard",
  } as const;
  return { principal, actor: SYSTEM };
}
