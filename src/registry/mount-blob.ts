import type { Serving } from "../lifecycle/serving.ts";
import type { Digest } from "../oci/digest.ts";
import { type RepositoryName, isRepositoryName } from "../oci/reference.ts";
import { keys } from "../storage/keys.ts";
import { type Decided, decideAndCommit } from "./commit.ts";
import { linkChange } from "./link-blob.ts";
import { renewLink } from "./link-use.ts";
import type { Caller, Services } from "./ports.ts";
import { readableRepository, servingTo } from "./readable-repository.ts";
import { blobGrounds } from "./remove-blob.ts";

type Needs = Pick<Services, "metadata" | "blobs" | "clock" | "newId" | "settings">;

/** A blob that a client wants in a repository without sending its bytes. */
export interface Mount {
  readonly repository: RepositoryName;
  readonly digest: Digest;
  /** The repository that has it; undefined for any that the caller may read. */
  readonly from: string | undefined;
}

/**
 * Links a blob that the caller may read elsewhere (distribution-spec end-11). False for whatever cannot be mounted, for all reasons
 * alike: the client then uploads the bytes, and learns nothing about what exists.
 */
export async function mountBlob(services: Needs, caller: Caller, mount: Mount): Promise<boolean> {
  return decideAndCommit(services, () => decide(services, caller, mount));
}

async function decide(services: Needs, caller: Caller, mount: Mount): Promise<Decided<boolean>> {
  const { repository, digest } = mount;
  if (await mayRead(services, caller, repository, digest)) {
    const renewed = await renewLink(services, repository, digest);
    if (renewed.result) return renewed;
  }
  const source = await sourceOf(services, caller, mount);
  const grounds = source && (await blobGrounds(services, digest));
  if (source === undefined || grounds?.record === undefined || grounds.record.damaged) return { result: false };
  // Linked here, and yet not readable for the caller: only its bytes prove that it has them.
  if ((await services.metadata.get(keys.link(repository, digest))) !== undefined) return { result: false };
  const { size } = grounds.record;
  return {
    change: await linkChange(services, caller, {
      repository,
      digest,
      size,
      grounds,
      isThere: true,
      type: "blob.mount",
      after: { from: source },
    }),
    result: true,
  };
}

async function sourceOf(services: Needs, caller: Caller, { digest, from }: Mount): Promise<RepositoryName | undefined> {
  if (from === undefined) return readableRepository(services, caller, digest, isNotHeld);
  return isRepositoryName(from) && (await mayRead(services, caller, from, digest)) ? from : undefined;
}

async function mayRead(services: Needs, caller: Caller, repository: RepositoryName, digest: Digest): Promise<boolean> {
  return isNotHeld(await servingTo(services, caller, repository, digest));
}

/** What is held back is not mounted. */
function isNotHeld(serving: Serving): boolean {
  return serving.effect === "allow" && serving.held === undefined;
}
