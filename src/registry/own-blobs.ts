import { type Digest, digestOf } from "../oci/digest.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { keys } from "../storage/keys.ts";
import type { Entry, Expectation, Put } from "../storage/metadata-store.ts";
import { linkRecord } from "../storage/records.ts";
import { bytesRow, isIntact } from "./blob-bytes.ts";
import { orderedFoldersOf } from "./blob-folders.ts";
import { linkRows } from "./link-blob.ts";
import type { Services } from "./ports.ts";
import { type BlobGrounds, blobGrounds } from "./remove-blob.ts";

type Needs = Pick<Services, "metadata" | "blobs" | "clock" | "newId">;

/** Rows and expectations by which a change writes and links blobs of the registry's own. */
export interface OwnBlobs {
  readonly expect: readonly Expectation[];
  readonly put: readonly Put[];
}

/** Who links the registry's own blobs; no identity can have this name. */
export const REGISTRY_ITSELF = "system:registry";

/**
 * Writes small blobs of the registry's own with the change that takes the rows: their bytes are rows, too, in the place of whatever is damaged
 * or lost. A link that somebody else made to the same bytes becomes the registry's own, so that nobody deletes it, unless they are written
 * for somebody (`by`).
 */
export async function publishOwnBlobs(
  needs: Needs,
  repository: RepositoryName,
  contents: readonly Uint8Array[],
  by: string = REGISTRY_ITSELF,
): Promise<OwnBlobs> {
  const distinct = new Map(contents.map((bytes) => [digestOf(bytes), bytes]));
  const rows: OwnBlobs[] = [];
  for (const [digest, bytes] of distinct) rows.push(await publishOwnBlob(needs, repository, { digest, bytes, by }));
  return { expect: rows.flatMap(({ expect }) => expect), put: rows.flatMap(({ put }) => put) };
}

async function publishOwnBlob(
  needs: Needs,
  repository: RepositoryName,
  { digest, bytes, by }: { readonly digest: Digest; readonly bytes: Uint8Array; readonly by: string },
): Promise<OwnBlobs> {
  const grounds = await blobGrounds(needs, digest);
  const isThere = await isIntact(needs, grounds, { digest, size: bytes.byteLength });
  const link = await needs.metadata.get(keys.link(repository, digest));
  const linked = { key: keys.link(repository, digest), version: link?.version ?? ("absent" as const) };
  if (isThere && isHeldFor(by, link)) return { expect: [linked], put: [] };
  const written = isThere ? [] : await contentRows(needs, grounds, digest, bytes);
  const put = [...written, ...linkRows(repository, digest, { size: bytes.byteLength, by, at: needs.clock(), isThere })];
  return { expect: [linked, ...grounds.expect], put };
}

/** The row of the bytes; with the folders of `trusted/` that get them back where they were damaged (RULES 15). */
async function contentRows(needs: Needs, { record }: BlobGrounds, digest: Digest, bytes: Uint8Array): Promise<readonly Put[]> {
  const folders = record?.damaged === true ? await orderedFoldersOf(needs, digest) : [];
  return [bytesRow(digest, bytes), ...folders];
}

/** Is there a link that need not change: any, or for the registry itself its own? */
function isHeldFor(by: string, link: Entry | undefined): boolean {
  return link !== undefined && (by !== REGISTRY_ITSELF || linkRecord.parse(link.value).by === REGISTRY_ITSELF);
}
