import type { Digest } from "../oci/digest.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { keys } from "../storage/keys.ts";
import type { Change, Put } from "../storage/metadata-store.ts";
import { type BlobRecord, blobRecord } from "../storage/records.ts";
import { type Said, auditEvent } from "./audit-event.ts";
import type { Caller, Services } from "./ports.ts";
import { finishRemoval } from "./remove-blob.ts";
import { ensureRepository } from "./repository.ts";

export interface FoundBlob {
  readonly record: BlobRecord;
  readonly version: number;
}

/** The record of a blob that is there; a removal that is under way is finished first, and the blob is then absent. */
export async function findBlob(
  services: Pick<Services, "metadata" | "blobs" | "clock" | "newId">,
  digest: Digest,
): Promise<FoundBlob | undefined> {
  const entry = await services.metadata.get(keys.blob(digest));
  if (entry === undefined) return undefined;
  const record = blobRecord.parse(entry.value);
  if (record.status === "present") return { record, version: entry.version };
  await finishRemoval(services, digest);
  return undefined;
}

/** A blob that a repository is about to hold, and what the audit says of it. */
export interface NewLink {
  readonly repository: RepositoryName;
  readonly digest: Digest;
  readonly size: number;
  /** The blob's record as the decision found it. */
  readonly found: FoundBlob | undefined;
  readonly type: "blob.push" | "blob.mount";
  readonly after: NonNullable<Said["after"]>;
}

/** The change that links an intact blob to a repository which has no link to it, and makes the repository if need be. */
export async function linkChange(
  services: Pick<Services, "metadata" | "clock" | "newId">,
  caller: Caller,
  { repository, digest, size, found, type, after }: NewLink,
): Promise<Change> {
  const existence = await ensureRepository(services, repository);
  return {
    expect: [
      ...existence.expect,
      { key: keys.blob(digest), version: found?.version ?? "absent" },
      { key: keys.link(repository, digest), version: "absent" },
    ],
    put: [...existence.put, ...linkRows(repository, digest, { size, by: caller.principal.name, at: services.clock() })],
    remove: [],
    audit: [auditEvent(services, caller.actor, { type, target: { kind: "blob", name: repository, digest }, after: { size, ...after } })],
  };
}

/** The rows that link an intact, present blob to a repository. */
export function linkRows(
  repository: RepositoryName,
  digest: Digest,
  { size, by, at }: { readonly size: number; readonly by: string; readonly at: number },
): readonly Put[] {
  return [
    { key: keys.link(repository, digest), value: { v: 1, size, by, at } },
    { key: keys.blobRepository(digest, repository), value: {} },
    { key: keys.blob(digest), value: { v: 1, size, status: "present", damaged: false, touchedAt: at } },
  ];
}
