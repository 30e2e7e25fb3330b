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
  const distinct = new Map(contents.map((bytes) => [digestOf(bytes), bytes]));
  // At once, so that they share what the disk does to make them durable.
  const rows = await Promise.all([...distinct].map(([digest, bytes]) => publishOwnBlob(needs, repository, { digest, bytes, by })));
  return { expect: rows.flatMap(({ expect }) => expect), put: rows.flatMap(({ put }) => put) };
}

async function publishOwnBlob(
  needs: Needs,
  repository: RepositoryName,
  { digest, bytes, by }: { readonly digest: Digest; readonly bytes: Uint8Array; readonly by: string },
): Promise<OwnBlobs> {
  const grounds = await blobGrounds(needs, digest);
  const isIntact = grounds.record?.damaged === false;
  const link = await needs.metadata.get(keys.link(repository, digest));
  const linked = { key: keys.link(repository, digest), version: link?.version ?? ("absent" as const) };
  if (isIntact && isHeldFor(by, link)) return { expect: [linked], put: [] };
  if (!isIntact) await needs.blobs.put(digest, bytes);
  const put = linkRows(repository, digest, { size: bytes.byteLength, by, at: needs.clock(), isThere: isIntact });
  return { expect: [linked, ...grounds.expect], put };
}

/** Is there a link that need not change: any, or for the registry itself its own? */
function isHeldFor(by: string, link: Entry | undefined): boolean {
  return link !== undefined && (by !== REGISTRY_ITSELF || linkRecord.parse(link.value).by === REGISTRY_ITSELF);
}
