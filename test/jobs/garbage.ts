import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AuditEvent } from "../../src/audit/event.ts";
import { createLogger } from "../../src/log.ts";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { type RepositoryName, repositoryNameSchema } from "../../src/oci/reference.ts";
import { decideAndCommit } from "../../src/registry/commit.ts";
import { linkRows } from "../../src/registry/link-blob.ts";
import type { Services } from "../../src/registry/ports.ts";
import { blobGrounds } from "../../src/registry/remove-blob.ts";
import { openFilesystem } from "../../src/storage/filesystem.ts";
import { keys, under } from "../../src/storage/keys.ts";
import { openLmdb } from "../../src/storage/lmdb.ts";
import { blobRecord } from "../../src/storage/records.ts";
import { v7 } from "../support/uuid.ts";

/** What collections and pushes need. */
export type Stores = Pick<Services, "metadata" | "blobs" | "clock" | "newId" | "log">;

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
      blobs: await openFilesystem(directory),
      clock: () => Date.now() + world.ahead,
      newId: v7,
      log: createLogger("silent"),
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

/** Pushes a blob in the order that every push follows: grounds, bytes, rows, and then the upload is forgotten. */
export async function push(stores: Stores, name: RepositoryName, content: string): Promise<Digest> {
  const digest = digestOf(content);
  const upload = await stage(stores, content);
  await decideAndCommit(stores, async () => {
    const grounds = await blobGrounds(stores, digest);
    const there = await stores.blobs.stat(digest);
    if (there === undefined || grounds.record === undefined) await stores.blobs.publish(upload, digest);
    const put = linkRows(name, digest, { size: Buffer.byteLength(content), by: "tester", at: stores.clock() });
    return { change: { expect: grounds.expect, put, remove: [], audit: [eventOf("blob.push")] }, result: undefined };
  });
  await stores.blobs.discard(upload);
  return digest;
}

/** Takes a repository's link to a blob away, as a delete does. */
export async function unlink(stores: Stores, name: RepositoryName, digest: Digest): Promise<void> {
  await decideAndCommit(stores, async () => {
    const [link, blob] = [await stores.metadata.get(keys.link(name, digest)), await stores.metadata.get(keys.blob(digest))];
    if (link === undefined || blob === undefined) return { result: undefined };
    return {
      change: {
        expect: [link, blob].map(({ key, version }) => ({ key, version })),
        put: [{ key: blob.key, value: { ...blobRecord.parse(blob.value), touchedAt: stores.clock() } }],
        remove: [keys.link(name, digest), keys.blobRepository(digest, name)],
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

export async function allBlobs({ blobs }: Stores): Promise<Digest[]> {
  const found: Digest[] = [];
  for await (const digest of blobs.list()) found.push(digest);
  return found;
}

/** Digests of the blobs that have a record, and whether it is condemned. */
export async function allRecords({ metadata }: Stores): Promise<Record<string, string>> {
  const entries = await metadata.list(under(keys.blobs(), 10_000));
  return Object.fromEntries(entries.map(({ key, value }) => [String(key[1]), blobRecord.parse(value).status]));
}
