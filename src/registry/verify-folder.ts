import { keys } from "../storage/keys.ts";
import { blobRecord } from "../storage/records.ts";
import type { RuntimeFile, RuntimeTree } from "../storage/runtime-tree.ts";
import { type RuntimeFolder, isHeld, remakeFolder, servedFiles } from "./runtime-folders.ts";
import type { VerifyServices } from "./verify-blob.ts";
import { readBytes } from "./verify-bytes.ts";
import { type Joining, type Terms, WorkOver } from "./verify-sharing.ts";

/** A folder that is being made anew is not there for a moment; the next look finds it. */
const LOOKS = 2;

/** One process checks so many at once. */
const UNDER_WAY = new WorkOver<RuntimeTree, string, void>(4);

/**
 * Checks the files that a folder of `trusted/` has to hold now. Links to files of blobs are not read, since those are the blobs' own bytes;
 * files of their own are. A folder in which one is wrong or missing is told of and made anew. That is no damage of the blob, of which all
 * other readers get the right bytes; and what fails here says as little of it, so that it is told and given up.
 */
export async function verifyFolder(services: VerifyServices, folder: RuntimeFolder, joining: Joining): Promise<void> {
  const { shared, slots } = UNDER_WAY.of(services.tree);
  const name = `${folder.repository}@${folder.manifest}`;
  await shared.join(name, joining, (terms) => slots.run(() => verify(services, folder, terms), terms.signal));
}

async function verify(services: VerifyServices, folder: RuntimeFolder, terms: Terms): Promise<void> {
  const { log } = services;
  try {
    const wrong = await wrongFile(services, folder, terms);
    if (wrong === undefined) return;
    log.error({ ...folder, path: wrong.path, digest: wrong.blob }, "a file of trusted/ is wrong or missing; its folder is made anew");
    await remakeFolder(services, folder);
  } catch (error) {
    terms.signal.throwIfAborted();
    log.error({ err: error, ...folder }, "a folder of trusted/ could not be checked or made anew");
  }
}

/** The first of them, unless somebody changes the folder, who makes it right. */
async function wrongFile(services: VerifyServices, folder: RuntimeFolder, terms: Terms): Promise<RuntimeFile | undefined> {
  let wrong: RuntimeFile | undefined;
  for (let looks = 0; looks < LOOKS; looks += 1) {
    wrong = await firstWrong(services, folder, terms);
    if (wrong === undefined || (await isHeld(services, folder))) return undefined;
  }
  return wrong;
}

async function firstWrong(services: VerifyServices, folder: RuntimeFolder, terms: Terms): Promise<RuntimeFile | undefined> {
  for (const file of await servedFiles(services, folder)) {
    terms.signal.throwIfAborted();
    if (await isWrong(services, folder, { file, terms })) return file;
  }
  return undefined;
}

interface Asked {
  readonly file: RuntimeFile;
  readonly terms: Terms;
}

async function isWrong(
  { metadata, tree, log }: VerifyServices,
  { repository, manifest }: RuntimeFolder,
  { file, terms }: Asked,
): Promise<boolean> {
  const entry = await metadata.get(keys.blob(file.blob));
  if (entry === undefined) return false;
  const state = await tree.look(repository, manifest, file, blobRecord.parse(entry.value).size);
  if (typeof state === "string") return state === "wrong";
  const of = `trusted/${repository}@${manifest}/${file.path}`;
  const found = await readBytes({ log, open: state.open, of }, file.blob, terms);
  // What the disk cannot read now may be right.
  return found.found === "nothing" || (found.found === "bytes" && found.actual !== file.blob);
}
