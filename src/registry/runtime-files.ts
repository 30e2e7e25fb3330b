import { serve } from "../lifecycle/serving.ts";
import { type Digest, algorithmOf, digestSchema, encodedOf } from "../oci/digest.ts";
import type { Manifest } from "../oci/manifest.ts";
import { type RepositoryName, repositoryNameSchema } from "../oci/reference.ts";
import { keys, under } from "../storage/keys.ts";
import type { Key } from "../storage/metadata-store.ts";
import { blobRecord } from "../storage/records.ts";
import type { RuntimeFile } from "../storage/runtime-tree.ts";
import { loadManifest } from "./closure.ts";
import type { Services } from "./ports.ts";
import { findManifest, manifestFacts } from "./serving.ts";

type Needs = Pick<Services, "metadata" | "tree" | "log">;

const TITLES = ["org.opencontainers.image.title", "org.cncf.model.filepath"] as const;
const MAX_PATH = 1024;
const MAX_COMPONENT = 255;
const PAGE = 100;

/** The files of one manifest in `trusted/` (RULES 23), or the name that two different layers share. */
export function runtimeFiles(manifest: Manifest): { readonly files: readonly RuntimeFile[]; readonly clash: string | undefined } {
  const byPath = new Map<string, Digest>();
  const folders = new Set<string>();
  let clash: string | undefined;
  for (const { digest, annotations } of manifest.layers) {
    const title = TITLES.map((name) => annotations?.[name]).find((text) => text !== undefined && isRuntimePath(text));
    const path = title ?? `${algorithmOf(digest)}-${encodedOf(digest)}`;
    if ((byPath.get(path) ?? digest) !== digest) clash ??= path;
    byPath.set(path, digest);
    for (let slash = path.indexOf("/"); slash > 0; slash = path.indexOf("/", slash + 1)) folders.add(path.slice(0, slash));
  }
  clash ??= [...byPath.keys()].find((path) => folders.has(path));
  return { files: [...byPath].map(([path, blob]) => ({ path, blob })), clash };
}

/** Strict rules for a relative path that an artifact brings: plain visible characters, no way out, nothing hidden. */
function isRuntimePath(text: string): boolean {
  if (text.length > MAX_PATH) return false;
  return text
    .split("/")
    .every((component) => component.length <= MAX_COMPONENT && /^[A-Za-z0-9_][\w .+@=,()-]*$/.test(component) && !/[ .]$/.test(component));
}

/**
 * Makes the folder of a manifest in `trusted/` what the serving decision says: its layers while readers are served, else nothing. The
 * decision is asked again after linking: a revocation that came in between has removed the folder before it was made. `pending` names the
 * row by which a start finds what a crash left undone.
 */
export async function syncRuntimeFolder(services: Needs, repository: RepositoryName, digest: Digest, pending: string): Promise<void> {
  const files = await servedFiles(services, repository, digest);
  if (files.length > 0) await services.tree.link(repository, digest, files);
  if (files.length === 0 || (await servedFiles(services, repository, digest)).length === 0) await services.tree.unlink(repository, digest);
  await services.metadata.commit({ expect: [], put: [], remove: [keys.treePending(repository, digest, pending)], audit: [] });
}

async function servedFiles(services: Needs, repository: RepositoryName, digest: Digest): Promise<readonly RuntimeFile[]> {
  const manifest = await servedManifest(services, repository, digest);
  const { files } = manifest === undefined ? { files: [] } : runtimeFiles(manifest);
  return (await allIntact(services, files)) ? files : [];
}

async function servedManifest(services: Needs, repository: RepositoryName, digest: Digest): Promise<Manifest | undefined> {
  const found = await findManifest(services, repository, digest);
  if (found === undefined || found.record.statement) return undefined;
  const facts = await manifestFacts(services, repository, found.record);
  const serving = serve({ pull: true, pullAny: false, forensic: false }, facts);
  return serving.effect === "allow" ? loadManifest(services, repository, found.record) : undefined;
}

async function allIntact({ metadata }: Needs, files: readonly RuntimeFile[]): Promise<boolean> {
  for (const { blob } of files) {
    const entry = await metadata.get(keys.blob(blob));
    if (entry === undefined || blobRecord.parse(entry.value).damaged) return false;
  }
  return true;
}

/** Makes good what a crash left between a commit and its folders: only what was recorded as pending, never by a walk. */
export async function repairRuntimeTree(services: Needs, pendingOf: Key = keys.treesPending()): Promise<void> {
  for (;;) {
    const pending = await services.metadata.list(under(pendingOf, PAGE));
    for (const { key } of pending) {
      await syncRuntimeFolder(services, repositoryNameSchema.parse(key[1]), digestSchema.parse(key[2]), String(key[3]));
    }
    if (pending.length < PAGE) return;
  }
}
