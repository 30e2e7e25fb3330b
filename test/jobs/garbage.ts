import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AuditEvent } from "../../src/audit/event.ts";
import { collectGarbage } from "../../src/jobs/collect-garbage.ts";
import { createLogger } from "../../src/log.ts";
import { type Digest, digestOf, digestSchema } from "../../src/oci/digest.ts";
import { type RepositoryName, repositoryNameSchema } from "../../src/oci/reference.ts";
import { bytesRow, isIntact } from "../../src/registry/blob-bytes.ts";
import { decideAndCommit } from "../../src/registry/commit.ts";
import { linkKeys, linkRows } from "../../src/registry/link-blob.ts";
import { publishOwnBlobs } from "../../src/registry/own-blobs.ts";
import { renewLink } from "../../src/registry/link-use.ts";
import type { Services } from "../../src/registry/ports.ts";
import { type FoundBlob, blobGrounds } from "../../src/registry/remove-blob.ts";
import { openBlobs } from "../../src/storage/blob-rows.ts";
import { keys, under } from "../../src/storage/keys.ts";
import type { Put } from "../../src/storage/metadata-store.ts";
import { openLmdb } from "../../src/storage/lmdb.ts";
import { blobRecord } from "../../src/storage/records.ts";
import { v7 } from "../support/uuid.ts";
import { NO_QUOTA } from "../support/limits.ts";

export const HOUR = 60 * 60 * 1000;

/** What collections and pushes need. */
export type Stores = Pick<Services, "metadata" | "blobs" | "clock" | "newId" | "log" | "settings">;

export interface World extends AsyncDisposable {
  readonly directory: string;
  readonly stores: Stores;
  /** Milliseconds that the clock of the stores is ahead of the machine's. */
  ahead: number;
}

/** Real stores in a folder of their own, or in a given one, which is left as it is at the end. */
export async function openWorld(given?: string): Promise<World> {
  const directory = given ?? (await mkdtemp(join(tmpdir(), "amr-garbage-")));
  const metadata = await openLmdb(join(directory, "metadata"));
  const world = {
    directory,
    ahead: 0,
    stores: {
      metadata,
      blobs: await openBlobs(directory, metadata),
      clock: () => Date.now() + world.ahead,
      newId: v7,
      log: createLogger("silent"),
      settings: {
        publicUrl: "http://127.0.0.1",
        duties: "standard",
        collectGrace: HOUR,
        snapshotLifetime: 86_400_000,
        quota: NO_QUOTA,
        promotionPolicy: "closure",
      } as const,
    },
    [Symbol.asyncDispose]: async () => {
      await metadata.close();
      if (given === undefined) await rm(directory, { recursive: true, force: true });
    },
  };
  return world;
}

export function repository(name: string): RepositoryName {
  return repositoryNameSchema.parse(name);
}

export function eventOf(type: string): AuditEvent {
  return { id: v7(), time: Date.now(), type, actor: { principal: "tester", kind: "service" }, outcome: "allow" };
}

async function stage({ blobs }: Stores, content: string): Promise<string> {
  const upload = v7();
  await blobs.stage(upload);
  await blobs.append(upload, [Buffer.from(content)] as unknown as AsyncIterable<Uint8Array>, 0);
  return upload;
}

/** Publishes bytes without any record, as a push does that crashes before its commit. */
export async function orphan(stores: Stores, content: string): Promise<Digest> {
  const upload = await stage(stores, content);
  await stores.blobs.publish(upload, digestOf(content));
  await stores.blobs.discard(upload);
  return digestOf(content);
}

/** Collects with some grace in milliseconds; a negative one spares not even what is used while the collection runs. */
export function collect(stores: Stores, grace = HOUR, signal?: AbortSignal): Promise<number> {
  return collectGarbage(sparing(stores, grace), signal);
}

/** The same stores, with another grace in milliseconds. */
export function sparing(stores: Stores, collectGrace: number): Stores {
  return { ...stores, settings: { ...stores.settings, collectGrace } };
}

/** What a manifest of the repository writes that names a blob. */
function naming(name: RepositoryName, digest: Digest): Put {
  return { key: keys.edge(name, { kind: "blob", digest }, NAMER), value: {} };
}
const NAMER = digestOf("a manifest");

/** Pushes a blob together with what names it. */
export async function push(stores: Stores, name: RepositoryName, content: string): Promise<Digest> {
  return pushWith(stores, name, content, (digest) => [naming(name, digest)]);
}

/** Pushes a blob, which nothing names yet. */
export async function pushUnnamed(stores: Stores, name: RepositoryName, content: string): Promise<Digest> {
  return pushWith(stores, name, content, () => []);
}

/** In the order that every push follows: grounds, bytes, rows, and then the upload is forgotten. */
async function pushWith(stores: Stores, name: RepositoryName, content: string, also: (digest: Digest) => readonly Put[]): Promise<Digest> {
  const digest = digestOf(content);
  const upload = await stage(stores, content);
  await decideAndCommit(stores, async () => {
    const grounds = await blobGrounds(stores, digest);
    const there = await stores.blobs.stat(digest);
    if (there === undefined || grounds.record === undefined) await stores.blobs.publish(upload, digest);
    const isThere = there !== undefined && grounds.record !== undefined;
    const put = linkRows(name, digest, { size: Buffer.byteLength(content), by: "tester", at: stores.clock(), isThere });
    return {
      change: { expect: grounds.expect, put: [...put, ...also(digest)], remove: [], audit: [eventOf("blob.push")] },
      result: undefined,
    };
  });
  await stores.blobs.discard(upload);
  return digest;
}

/** The same of few bytes, which come with the rows. */
export async function pushFew(stores: Stores, name: RepositoryName, content: string): Promise<Digest> {
  const [digest, size] = [digestOf(content), Buffer.byteLength(content)];
  await decideAndCommit(stores, async () => {
    const grounds = await blobGrounds(stores, digest);
    const isThere = await isIntact(stores, grounds, { digest, size });
    const rows = linkRows(name, digest, { size, by: "tester", at: stores.clock(), isThere });
    const put = [...rows, ...(isThere ? [] : [bytesRow(digest, Buffer.from(content))]), naming(name, digest)];
    return { change: { expect: grounds.expect, put, remove: [], audit: [eventOf("blob.push")] }, result: undefined };
  });
  return digest;
}

/** Writes a blob of the registry's own together with what names it. */
export async function writeOwn(stores: Stores, name: RepositoryName, content: string): Promise<Digest> {
  const digest = digestOf(content);
  await decideAndCommit(stores, async () => {
    const { expect, put } = await publishOwnBlobs(stores, name, [Buffer.from(content)]);
    return { change: { expect, put: [...put, naming(name, digest)], remove: [], audit: [eventOf("test.write")] }, result: undefined };
  });
  return digest;
}

/** Begins to need a blob if it is there, as the push of a manifest does that names it. */
export async function beginToName(stores: Stores, at: RepositoryName, digest: Digest): Promise<void> {
  await decideAndCommit(stores, async () => {
    const { change, result } = await renewLink(stores, at, digest);
    if (!result) return { result: undefined };
    const { expect, put } = change ?? { expect: [], put: [] };
    return { change: { expect, put: [...put, naming(at, digest)], remove: [], audit: [eventOf("manifest.push")] }, result: undefined };
  });
}

/** Ceases to need it, as the deletion of the manifest does. */
export async function ceaseToName({ metadata }: Stores, at: RepositoryName, digest: Digest): Promise<void> {
  const put = [{ key: keys.repository(at), value: { v: 1, createdAt: 0, trusted: 0 } }];
  await metadata.commit({ expect: [], put, remove: [naming(at, digest).key], audit: [eventOf("artifact.delete")] });
}

/** What a collection finds of a blob before it looks for links. */
export async function foundBlob({ metadata }: Pick<Stores, "metadata">, digest: Digest, size: number): Promise<FoundBlob> {
  return { record: await metadata.get(keys.blob(digest)), use: await metadata.get(keys.blobUse(digest)), size };
}

/** Takes a repository's link to a blob away, and what names it. */
export async function unlink(stores: Stores, name: RepositoryName, digest: Digest): Promise<void> {
  await decideAndCommit(stores, async () => {
    const [link, blob] = [await stores.metadata.get(keys.link(name, digest)), await stores.metadata.get(keys.blob(digest))];
    if (link === undefined || blob === undefined) return { result: undefined };
    return {
      change: {
        expect: [link, blob].map(({ key, version }) => ({ key, version })),
        put: [{ key: keys.blobUse(digest), value: { v: 1, at: stores.clock() } }],
        remove: [...linkKeys(name, digest), naming(name, digest).key],
        audit: [eventOf("blob.delete")],
      },
      result: undefined,
    };
  });
}

/** Links whose blob has no bytes or no record in order: there may be none, ever. */
export async function brokenLinks({ metadata, blobs }: Stores): Promise<string[]> {
  const broken: string[] = [];
  for (const link of await metadata.list(under(["link"], 10_000))) {
    const digest = link.key[2] as Digest;
    const there = await blobs.stat(digest);
    const record = await metadata.get(keys.blob(digest));
    // Only what is the same before and after was seen at one moment.
    const now = await metadata.get(link.key);
    const held = there !== undefined && record !== undefined && blobRecord.parse(record.value).status === "present";
    if (!held && now?.version === link.version) broken.push(link.key.join(" "));
  }
  return broken;
}

/** What is named and was linked when that began, and is not any more: there may be nothing, ever. */
export async function lostLinks({ metadata }: Stores): Promise<string[]> {
  const lost: string[] = [];
  for (const edge of await metadata.list(under(["edge"], 10_000))) {
    const [, at, , digest] = edge.key;
    const link = await metadata.get(keys.link(repository(String(at)), digest as Digest));
    const now = await metadata.get(edge.key);
    if (link === undefined && now?.version === edge.version) lost.push(edge.key.join(" "));
  }
  return lost;
}

/** All that there are bytes of: files and rows, and nothing twice. */
export async function allBlobs({ blobs, metadata }: Stores): Promise<Digest[]> {
  const rows = await metadata.list(under(keys.blobContents(), 10_000));
  const found = new Set(rows.map(({ key }) => digestSchema.parse(key[1])));
  for await (const digest of blobs.list()) found.add(digest);
  return [...found].toSorted();
}

/** Digests of the blobs that have a record, and whether it is condemned. */
export async function allRecords({ metadata }: Stores): Promise<Record<string, string>> {
  const entries = await metadata.list(under(keys.blobs(), 10_000));
  return Object.fromEntries(entries.map(({ key, value }) => [String(key[1]), blobRecord.parse(value).status]));
}
