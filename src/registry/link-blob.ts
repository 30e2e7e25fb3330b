import type { Digest } from "../oci/digest.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { keys } from "../storage/keys.ts";
import type { Change, Key, Put } from "../storage/metadata-store.ts";
import { type Said, auditEvent } from "./audit-event.ts";
import type { Caller, Services } from "./ports.ts";
import type { BlobGrounds } from "./remove-blob.ts";
import { ensureRepository } from "./repository.ts";

/** A blob that a repository is about to hold, and what the audit says of it. */
export interface NewLink {
  readonly repository: RepositoryName;
  readonly digest: Digest;
  readonly size: number;
  /** What the decision found of the blob, before its bytes were published. */
  readonly grounds: BlobGrounds;
  /** Is the blob there, with a record that says so: has it not been published just now? */
  readonly isThere: boolean;
  readonly type: "blob.push" | "blob.mount";
  readonly after: NonNullable<Said["after"]>;
}

/** The change that links an intact blob to a repository which has no link to it, and makes the repository if need be. */
export async function linkChange(
  services: Pick<Services, "metadata" | "clock" | "newId">,
  caller: Caller,
  { repository, digest, size, grounds, isThere, type, after }: NewLink,
): Promise<Change> {
  const existence = await ensureRepository(services, repository);
  return {
    expect: [...existence.expect, ...grounds.expect, { key: keys.link(repository, digest), version: "absent" }],
    put: [...existence.put, ...linkRows(repository, digest, { size, by: caller.principal.name, at: services.clock(), isThere })],
    remove: [],
    audit: [auditEvent(services, caller.actor, { type, target: { kind: "blob", name: repository, digest }, after: { size, ...after } })],
  };
}

/**
 * The rows that link an intact, present blob to a repository. A blob that is there keeps its record, which the change expects, so that
 * links which many repositories make to it at once do not conflict; that it is used shows in a row of its own.
 */
export function linkRows(
  repository: RepositoryName,
  digest: Digest,
  { size, by, at, isThere }: { readonly size: number; readonly by: string; readonly at: number; readonly isThere: boolean },
): readonly Put[] {
  return [
    { key: keys.link(repository, digest), value: { v: 1, size, by, at } },
    { key: keys.blobRepository(digest, repository), value: {} },
    isThere
      ? { key: keys.blobUse(digest), value: { v: 1, at } }
      : { key: keys.blob(digest), value: { v: 1, size, status: "present", damaged: false, touchedAt: at } },
  ];
}

/** What goes with a repository's link to a blob. */
export function linkKeys(repository: RepositoryName, digest: Digest): readonly Key[] {
  return [keys.link(repository, digest), keys.linkUse(repository, digest), keys.blobRepository(digest, repository)];
}
