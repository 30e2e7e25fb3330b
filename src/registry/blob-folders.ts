import { type Digest, digestSchema } from "../oci/digest.ts";
import { repositoryNameSchema } from "../oci/reference.ts";
import { keys, under } from "../storage/keys.ts";
import type { Put } from "../storage/metadata-store.ts";
import { rowsOf } from "./ordered-rows.ts";
import type { Services } from "./ports.ts";
import { isReached } from "./reach-rows.ts";
import { type RuntimeFolder, orderedFolder, pendingFolder, syncRuntimeFolders } from "./runtime-folders.ts";

/** The folders of `trusted/` that a blob may be in. A change of its damage takes `put` along, and `syncFolders` follows it. */
export interface BlobFolders {
  readonly folders: readonly RuntimeFolder[];
  /** The rows by which a start finds what a crash left undone. */
  readonly put: readonly Put[];
  readonly pending: string;
}

/** No layer of trusted models is in more; only small blobs that all artifacts share could be, and those are no files of `trusted/`. */
const MAX_FOLDERS = 10_000;
const PAGE = 256;

/** Finds the manifests that name a blob, in every repository that holds it. */
export async function foldersOf(services: Pick<Services, "metadata" | "tree" | "clock" | "newId">, digest: Digest): Promise<BlobFolders> {
  const folders = await foldersWith(services, digest);
  const pending = services.newId();
  return { folders, put: folders.map((folder) => pendingFolder(services, folder, pending)), pending };
}

/** The rows that order the folders of a blob, for a change after which nobody follows them at once. */
export async function orderedFoldersOf(services: Pick<Services, "metadata" | "clock" | "newId">, digest: Digest): Promise<readonly Put[]> {
  const id = services.newId();
  return (await foldersWith(services, digest)).map((folder) => orderedFolder(services, folder, id));
}

/** Those of what trusted roots reach first: others have no folder yet, and publishers may have pushed any number of them. */
async function foldersWith(services: Pick<Services, "metadata">, digest: Digest): Promise<readonly RuntimeFolder[]> {
  const [reached, others]: [RuntimeFolder[], RuntimeFolder[]] = [[], []];
  for await (const { key } of rowsOf(services, [under(keys.blobRepositories(digest), PAGE)])) {
    const repository = repositoryNameSchema.parse(key[2]);
    for await (const edge of rowsOf(services, [under(keys.edges(repository, { kind: "blob", digest }), PAGE)])) {
      const manifest = digestSchema.parse(edge.key.at(-1));
      const some = (await isReached(services, repository, { kind: "manifest", digest: manifest })) ? reached : others;
      if (some.length < MAX_FOLDERS) some.push({ repository, manifest });
    }
  }
  return [...reached, ...others].slice(0, MAX_FOLDERS);
}

/** Makes the folders what the serving decision and the damage say now. */
export async function syncFolders(
  services: Pick<Services, "metadata" | "tree" | "clock" | "newId">,
  { folders, pending }: BlobFolders,
): Promise<void> {
  await syncRuntimeFolders(services, folders, pending);
}
