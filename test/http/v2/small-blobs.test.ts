import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Digest, digestOf } from "../../../src/oci/digest.ts";
import type { BlobStore } from "../../../src/storage/blob-store.ts";
import { keys } from "../../../src/storage/keys.ts";
import { type BlobRegistry, ask, beginUpload, blobsWith, pushBlob, startBlobRegistry, unsaid } from "../../support/blob-registry.ts";
import { overwriteRow } from "../../support/blob-rows.ts";

const CONTENT = "a configuration";
const DIGEST = digestOf(CONTENT);
const BROKEN = /aborted|hang up|ECONNRESET/;
const MOST = 16 * 1024;

let registry: BlobRegistry;
/** What was done to files. */
let calls: string[];

beforeEach(async () => {
  calls = [];
  registry = await startBlobRegistry({ around: watched });
});
afterEach(() => registry.stop());

function watched(blobs: BlobStore): BlobStore {
  return blobsWith(blobs, {
    append: (...given) => {
      calls.push("append");
      return blobs.append(...given);
    },
    publish: (...given) => {
      calls.push("publish");
      return blobs.publish(...given);
    },
  });
}

const rowOf = (digest: Digest): ReturnType<BlobRegistry["metadata"]["get"]> => registry.metadata.get(keys.blobContent(digest));

/** Names of files in `blobs` and `uploads`, but for what a process keeps for its next upload, and the token of removals. */
async function files(): Promise<readonly string[]> {
  const found = await Promise.all(
    ["blobs", "uploads"].map(async (top) => readdir(join(registry.directory, top), { recursive: true, withFileTypes: true })),
  );
  const paths = found.flat().flatMap((entry) => (entry.isFile() ? [join(entry.parentPath, entry.name)] : []));
  return paths.filter((path) => !/\/uploads\/\+folder\.[^/]+\/unused$|\/blobs\/removal\//.test(path));
}

const close = async (location: string, digest: string, body: Uint8Array | Readable): ReturnType<typeof ask> =>
  ask(registry, "PUT", `${location}&digest=${digest}`, { body });

const pushInTwo = async (digest: Digest, bytes: Uint8Array): Promise<number> =>
  (await close(await beginUpload(registry, "team/a"), digest, bytes)).status;
const pushAtOnce = async (digest: Digest, bytes: Uint8Array): Promise<number> =>
  (await ask(registry, "POST", `/v2/team/a/blobs/uploads/?digest=${digest}`, { body: bytes })).status;

describe.each(["sha256", "sha512"] as const)("by %s", (algorithm) => {
  test.each([0, 1, 10_000, MOST])("%i bytes that come in one request are a row, and every door gives them", async (length) => {
    for (const push of [pushInTwo, pushAtOnce]) {
      const bytes = Buffer.alloc(length, push.name);
      const digest = digestOf(bytes, algorithm);
      expect(await push(digest, bytes)).toBe(201);
      expect([(await rowOf(digest))?.value, calls, await files()]).toEqual([new Uint8Array(bytes), [], []]);
      const path = `/v2/team/a/blobs/${digest}`;
      const [whole, head] = [await ask(registry, "GET", path), await ask(registry, "HEAD", path)];
      expect([whole.status, whole.body.equals(bytes), head.status, head.headers["content-length"]]).toEqual([200, true, 200, `${length}`]);
      const part = await ask(registry, "GET", path, { headers: { Range: "bytes=5-8" } });
      const isInside = length > 5;
      expect([part.status, isInside && part.body.equals(bytes.subarray(5, 9))]).toEqual([isInside ? 206 : 416, isInside]);
      const mounted = await ask(registry, "POST", `/v2/team/b/blobs/uploads/?mount=${digest}&from=team/a`);
      expect([mounted.status, (await ask(registry, "GET", `/v2/team/b/blobs/${digest}`)).body.equals(bytes)]).toEqual([201, true]);
    }
  });

  test("what is larger, or of no said length, or was staged before, is a file", async () => {
    const larger = Buffer.alloc(MOST + 1);
    expect(await pushInTwo(digestOf(larger, algorithm), larger)).toBe(201);
    const few = Buffer.from("few bytes");
    const ofNoLength = await close(await beginUpload(registry, "team/a"), digestOf(few, algorithm), unsaid(few));
    const begun = await ask(registry, "PATCH", await beginUpload(registry, "team/a"), { body: Buffer.from("a conf") });
    const rest = await close(begun.headers.location ?? "", digestOf(CONTENT, algorithm), Buffer.from("iguration"));
    expect([ofNoLength.status, rest.status]).toEqual([201, 201]);
    for (const bytes of [larger, few, CONTENT]) expect(await rowOf(digestOf(bytes, algorithm))).toBeUndefined();
    expect(await files()).toHaveLength(3);
  });
});

test("bytes that are there are not written again, in whatever way they came, and say nothing in the audit", async () => {
  await pushBlob(registry, "team/a", CONTENT);
  const row = await rowOf(DIGEST);
  await pushBlob(registry, "team/a", CONTENT);
  await pushBlob(registry, "other/place", CONTENT, "carl");
  expect(await rowOf(DIGEST)).toEqual(row);
  expect((await registry.events()).map(({ type, target }) => [type, target?.name])).toEqual([
    ["blob.push", "team/a"],
    ["blob.push", "other/place"],
  ]);
  const file = Buffer.alloc(9, "f");
  expect((await close(await beginUpload(registry, "team/a"), digestOf(file), unsaid(file))).status).toBe(201);
  await pushBlob(registry, "team/b", file);
  expect(await rowOf(digestOf(file))).toBeUndefined();
});

test("other bytes than the digest says are refused, and nothing of them is kept", async () => {
  const location = await beginUpload(registry, "team/a");
  const answer = await close(location, DIGEST, Buffer.from("something else!"));
  expect([answer.status, answer.code]).toEqual([400, "DIGEST_INVALID"]);
  expect((await ask(registry, "GET", location)).status).toBe(404);
  expect([await rowOf(DIGEST), await files()]).toEqual([undefined, []]);
});

test("a body that breaks off leaves the upload as empty as it was, whether the blob is there or not", async () => {
  for (const content of [CONTENT, "what nobody has"]) {
    if (content === CONTENT) await pushBlob(registry, "team/a", CONTENT);
    const location = await beginUpload(registry, "other/guess", "carl");
    const cut = Readable.from(cutOff(Buffer.from(content.slice(0, 4))));
    const headers = { "Content-Length": String(content.length) };
    const path = `${location}&digest=${digestOf(content)}`;
    await expect(ask(registry, "PUT", path, { as: "carl", headers, body: cut })).rejects.toThrow("cut off");
    const status = await ask(registry, "GET", location, { as: "carl" });
    expect([status.status, status.headers.range]).toEqual([204, "0-0"]);
    expect((await ask(registry, "PUT", path, { as: "carl", body: Buffer.from(content) })).status).toBe(201);
  }
});

test("a range that is not where the upload is refuses it, and the upload stays open", async () => {
  const location = await beginUpload(registry, "team/a");
  const path = `${location}&digest=${DIGEST}`;
  const answer = await ask(registry, "PUT", path, { body: Buffer.from(CONTENT), headers: { "Content-Range": `5-${4 + CONTENT.length}` } });
  expect([answer.status, answer.headers.range]).toEqual([416, "0-0"]);
  expect((await close(location, DIGEST, Buffer.from(CONTENT))).status).toBe(201);
});

test("a row that was changed is healed by a push of the right bytes, by which a file of them is not made", async () => {
  await pushBlob(registry, "team/a", CONTENT);
  await overwriteRow(registry.metadata, DIGEST, CONTENT.slice(1));
  await pushBlob(registry, "team/a", CONTENT);
  expect((await ask(registry, "GET", `/v2/team/a/blobs/${DIGEST}`)).body.toString()).toBe(CONTENT);
  const events = await registry.events();
  expect(events.map(({ type }) => type).filter((type) => type.startsWith("blob."))).toEqual(["blob.push", "blob.heal"]);
  expect([calls, await files()]).toEqual([[], []]);
});

test("a row that is shorter than it was breaks the connection, and one that is lost is a failure of ours", async () => {
  await pushBlob(registry, "team/a", CONTENT);
  const path = `/v2/team/a/blobs/${DIGEST}`;
  await overwriteRow(registry.metadata, DIGEST, CONTENT.slice(0, 8));
  await expect(ask(registry, "GET", path)).rejects.toThrow(BROKEN);
  await expect(ask(registry, "GET", path, { headers: { Range: "bytes=5-9" } })).rejects.toThrow(BROKEN);
  expect((await ask(registry, "GET", path, { headers: { Range: "bytes=0-4" } })).status).toBe(206);
  await registry.change({ remove: [keys.blobContent(DIGEST)] });
  expect((await ask(registry, "GET", path)).status).toBe(500);
});

/** Some bytes, and then a broken connection. */
function* cutOff(bytes: Uint8Array): Generator<Uint8Array> {
  yield bytes;
  throw new Error("cut off");
}
