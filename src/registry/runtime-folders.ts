import { serve } from "../lifecycle/serving.ts";
import { type Digest, digestSchema } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import type { Manifest } from "../oci/manifest.ts";
import { type RepositoryName, repositoryNameSchema } from "../oci/reference.ts";
import { keys, under } from "../storage/keys.ts";
import type { Change, Entry, Key, Outcome, Put } from "../storage/metadata-store.ts";
import { blobRecord, contentKindSchema, reachRecord, treePendingRecord } from "../storage/records.ts";
import type { RuntimeFile } from "../storage/runtime-tree.ts";
import { loadManifest } from "./closure.ts";
import { each } from "./each.ts";
import { rowsOf } from "./ordered-rows.ts";
import type { Services } from "./ports.ts";
import { isPart } from "./reach-rows.ts";
import { runtimeFiles } from "./runtime-files.ts";
import { findManifest, isPartOfTrusted, manifestFacts } from "./serving.ts";

/**
 * Folders of `trusted/` follow the serving decision; what is only covered has none (RULES 23). Whoever changes one holds a row that says
 * so, from the commit that made it necessary until the folder is right; another process takes the row over only when its holder has ended.
 * A step that comes late, such as the removal of a folder that has just been promoted again, is therefore always made good: by who did it,
 * or by who takes over the row.
 */
type Needs = Pick<Services, "metadata" | "tree" | "clock" | "newId">;

/** A folder of `trusted/`. */
export interface RuntimeFolder {
  readonly repository: RepositoryName;
  readonly manifest: Digest;
}

const PAGE = 100;
/** Each try lost means that the decision has changed again, or that somebody else was changing the folder. */
const MAX_TRIES = 64;
/** How long (ms) until a row is let go once more that could not be, the first time and at most. */
const [FIRST_PAUSE, LAST_PAUSE] = [100, 60_000];
/** Holds the rows of those that failed: anybody may take them over. */
const NOBODY = "";

/** The row by which this process holds a folder; a change takes it along, under an id of its own, and `syncRuntimeFolders` follows. */
export function pendingFolder({ tree, clock }: Pick<Needs, "tree" | "clock">, folder: RuntimeFolder, id: string): Put {
  return { key: rowOf(folder, id), value: { v: 1, at: clock(), process: tree.process } };
}

/** The row by which nobody holds a folder: the job that repairs them makes it right, for a change that is not followed by whoever made it. */
export function orderedFolder({ clock }: Pick<Needs, "clock">, folder: RuntimeFolder, id: string): Put {
  return { key: rowOf(folder, id), value: { v: 1, at: clock(), process: NOBODY } };
}

function rowOf({ repository, manifest }: RuntimeFolder, id: string): Key {
  return keys.treePending(repository, manifest, id);
}

/**
 * Makes folders that are held under an id what the serving decision says, and lets go of each. One that fails keeps no other one: it is left
 * to `repairRuntimeTree`, and the error thrown in the end.
 */
export async function syncRuntimeFolders(services: Needs, folders: Iterable<RuntimeFolder>, id: string): Promise<void> {
  await each(folders, async (folder) => {
    try {
      await settle(services, folder);
      await commit(services, { remove: [rowOf(folder, id)] });
    } catch (error) {
      await letGo(services, rowOf(folder, id), FIRST_PAUSE);
      throw error;
    }
  });
}

/**
 * Leaves a folder to whoever repairs it. The disk that failed may fail here as well: nobody may take over what a living process holds, so
 * that this one goes on trying.
 */
async function letGo(services: Needs, key: Key, pause: number): Promise<void> {
  try {
    await commit(services, { put: [{ key, value: { v: 1, at: services.clock(), process: NOBODY } }] });
  } catch {
    setTimeout(() => void letGo(services, key, Math.min(2 * pause, LAST_PAUSE)), pause).unref();
  }
}

/** The same when no change holds the folder, for whoever finds nothing to change: the one who did may have crashed before the folder followed. */
export async function syncIfPending(services: Needs, folder: RuntimeFolder): Promise<void> {
  if (await isHeld(services, folder)) await holdAndSync(services, [folder]);
}

/** Is somebody changing a folder, or is it ordered that somebody does? */
export async function isHeld({ metadata }: Pick<Needs, "metadata">, { repository, manifest }: RuntimeFolder): Promise<boolean> {
  return (await metadata.list(under(keys.treesPendingOf(repository, manifest), 1))).length > 0;
}

/** Removes those of the folders that are not served any more, because of a change which does not hold them. */
export async function withdrawFolders(services: Needs, folders: readonly RuntimeFolder[]): Promise<void> {
  const unserved: RuntimeFolder[] = [];
  for (const folder of folders) if ((await servedFiles(services, folder)).length === 0) unserved.push(folder);
  if (unserved.length > 0) await holdAndSync(services, unserved);
}

/** Makes a folder anew in which something is wrong. That is gone first: the disk may have no room for what is right. */
export async function remakeFolder(services: Needs, folder: RuntimeFolder): Promise<void> {
  const id = await hold(services, [folder]);
  try {
    await services.tree.unlink(folder.repository, folder.manifest);
  } finally {
    await syncRuntimeFolders(services, [folder], id);
  }
}

async function holdAndSync(services: Needs, folders: readonly RuntimeFolder[]): Promise<void> {
  await syncRuntimeFolders(services, folders, await hold(services, folders));
}

async function hold(services: Needs, folders: readonly RuntimeFolder[]): Promise<string> {
  const id = services.newId();
  await commit(services, { put: folders.map((folder) => pendingFolder(services, folder, id)) });
  return id;
}

/** The folders that what is trusted may have: each once, whatever is served of them now. */
export async function* reachedFolders(services: Pick<Needs, "metadata">): AsyncGenerator<RuntimeFolder, void, undefined> {
  let last = "";
  for await (const { key, value } of rowsOf(services, [under(keys.allReaches(), PAGE)])) {
    const [, repository, kind, digest] = key;
    const name = `${repository}@${digest}`;
    if (contentKindSchema.parse(kind) !== "manifest" || name === last) continue;
    if (!isPart(reachRecord.parse(value))) continue;
    last = name;
    yield { repository: repositoryNameSchema.parse(repository), manifest: digestSchema.parse(digest) };
  }
}

/** Its layers while readers are served it as a part of a trusted root, else nothing; asked again until what was done is what the decision says. */
async function settle({ tree, ...services }: Needs, folder: RuntimeFolder): Promise<void> {
  const { repository, manifest } = folder;
  for (let tries = 0; tries < MAX_TRIES; tries += 1) {
    const files = await servedFiles(services, folder);
    // A manifest never changes: it is all of its files or none.
    const isSo = async (): Promise<boolean> => (await servedFiles(services, folder)).length === files.length;
    if (files.length > 0) {
      if (await tree.link(repository, manifest, files, isSo)) return;
    } else {
      await tree.unlink(repository, manifest);
      if (await isSo()) return;
    }
  }
  throw new RegistryError("UNAVAILABLE", "too many others change the same artifact; try again", { headers: { "Retry-After": "1" } });
}

/** The files that a folder holds by the serving decision of now; none when there is to be no folder. */
export async function servedFiles(services: Pick<Needs, "metadata">, folder: RuntimeFolder): Promise<readonly RuntimeFile[]> {
  const manifest = await servedManifest(services, folder);
  const { files } = manifest === undefined ? { files: [] } : runtimeFiles(manifest);
  for (const { blob } of files) {
    const entry = await services.metadata.get(keys.blob(blob));
    if (entry === undefined || blobRecord.parse(entry.value).damaged) return [];
  }
  return files;
}

async function servedManifest(services: Pick<Needs, "metadata">, { repository, manifest }: RuntimeFolder): Promise<Manifest | undefined> {
  const found = await findManifest(services, repository, manifest);
  if (found === undefined || found.record.statement) return undefined;
  const facts = await manifestFacts(services, repository, found.record);
  const serving = serve({ pull: true, pullAny: false, forensic: false }, facts);
  const isShown = serving.effect === "allow" && (await isPartOfTrusted(services, repository, found.record.digest));
  return isShown ? loadManifest(services, repository, found.record) : undefined;
}

type Repairing = Needs & Pick<Services, "log">;

/**
 * Makes good what processes that have ended, or failed, left between a commit and its folders: only what was recorded as pending, never by
 * a walk. What living processes hold is left to them. A folder that cannot be brought in line keeps no other one, and no start.
 */
export async function repairRuntimeTree(services: Repairing): Promise<void> {
  let after: readonly (string | number)[] = [];
  for (;;) {
    const page = await services.metadata.list(under(keys.treesPending(), PAGE, after));
    for (const row of page) {
      const folder = { repository: repositoryNameSchema.parse(row.key[1]), manifest: digestSchema.parse(row.key[2]) };
      await repair(services, row, folder).catch((error: unknown) => {
        services.log.error({ err: error, ...folder }, "a folder of trusted/ could not be brought in line; it will be tried again");
      });
    }
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE) return;
    after = last.key.slice(1);
  }
}

async function repair(services: Needs, { key, value, version }: Entry, folder: RuntimeFolder): Promise<void> {
  const { process } = treePendingRecord.parse(value);
  if (process !== NOBODY && !(await services.tree.hasEnded(process))) return;
  const id = String(key[3]);
  // Of several that take it over at once one does.
  const taken = await commit(services, { expect: [{ key, version }], put: [pendingFolder(services, folder, id)] });
  if (taken === "committed") await syncRuntimeFolders(services, [folder], id);
}

/** The rows are operational: they come and go without an audit event. */
async function commit({ metadata }: Pick<Needs, "metadata">, change: Partial<Change>): Promise<Outcome> {
  return metadata.commit({ expect: [], put: [], remove: [], audit: [], ...change });
}
