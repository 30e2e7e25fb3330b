import { setTimeout as sleep } from "node:timers/promises";
import { serve } from "../lifecycle/serving.ts";
import { type Digest, algorithmOf, digestSchema, encodedOf } from "../oci/digest.ts";
import type { Manifest } from "../oci/manifest.ts";
import { type RepositoryName, repositoryNameSchema } from "../oci/reference.ts";
import { keys, under } from "../storage/keys.ts";
import type { Change, Key } from "../storage/metadata-store.ts";
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
/** How often and how long to look whether others are making a folder, in milliseconds. */
const WAIT = 10;
const MAX_WAIT = 5_000;

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
 * Makes the folder of a manifest in `trusted/` what the serving decision says, after a change that recorded it as `pending`. Resolves for
 * a manifest that is not served only when nobody is making its folder any more.
 */
export async function syncRuntimeFolder(services: Needs, repository: RepositoryName, digest: Digest, pending?: string): Promise<void> {
  const isServed = await settle(services, repository, digest);
  if (pending !== undefined) await services.metadata.commit(done(keys.treePending(repository, digest, pending)));
  if (!isServed) await othersFinished(services, repository, digest);
}

function done(row: Key): Change {
  return { expect: [], put: [], remove: [row], audit: [] };
}

/**
 * Its layers while readers are served, else nothing. The decision is asked again after each step until it says what was done, so that
 * whoever comes last, in any process, leaves what is right.
 */
async function settle(services: Needs, repository: RepositoryName, digest: Digest): Promise<boolean> {
  let files = await servedFiles(services, repository, digest);
  for (;;) {
    if (files.length > 0) await services.tree.link(repository, digest, files);
    else await services.tree.unlink(repository, digest);
    const now = await servedFiles(services, repository, digest);
    if (now.length === files.length) return files.length > 0;
    files = now;
  }
}

/**
 * Waits for those who were making the folder when the manifest ceased to be served: each of them finds that out and removes it again.
 * Whoever crashed never does, and a start makes its row good.
 */
async function othersFinished(services: Needs, repository: RepositoryName, digest: Digest): Promise<void> {
  for (let waited = 0; waited < MAX_WAIT; waited += WAIT) {
    const [other] = await services.metadata.list(under(keys.treesPendingOf(repository, digest), 1));
    if (other === undefined) return;
    await sleep(WAIT);
  }
  services.log.warn(
    { repository, digest },
    "a folder of trusted/ is being made, or its maker has crashed: it is put right by that, or at the next start",
  );
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

/** Makes good what a crash left between a commit and its folders, before anybody is served: only what was recorded as pending, never by a walk. */
export async function repairRuntimeTree(services: Needs): Promise<void> {
  for (;;) {
    const pending = await services.metadata.list(under(keys.treesPending(), PAGE));
    for (const { key } of pending) {
      await settle(services, repositoryNameSchema.parse(key[1]), digestSchema.parse(key[2]));
      await services.metadata.commit(done(key));
    }
    if (pending.length < PAGE) return;
  }
}
