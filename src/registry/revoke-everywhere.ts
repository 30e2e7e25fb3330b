import type { Permission } from "../identity/permission.ts";
import { type Digest, digestSchema } from "../oci/digest.ts";
import { type RepositoryName, repositoryNameSchema } from "../oci/reference.ts";
import { keys, under } from "../storage/keys.ts";
import { type EverywhereRecord, type ManifestRecord, everywhereRecord } from "../storage/records.ts";
import { auditEvent } from "./audit-event.ts";
import { ClosureWalk, NO_OVERLAY } from "./closure.ts";
import { each } from "./each.ts";
import type { FoundArtifact } from "./find-artifact.ts";
import type { Caller } from "./ports.ts";
import { isReached } from "./reach-rows.ts";
import { type Revocation, revoke } from "./revoke.ts";
import { type RuntimeFolder, withdrawFolders } from "./runtime-folders.ts";
import { findManifest } from "./serving.ts";
import { SYSTEM, onBehalfOf } from "./system-actor.ts";
import type { TransitionServices } from "./transition.ts";

const PAGE = 100;
const RIGHTS: ReadonlySet<Permission> = new Set(["revoke", "revoke:everywhere"]);

/** Takes out of `trusted/` what revocations everywhere left there that a crash cut short, before anybody is answered (RULES 23). */
export async function finishWithdrawals(services: TransitionServices): Promise<void> {
  let after: readonly (string | number)[] = [];
  for (;;) {
    const pending = await services.metadata.list(under(keys.everywheresPending(), PAGE, after));
    for (const { key } of pending) {
      const digest = digestSchema.parse(key[1]);
      await withdraw(services, digest).catch((error: unknown) => {
        services.log.error({ err: error, digest }, "what is revoked everywhere could not be taken out of trusted/; it will be tried again");
      });
    }
    const last = pending.at(-1);
    if (last === undefined || pending.length < PAGE) return;
    after = last.key.slice(1);
  }
}

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

/**
 * Revokes. One that holds everywhere is in force in every repository when this resolves, also in `trusted/` (RULES 23); their statements
 * follow without anybody waiting, and the job makes good what this leaves undone.
 */
export async function revokeAndFollow(
  services: TransitionServices,
  caller: Caller,
  artifact: FoundArtifact,
  revocation: Revocation,
): Promise<ManifestRecord> {
  const record = await revoke(services, caller, artifact, revocation);
  if (!revocation.everywhere) return record;
  try {
    await withdraw(services, record.digest);
  } finally {
    void finishRevocationsEverywhere(services).catch((error: unknown) => {
      services.log.error({ err: error }, "a revocation everywhere is in force, and its statements are left to the job");
    });
  }
  return record;
}

/** Takes out of `trusted/`, in every repository, what was served by way of a manifest that is revoked everywhere now. */
async function withdraw(services: TransitionServices, digest: Digest): Promise<void> {
  const batches = foldersEverywhere(services, digest);
  await each(batches, (folders) => withdrawFolders(services, folders));
}

async function* foldersEverywhere(services: TransitionServices, digest: Digest): AsyncGenerator<readonly RuntimeFolder[]> {
  let folders: RuntimeFolder[] = [];
  for await (const repository of holdersOf(services, digest)) {
    folders.push(...(await foldersThrough(services, repository, digest)));
    if (folders.length < PAGE) continue;
    yield folders;
    folders = [];
  }
  yield folders;
}

/** The manifest and those below it: a revoked node prunes its branch (RULES 5), and covers have no folder. None where no root reaches it. */
async function foldersThrough(services: TransitionServices, repository: RepositoryName, digest: Digest): Promise<readonly RuntimeFolder[]> {
  if (!(await isReached(services, repository, { kind: "manifest", digest }))) return [];
  const { manifests } = await new ClosureWalk(services, repository, NO_OVERLAY).follow([digest], async () => true);
  return [...manifests.keys()].map((manifest) => ({ repository, manifest }));
}

/** The repositories that hold a manifest. */
async function* holdersOf({ metadata }: TransitionServices, digest: Digest): AsyncGenerator<RepositoryName> {
  let after: readonly string[] = [];
  for (;;) {
    const page = await metadata.list(under(keys.manifestRepositories(digest), PAGE, after));
    for (const { key } of page) {
      const repository = repositoryNameSchema.parse(key[2]);
      yield repository;
      after = [repository];
    }
    if (page.length < PAGE) return;
  }
}

async function revokeInAll(services: TransitionServices, digest: Digest, record: EverywhereRecord): Promise<void> {
  for await (const repository of holdersOf(services, digest)) await revokeIn(services, repository, digest, record);
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
