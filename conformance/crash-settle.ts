import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { repositoryNameSchema } from "../src/oci/reference.ts";
import { isAlive } from "../src/storage/claim.ts";
import { keys, under } from "../src/storage/keys.ts";
import { openLmdb } from "../src/storage/lmdb.ts";
import type { MetadataStore } from "../src/storage/metadata-store.ts";
import { faultsOf } from "../test/support/invariants.ts";
import { blobRows } from "./blob-rows.ts";
import { filesBelow } from "./crash-check.ts";
import type { RepositoryTruth } from "./crash-truth.ts";

/** Nothing is spared by these: what nobody needs goes with the next run of each job. */
export const SPARING_NOTHING = { REGISTRY_GC_INTERVAL: "1s", REGISTRY_GC_GRACE: "1s", REGISTRY_UPLOAD_EXPIRY: "1s" } as const;

const LIMIT_MS = 120_000;
/** It waits for so long before it looks again, or for so many times as long as a look took, so that waiting costs little. */
const [POLL_MS, POLL_FACTOR] = [250, 10];
const ALL = 1_000_000;
const SPARE = "+folder.";
/** What belongs to the data directory by itself. */
const OWN =
  /^(?:credentials\/(?:operator|publisher|runtime|service-token|attestation-key-[0-9a-f]{32}\.pem)|metadata\/(?:data\.mdb|lock\.mdb|secret|in-use\.[0-9a-f]{16})|blobs\/removal\/removal(?:\..+)?|uploads\/\+folder\.[^/]+\/unused|integrity-last\.json)$/;

/**
 * Waits until the running registry, which spares nothing, has removed everything that nobody needs, and throws when something outlives that;
 * then has the rows of every repository computed anew.
 */
export async function settle(truths: readonly RepositoryTruth[], root: string): Promise<void> {
  const metadata = await openLmdb(join(root, "metadata"));
  try {
    await untilNone(() => orphans(metadata, root));
    for (const { name } of truths) {
      const faults = await faultsOf(metadata, repositoryNameSchema.parse(name), root);
      if (faults.length > 0) throw new Error(`the rows of ${name} are wrong:\n${faults.join("\n")}`);
    }
  } finally {
    await metadata.close();
  }
}

async function untilNone(find: () => Promise<readonly string[]>): Promise<void> {
  const deadline = performance.now() + LIMIT_MS;
  for (;;) {
    const began = performance.now();
    const left = await find();
    if (left.length === 0) return;
    if (performance.now() > deadline) throw new Error(`these outlive collections:\n${left.slice(0, 50).join("\n")}`);
    await sleep(Math.max(POLL_MS, POLL_FACTOR * (performance.now() - began)));
  }
}

/** What is on disk without being needed, or is noted without being there. */
async function orphans(metadata: MetadataStore, root: string): Promise<readonly string[]> {
  const links = await metadata.list(under(["link"], ALL));
  const linked = new Set(links.map(({ key }) => String(key[2])));
  const needed = await neededBlobs(metadata);
  const records = new Set((await metadata.list(under(keys.blobs(), ALL))).map(({ key }) => String(key[1])));
  const files = await filesBelow(root);
  const blobs = new Set(files.filter((file) => /^blobs\/sha(?:256|512)\//.test(file)).map(digestAt));
  const rows = await blobRows(metadata);
  const pending = [...(await metadata.list(under(keys.treesPending(), ALL))), ...(await metadata.list(under(["model-file-removal"], ALL)))];
  return [
    ...files.filter((file) => !/^(?:blobs\/sha(?:256|512)|trusted)\//.test(file) && !OWN.test(file)),
    ...(await emptyFolders(root)),
    ...(await keptByTheDead(root)),
    ...[...blobs].filter((digest) => !records.has(digest)).map((digest) => `the file of ${digest}, which has no record`),
    ...[...rows.keys()].filter((digest) => !records.has(digest)).map((digest) => `the bytes of ${digest}, which have no record`),
    ...[...rows].filter(([, isRight]) => !isRight).map(([digest]) => `the row of ${digest}, which holds other bytes`),
    ...[...records]
      .filter((digest) => !blobs.has(digest) && !rows.has(digest))
      .map((digest) => `the record of ${digest}, which has no bytes`),
    ...[...records].filter((digest) => !linked.has(digest)).map((digest) => `the record of ${digest}, which nobody links`),
    ...links
      .map(({ key }) => `${String(key[1])} ${String(key[2])}`)
      .filter((link) => !needed.has(link))
      .map((link) => `the link ${link}`),
    ...pending.map(({ key }) => `the row ${key.join(" ")}`),
  ];
}

/** Blobs that manifests name, as `<repository> <digest>`. */
async function neededBlobs(metadata: MetadataStore): Promise<ReadonlySet<string>> {
  const edges = [...(await metadata.list(under(["edge"], ALL))), ...(await metadata.list(under(["dead-edge"], ALL)))];
  return new Set(edges.filter(({ key }) => key[2] === "blob").map(({ key }) => `${String(key[1])} ${String(key[3])}`));
}

function digestAt(file: string): string {
  const [, algorithm, , encoded] = file.split("/");
  return `${algorithm}:${encoded}`;
}

/** Folders of `uploads` and `trusted` with nothing in them, but those that a process keeps for its next uploads. */
async function emptyFolders(root: string): Promise<readonly string[]> {
  const found = await Promise.all(["uploads", "trusted"].map(async (top) => emptyBelow(root, top)));
  return found.flat();
}

/** Folders for uploads to come of a process that has ended. */
async function keptByTheDead(root: string): Promise<readonly string[]> {
  const kept = (await readdir(join(root, "uploads"))).filter((name) => name.startsWith(SPARE));
  const alive = await Promise.all(kept.map((name) => isAlive(name.slice(SPARE.length))));
  return kept.filter((_, index) => alive[index] !== true).map((name) => `the folder ${name} of a process that has ended`);
}

async function emptyBelow(root: string, folder: string): Promise<readonly string[]> {
  const entries = await readdir(join(root, folder), { withFileTypes: true }).catch(() => undefined);
  if (entries?.length === 0 && folder.includes("/") && !folder.startsWith("uploads/+folder.")) return [`the empty folder ${folder}`];
  const folders = (entries ?? []).filter((entry) => entry.isDirectory());
  return (await Promise.all(folders.map(async ({ name }) => emptyBelow(root, join(folder, name))))).flat();
}
