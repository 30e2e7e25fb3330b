import { liveRightsOn, mayDeleteOthersUploads } from "../identity/authorize.ts";
import type { Digest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { keys } from "../storage/keys.ts";
import type { Change } from "../storage/metadata-store.ts";
import { type LinkRecord, linkRecord } from "../storage/records.ts";
import { auditEvent } from "./audit-event.ts";
import { type Decided, decideAndCommit } from "./commit.ts";
import { linkKeys } from "./link-blob.ts";
import { REGISTRY_ITSELF } from "./own-blobs.ts";
import type { Caller, Services } from "./ports.ts";
import { belongsToRoot } from "./reach.ts";
import { readerOf, serveBlob } from "./serving.ts";
import { noOtherTransition } from "./transition.ts";

type Needs = Pick<Services, "metadata" | "clock" | "newId">;

/** Takes a blob out of a repository (distribution-spec end-10); its bytes go when no repository holds them. */
export async function deleteBlob(services: Needs, caller: Caller, repository: RepositoryName, digest: Digest): Promise<void> {
  await decideAndCommit(services, () => decide(services, caller, repository, digest));
}

async function decide(services: Needs, caller: Caller, repository: RepositoryName, digest: Digest): Promise<Decided<void>> {
  const { metadata } = services;
  // Read first: no promotion may begin to need the blob between our look at what reaches it and our commit.
  const epoch = await noOtherTransition(services, repository);
  const [link, blob] = [await metadata.get(keys.link(repository, digest)), await metadata.get(keys.blob(digest))];
  await refuse(services, caller, { repository, digest, link: link && linkRecord.parse(link.value) });
  if (link === undefined || blob === undefined) throw new RegistryError("BLOB_UNKNOWN");
  const change: Change = {
    expect: [epoch, { key: link.key, version: link.version }, { key: blob.key, version: blob.version }],
    put: [{ key: keys.blobUse(digest), value: { v: 1, at: services.clock() } }],
    remove: linkKeys(repository, digest),
    audit: [
      auditEvent(services, caller.actor, {
        type: "blob.delete",
        target: { kind: "blob", name: repository, digest },
        before: { by: linkRecord.parse(link.value).by, size: linkRecord.parse(link.value).size },
      }),
    ],
  };
  return { change, result: undefined };
}

interface Target {
  readonly repository: RepositoryName;
  readonly digest: Digest;
  readonly link: LinkRecord | undefined;
}

async function refuse(services: Needs, caller: Caller, { repository, digest, link }: Target): Promise<void> {
  const { principal } = caller;
  // What the caller may not know of is unknown, here as in a read; by its live roles, since a token for DELETE need not cover reads.
  const { serving } = await serveBlob(services, readerOf(liveRightsOn(principal, repository)), repository, digest);
  if (serving.effect === "absent") throw new RegistryError("BLOB_UNKNOWN");
  if (await belongsToRoot(services, repository, { kind: "blob", digest })) {
    const rule = "an artifact that is or was trusted needs this blob, so that nobody may delete it: delete the artifact, with delete:any";
    throw new RegistryError("DENIED", rule);
  }
  if (link?.by === REGISTRY_ITSELF) throw new RegistryError("DENIED", "a statement of the registry needs this blob, and statements stay");
  if (link?.by === principal.name || mayDeleteOthersUploads(principal, repository)) return;
  throw new RegistryError("DENIED", "you may delete only what you pushed; a maintainer of the namespace may delete the rest");
}
