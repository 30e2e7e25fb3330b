import { Readable } from "node:stream";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type DigestAlgorithm, digestOf } from "../../../src/oci/digest.ts";
import { keys } from "../../../src/storage/keys.ts";
import { type BlobRegistry, type Served, ask, beginUpload, startBlobRegistry } from "../../support/blob-registry.ts";

const BYTES = Buffer.from("some bytes that have two names");
const [SHA256, SHA512] = [digestOf(BYTES), digestOf(BYTES, "sha512")];

let registry: BlobRegistry;
beforeEach(async () => {
  registry = await startBlobRegistry();
});
afterEach(() => registry.stop());

/** Begins an upload, announced as one by an algorithm when there is one; its location. */
async function begun(announced?: DigestAlgorithm): Promise<string> {
  if (announced === undefined) return beginUpload(registry, "team/m");
  const { headers } = await ask(registry, "POST", `/v2/team/m/blobs/uploads/?digest-algorithm=${announced}`);
  return headers.location ?? "";
}

async function sent(at: Served, location: string, body: Uint8Array | Readable): Promise<string> {
  const { status, headers } = await ask(at, "PATCH", location, { body });
  expect(status).toBe(202);
  return headers.location ?? "";
}

async function closed(at: Served, location: string, digest = SHA512): Promise<void> {
  const put = await ask(at, "PUT", `${location}&digest=${digest}`);
  expect([put.status, put.headers["docker-content-digest"]]).toEqual([201, digest]);
}

/** The name that is known beside each of the two. */
async function otherNames(): Promise<unknown[]> {
  const rows = await Promise.all([SHA256, SHA512].map((digest) => registry.metadata.get(keys.blobName(digest))));
  return rows.map((row) => row?.value);
}

describe("a blob by sha512 is known by its sha256 as well", () => {
  test("when it comes in one request", async () => {
    const post = await ask(registry, "POST", `/v2/team/m/blobs/uploads/?digest=${SHA512}`, { body: BYTES });
    expect(post.status).toBe(201);
    expect(await otherNames()).toEqual([SHA512, SHA256]);
  });

  test.each([
    ["of an announced algorithm", "sha512"],
    ["whose algorithm only the last request names", undefined],
  ] as const)("when it comes in chunks %s", async (_, announced) => {
    const first = await sent(registry, await begun(announced), BYTES.subarray(0, 9));
    await closed(registry, await sent(registry, first, Readable.from([BYTES.subarray(9)])));
    expect(await otherNames()).toEqual([SHA512, SHA256]);
  });

  test.each([
    ["of an announced algorithm", "sha512"],
    ["whose algorithm only the last request names", undefined],
  ] as const)("when a restart came between chunks %s", async (_, announced) => {
    const first = await sent(registry, await begun(announced), BYTES.subarray(0, 9));
    const again = await startBlobRegistry({ directory: registry.directory });
    try {
      await closed(again, await sent(again, first, BYTES.subarray(9)));
    } finally {
      await again.stop();
    }
    expect(await otherNames()).toEqual([SHA512, SHA256]);
  });

  test("when it heals damaged bytes, and when it is mounted elsewhere", async () => {
    await closed(registry, await sent(registry, await begun("sha512"), BYTES));
    const key = keys.blob(SHA512);
    const record = (await registry.metadata.get(key))?.value as Record<string, unknown>;
    await registry.change({ put: [{ key, value: { ...record, damaged: true } }] });
    await closed(registry, await sent(registry, await begun("sha512"), BYTES));
    expect((await registry.metadata.get(key))?.value).toMatchObject({ damaged: false });
    const mount = await ask(registry, "POST", `/v2/team/n/blobs/uploads/?mount=${SHA512}&from=team/m`);
    expect(mount.status).toBe(201);
    expect(await otherNames()).toEqual([SHA512, SHA256]);
  });

  test("and one by sha256 leaves no other name", async () => {
    await closed(registry, await sent(registry, await begun("sha512"), BYTES), SHA256);
    await closed(registry, await sent(registry, await begun(), BYTES), SHA256);
    expect(await otherNames()).toEqual([undefined, undefined]);
  });
});
