import { rm } from "node:fs/promises";
import { Readable } from "node:stream";
import { afterEach, beforeEach, expect, test } from "vitest";
import { digestOf } from "../../../src/oci/digest.ts";
import type { BlobStore } from "../../../src/storage/blob-store.ts";
import { keys } from "../../../src/storage/keys.ts";
import { type BlobRegistry, ask, beginUpload, blobsWith, nameOf, pushBlob, startBlobRegistry } from "../../support/blob-registry.ts";
import { fileOf } from "../../support/damaged-bytes.ts";

const CONTENT = Buffer.from("the weights of a model, too many to be gathered in memory ".repeat(1000));
const DIGEST = digestOf(CONTENT);

let registry: BlobRegistry;
/** How often bytes were written to an upload. */
let written = 0;
/** Happens once, right after it was seen that the blob is there. */
let meanwhile: (() => Promise<void>) | undefined;

beforeEach(async () => {
  written = 0;
  meanwhile = undefined;
  registry = await startBlobRegistry({ around: watched });
});
afterEach(() => registry.stop());

function watched(blobs: BlobStore): BlobStore {
  return blobsWith(blobs, {
    append: (upload, bytes, offset) => {
      written += 1;
      return blobs.append(upload, bytes, offset);
    },
    stat: async (digest) => {
      const found = await blobs.stat(digest);
      const act = meanwhile;
      meanwhile = undefined;
      await act?.();
      return found;
    },
  });
}

async function staged(): Promise<string[]> {
  const names: string[] = [];
  for await (const name of registry.blobs.listStaged()) names.push(name);
  return names;
}

function close(location: string, digest: string, body: Uint8Array): ReturnType<typeof ask> {
  return ask(registry, "PUT", `${location}&digest=${digest}`, { body });
}

test.each(["sha256", "sha512"] as const)(
  "a body that the registry has already by %s proves itself and is not written",
  async (algorithm) => {
    const digest = digestOf(CONTENT, algorithm);
    expect((await close(await beginUpload(registry, "team/first"), digest, CONTENT)).status).toBe(201);
    expect(written).toBe(1);
    expect((await close(await beginUpload(registry, "team/second"), digest, CONTENT)).status).toBe(201);
    expect([written, await staged()]).toEqual([1, []]);
    const pulled = await ask(registry, "GET", `/v2/team/second/blobs/${digest}`);
    expect([pulled.status, pulled.body.toString()]).toEqual([200, CONTENT.toString()]);
    expect((await registry.events()).map(({ type }) => type)).toEqual(["blob.push", "blob.push"]);
  },
);

test("other bytes of the same length prove nothing", async () => {
  await pushBlob(registry, "team/first", CONTENT);
  const location = await beginUpload(registry, "team/second");
  const answer = await close(location, DIGEST, Buffer.from(CONTENT).fill("x"));
  expect([answer.status, answer.code]).toEqual([400, "DIGEST_INVALID"]);
  expect((await ask(registry, "GET", `/v2/team/second/blobs/${DIGEST}`)).status).toBe(404);
  expect((await ask(registry, "GET", location)).status).toBe(404);
});

test("a body is written after all when what is there is damaged, or is part of an upload that has begun", async () => {
  await pushBlob(registry, "team/first", CONTENT);
  const begun = await beginUpload(registry, "team/second");
  const next = await ask(registry, "PATCH", begun, { body: CONTENT.subarray(0, 4) });
  expect((await close(next.headers.location ?? "", DIGEST, CONTENT.subarray(4))).status).toBe(201);
  expect(written).toBe(3);
  const entry = await registry.metadata.get(keys.blob(DIGEST));
  await registry.change({ put: [{ key: keys.blob(DIGEST), value: { ...(entry?.value as object), damaged: true } }] });
  expect((await close(await beginUpload(registry, "team/third"), DIGEST, CONTENT)).status).toBe(201);
  expect(written).toBe(4);
  expect((await registry.metadata.get(keys.blob(DIGEST)))?.value).toMatchObject({ damaged: false });
});

test("when the blob is lost while the body arrives, the upload goes on from its beginning", async () => {
  await pushBlob(registry, "team/first", CONTENT);
  const location = await beginUpload(registry, "team/second");
  meanwhile = () => rm(fileOf(registry.directory, DIGEST));
  const lost = await close(location, DIGEST, CONTENT);
  expect([lost.status, lost.headers.range]).toEqual([416, "0-0"]);
  expect(await registry.metadata.get(keys.link(nameOf("team/second"), DIGEST))).toBeUndefined();
  expect((await close(lost.headers.location ?? "", DIGEST, CONTENT)).status).toBe(201);
  expect((await ask(registry, "GET", `/v2/team/second/blobs/${DIGEST}`)).body.toString()).toBe(CONTENT.toString());
});

test.each([
  ["lost", () => rm(fileOf(registry.directory, DIGEST))],
  [
    "found damaged",
    async () => {
      // Only once the body has proven itself: what is damaged before is written.
      meanwhile = async () => {
        const entry = await registry.metadata.get(keys.blob(DIGEST));
        await registry.change({ put: [{ key: keys.blob(DIGEST), value: { ...(entry?.value as object), damaged: true } }] });
      };
    },
  ],
] as const)("when the blob is %s, other bytes that came to the upload beside its body never get its digest", async (_how, happens) => {
  await pushBlob(registry, "team/first", CONTENT);
  const location = await beginUpload(registry, "team/second");
  meanwhile = async () => {
    expect((await ask(registry, "PATCH", location, { body: Buffer.from(CONTENT).fill("x") })).status).toBe(202);
    await happens();
  };
  const answer = await close(location, DIGEST, CONTENT);
  expect([answer.status, answer.headers.range]).toEqual([416, `0-${CONTENT.length - 1}`]);
  expect(await registry.metadata.get(keys.link(nameOf("team/second"), DIGEST))).toBeUndefined();
  await pushBlob(registry, "team/first", CONTENT);
  expect((await ask(registry, "GET", `/v2/team/first/blobs/${DIGEST}`)).body.toString()).toBe(CONTENT.toString());
});

test("a blob that the caller may read nowhere is written like any other, so that a broken connection does not tell that it exists", async () => {
  await pushBlob(registry, "team/first", CONTENT);
  const location = await beginUpload(registry, "other/guess", "carl");
  const guess = Readable.from(cutOff(CONTENT.subarray(0, 7)));
  const length = { "Content-Length": String(CONTENT.byteLength) };
  await expect(ask(registry, "PUT", `${location}&digest=${DIGEST}`, { as: "carl", headers: length, body: guess })).rejects.toThrow(
    "cut off",
  );
  await expect.poll(async () => (await ask(registry, "GET", location, { as: "carl" })).headers.range).toBe("0-6");
  expect(written).toBe(2);
});

/** Some bytes, and then a broken connection. */
function* cutOff(bytes: Uint8Array): Generator<Uint8Array> {
  yield bytes;
  throw new Error("cut off");
}
