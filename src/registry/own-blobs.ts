import { type Digest, digestOf } from "../oci/digest.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { keys } from "../storage/keys.ts";
import type { Entry, Expectation, Put } from "../storage/metadata-store.ts";
import { linkRecord } from "../storage/records.ts";
import { linkRows } from "./link-blob.ts";
import type { Services } from "./ports.ts";
import { blobGrounds } from "./remove-blob.ts";

type Needs = Pick<Services, "metadata" | "blobs" | "clock" | "newId">;

/** Rows and expectations by which a change links blobs that the registry itself wrote. */
export interface OwnBlobs {
  readonly expect: readonly Expectation[];
  readonly put: readonly Put[];
}

/** Who links the registry's own blobs; no identity can have this name. */
export const REGISTRY_ITSELF = "system:registry";

/**
 * Publishes small blobs that the registry itself writes; they become visible with the change that takes the rows. A link that somebody
 * else made to the same bytes becomes the registry's own, so that nobody deletes it, unless they are written for somebody (`by`).
 */
export async function publishOwnBlobs(
  needs: Needs,
  repository: RepositoryName,
  contents: readonly Uint8Array[],
  by: string = REGISTRY_ITSELF,
): Promise<OwnBlobs> {
  const expect: Expectation[] = [];
  const put: Put[] = [];
  const distinct = new Map(contents.map((bytes) => [digestOf(bytes), bytes]));
  for (const [digest, bytes] of distinct) {
    const grounds = await blobGrounds(needs, digest);
    const isIntact = grounds.record?.damaged === false;
    const link = await needs.metadata.get(keys.link(repository, digest));
    expect.push({ key: keys.link(repository, digest), version: link?.version ?? "absent" });
    if (isIntact && isHeldFor(by, link)) continue;
    if (!isIntact) await publish(needs, digest, { bytes, replace: grounds.record !== undefined });
    expect.push(...grounds.expect);
    put.push(...linkRows(repository, digest, { size: bytes.byteLength, by, at: needs.clock(), isThere: isIntact }));
  }
  return { expect, put };
}

/** Is there a link that need not change: any, or for the registry itself its own? */
function isHeldFor(by: string, link: Entry | undefined): boolean {
  return link !== undefined && (by !== REGISTRY_ITSELF || linkRecord.parse(link.value).by === REGISTRY_ITSELF);
}

async function publish(
  needs: Needs,
  digest: Digest,
  { bytes, replace }: { readonly bytes: Uint8Array; readonly replace: boolean },
): Promise<void> {
  const upload = `own.${needs.newId()}`;
  await needs.blobs.stage(upload);
  await needs.blobs.append(upload, oneChunk(bytes), 0);
  await needs.blobs.publish(upload, digest, { replace });
  await needs.blobs.discard(upload);
}

async function* oneChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
