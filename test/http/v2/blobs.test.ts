import { createReadStream } from "node:fs";
import { chmod, truncate } from "node:fs/promises";
import { type IncomingMessage, get as httpGet } from "node:http";
import { get as httpsGet } from "node:https";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Digest, digestOf, encodedOf } from "../../../src/oci/digest.ts";
import { keys } from "../../../src/storage/keys.ts";
import {
  type Answer,
  type BlobRegistry,
  ask,
  blobsWith,
  nameOf,
  pushBlob,
  pushFile,
  revokedRows,
  startBlobRegistry,
  trustedRows,
  visible,
} from "../../support/blob-registry.ts";
import { selfSigned } from "../../support/certificate.ts";

let registry: BlobRegistry;

beforeEach(async () => {
  registry = await startBlobRegistry();
});

afterEach(() => registry.stop());

const CONTENT = Buffer.from(Array.from({ length: 2048 }, (_, at) => at % 251));

/** How a client sees a connection that broke. */
const BROKEN = /aborted|hang up|ECONNRESET/;

function blob(digest: Digest, as: string, headers: Readonly<Record<string, string>> = {}, method = "GET"): Promise<Answer> {
  return ask(registry, method, `/v2/team/m/blobs/${digest}`, { as, headers });
}

async function setDamaged(digest: Digest): Promise<void> {
  const key = keys.blob(digest);
  const record = (await registry.metadata.get(key))?.value as Record<string, unknown>;
  await registry.change({ put: [{ key, value: { ...record, damaged: true } }] });
}

function fileOf(digest: Digest): string {
  const encoded = encodedOf(digest);
  return join(registry.directory, "blobs", "sha256", encoded.slice(0, 2), encoded);
}

describe("GET of a blob", () => {
  test("gives its bytes, its digest, and the headers that keep caches and browsers right", async () => {
    const digest = await pushBlob(registry, "team/m", CONTENT);
    const got = await blob(digest, "alice");
    expect(got.status).toBe(200);
    expect(got.body.equals(CONTENT)).toBe(true);
    expect(got.headers).toMatchObject({
      "content-length": "2048",
      "content-type": "application/octet-stream",
      "docker-content-digest": digest,
      etag: `"${digest}"`,
      "accept-ranges": "bytes",
      "cache-control": "private, no-cache",
      "content-disposition": "attachment",
      "x-content-type-options": "nosniff",
    });
    expect(got.headers["x-request-id"]).toBeDefined();
    expect(got.headers.warning).toBeUndefined();
  });

  test("is answered to HEAD by the same headers without opening the bytes", async () => {
    const digest = await pushBlob(registry, "team/m", CONTENT);
    await registry.blobs.remove(digest, async () => true);
    const head = await blob(digest, "alice", { Range: "bytes=0-1" }, "HEAD");
    expect([head.status, head.headers["content-length"], head.headers["docker-content-digest"], head.body.length]).toEqual([
      200,
      "2048",
      digest,
      0,
    ]);
  });

  test.each([
    ["bytes=500-1499", 500, 1499],
    ["bytes=500-", 500, 2047],
    ["bytes=-500", 1548, 2047],
    ["bytes=2000-5000", 2000, 2047],
    ["bytes=0-0", 0, 0],
    ["bytes=2047-2047", 2047, 2047],
    ["bytes=-9999", 0, 2047],
  ])("with Range %s is 206 with that part", async (range, start, end) => {
    const digest = await pushBlob(registry, "team/m", CONTENT);
    const got = await blob(digest, "alice", { Range: range });
    expect([got.status, got.headers["content-range"], got.headers["content-length"]]).toEqual([
      206,
      `bytes ${start}-${end}/2048`,
      String(end - start + 1),
    ]);
    expect(got.body.equals(CONTENT.subarray(start, end + 1))).toBe(true);
    expect(got.headers["docker-content-digest"]).toBe(digest);
  });

  test.each(["bytes=500-0", "bytes=5000-10000", "bytes=2048-", "bytes=-0", "bytes=a-b"])("with Range %s is 416", async (range) => {
    const digest = await pushBlob(registry, "team/m", CONTENT);
    const got = await blob(digest, "alice", { Range: range });
    expect([got.status, got.headers["content-range"], got.code]).toEqual([416, "bytes */2048", "SIZE_INVALID"]);
  });

  test("with several ranges, or another unit, is the whole", async () => {
    const digest = await pushBlob(registry, "team/m", CONTENT);
    for (const range of ["bytes=0-1,5-6", "lines=1-2"]) expect((await blob(digest, "alice", { Range: range })).body.length).toBe(2048);
  });

  test("that the client has already is 304, and If-Range decides whether a Range counts", async () => {
    const digest = await pushBlob(registry, "team/m", CONTENT);
    const same = await blob(digest, "alice", { "If-None-Match": `"${digest}"` });
    expect([same.status, same.body.length, same.headers.etag]).toEqual([304, 0, `"${digest}"`]);
    expect((await blob(digest, "alice", { "If-None-Match": '"other"' })).status).toBe(200);
    expect((await blob(digest, "alice", { Range: "bytes=0-9", "If-Range": `"${digest}"` })).status).toBe(206);
    expect((await blob(digest, "alice", { Range: "bytes=0-9", "If-Range": '"other"' })).status).toBe(200);
  });

  test("by a malformed or unsupported digest is 400", async () => {
    for (const digest of ["sha256:abc", "md5:d41d8cd98f00b204e9800998ecf8427e", "latest", digestOf("x").toUpperCase()]) {
      const got = await ask(registry, "GET", `/v2/team/m/blobs/${digest}`);
      expect([got.status, got.code]).toEqual([400, "DIGEST_INVALID"]);
    }
  });

  test("whose file is missing is a failure of ours, and never a part that looks whole", async () => {
    const digest = await pushFile(registry, "team/m", CONTENT);
    await registry.blobs.remove(digest, async () => true);
    const got = await blob(digest, "alice");
    expect(got.status).toBe(500);
    expect(got.headers["docker-content-digest"]).toBeUndefined();
    expect(got.body.toString()).not.toContain(registry.directory);
    expect(registry.edge.logged).toContainEqual(expect.objectContaining({ level: 50 }));
  });

  test("whose file is shorter than it was breaks the connection", async () => {
    const digest = await pushFile(registry, "team/m", CONTENT);
    await chmod(fileOf(digest), 0o600);
    await truncate(fileOf(digest), 1000);
    await expect(blob(digest, "alice")).rejects.toThrow(BROKEN);
    await expect(blob(digest, "alice", { Range: "bytes=900-1200" })).rejects.toThrow(BROKEN);
    expect((await blob(digest, "alice", { Range: "bytes=0-99" })).status).toBe(206);
  });
});

describe("the gate", () => {
  const conditions: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
    ["plain", {}],
    ["with a range", { Range: "bytes=0-9" }],
    ["with a range that it does not have", { Range: "bytes=99999-" }],
    ["with several ranges", { Range: "bytes=0-1,3-4" }],
    ["that a cache asks", { "If-None-Match": `"${digestOf(CONTENT)}"` }],
    ["that any cache asks", { "If-None-Match": "*" }],
    ["with If-Range", { Range: "bytes=0-9", "If-Range": `"${digestOf(CONTENT)}"` }],
  ];

  test.each(conditions)("answers hidden and missing blobs alike to a reader: %s", async (_, headers) => {
    const digest = await pushBlob(registry, "team/m", CONTENT);
    for (const method of ["GET", "HEAD"]) {
      const hidden = await blob(digest, "rita", headers, method);
      const missing = await blob(digestOf("missing"), "rita", headers, method);
      const elsewhere = await ask(registry, method, `/v2/team/none/blobs/${digest}`, { as: "rita", headers });
      expect(hidden.status).toBe(404);
      expect(visible(hidden)).toEqual(visible(missing));
      expect(visible(hidden)).toEqual(visible(elsewhere));
    }
    expect((await blob(digest, "rita")).code).toBe("BLOB_UNKNOWN");
  });

  test("hides a blob from who has no role in its namespace, and from other repositories of its own pusher", async () => {
    const digest = await pushBlob(registry, "team/m", CONTENT);
    for (const as of ["carl", "nobody"]) expect((await blob(digest, as)).status).toBe(404);
    expect((await ask(registry, "GET", `/v2/team/n/blobs/${digest}`)).status).toBe(404);
    for (const as of ["alice", "bob", "mona"]) expect((await blob(digest, as)).status).toBe(200);
  });

  test("shows readers what a trusted manifest reaches, in that repository alone", async () => {
    const digest = await pushBlob(registry, "team/m", CONTENT);
    await pushBlob(registry, "other/m", CONTENT, "carl");
    await registry.change(trustedRows("team/m", digest));
    expect((await blob(digest, "rita")).body.equals(CONTENT)).toBe(true);
    expect((await ask(registry, "GET", `/v2/other/m/blobs/${digest}`, { as: "rita" })).status).toBe(404);
  });

  test.each(conditions)("denies what was trusted and is revoked, with the reason and without a digest: %s", async (_, headers) => {
    const digest = await pushBlob(registry, "team/m", CONTENT);
    await registry.change(revokedRows("team/m", digest));
    for (const as of ["rita", "alice"]) {
      const denied = await blob(digest, as, headers);
      expect([denied.status, denied.code]).toEqual([403, "DENIED"]);
      expect(denied.message).toContain("revoked");
      expect(denied.headers["docker-content-digest"]).toBeUndefined();
      expect(denied.headers.etag).toBeUndefined();
      const head = await blob(digest, as, headers, "HEAD");
      expect([head.status, head.body.length, head.headers["docker-content-digest"]]).toEqual([403, 0, undefined]);
    }
  });

  test("shows revoked content to an operator, with a warning", async () => {
    const digest = await pushBlob(registry, "team/m", CONTENT);
    await registry.change(revokedRows("team/m", digest));
    const got = await blob(digest, "olga");
    expect([got.status, got.headers.warning]).toEqual([200, expect.stringMatching(/^299 - "revoked: /)]);
  });

  test("denies damaged bytes to who could read them, and hides them from others (RULES 15)", async () => {
    const digest = await pushBlob(registry, "team/m", CONTENT);
    await setDamaged(digest);
    expect((await blob(digest, "alice")).message).toContain("integrity check failed");
    expect((await blob(digest, "rita")).status).toBe(404);
    await registry.change(trustedRows("team/m", digest));
    expect((await blob(digest, "rita")).message).toContain("integrity check failed");
  });

  test("notes reads of untrusted bytes, and those alone (RULES 29)", async () => {
    const digest = await pushBlob(registry, "team/m", CONTENT);
    await blob(digest, "rita");
    await blob(digest, "alice", {}, "HEAD");
    expect(registry.noted).toEqual([]);
    await blob(digest, "alice");
    expect(registry.noted).toEqual([
      expect.objectContaining({
        type: "blob.read",
        outcome: "allow",
        actor: { principal: "alice", kind: "service" },
        target: { kind: "blob", name: "team/m", digest },
      }),
    ]);
    await registry.change(trustedRows("team/m", digest));
    await blob(digest, "rita");
    expect(registry.noted.length).toBe(1);
  });
});

/** How many bytes came, and whether the end was the proper one. */
interface Taken {
  readonly bytes: number;
  readonly complete: boolean;
}

interface StoppedDownload {
  readonly takeRest: () => Promise<Taken>;
  readonly leave: () => void;
}

/** Begins a download and takes no more of it than what fits on the way. */
async function beginDownload(from: BlobRegistry, digest: Digest, as: string, ca?: string): Promise<StoppedDownload> {
  const url = `${from.edge.url}/v2/team/m/blobs/${digest}`;
  const incoming = await new Promise<IncomingMessage>((resolve, reject) => {
    const options = { agent: false, headers: { Authorization: `Bearer ${as}` } } as const;
    const outgoing = ca === undefined ? httpGet(url, options, resolve) : httpsGet(url, { ...options, ca }, resolve);
    outgoing.on("error", reject);
  });
  expect(incoming.statusCode).toBe(200);
  let bytes = 0;
  incoming.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
  });
  incoming.on("error", () => undefined);
  incoming.pause();
  const closed = new Promise((resolve) => incoming.once("close", resolve));
  const takeRest = async (): Promise<Taken> => {
    incoming.resume();
    await closed;
    return { bytes, complete: incoming.complete };
  };
  return { leave: () => void incoming.destroy(), takeRest };
}

describe("a download under way", () => {
  const LARGE = Buffer.alloc(24 * 1024 * 1024, "model");
  let cutting: BlobRegistry;
  /** Resolves when the stream of the first download has ended, however. */
  let released: PromiseWithResolvers<void>;

  beforeEach(async () => {
    released = Promise.withResolvers<void>();
    cutting = await startBlobRegistry({
      directory: registry.directory,
      around: (blobs) =>
        blobsWith(blobs, {
          open: async (digest, range) => {
            const stream = await blobs.open(digest, range);
            return stream.once("close", released.resolve);
          },
        }),
    });
  });

  afterEach(() => cutting.stop());

  test("is cut when what it reads is revoked, though another process commits that", async () => {
    const digest = await pushBlob(cutting, "team/m", LARGE);
    await registry.change(trustedRows("team/m", digest));
    const download = await beginDownload(cutting, digest, "rita");
    await registry.change(revokedRows("team/m", digest));
    await released.promise;
    const { bytes, complete } = await download.takeRest();
    expect(complete).toBe(false);
    expect(bytes).toBeLessThan(LARGE.length);
  });

  test("goes on when a change leaves it allowed", async () => {
    const digest = await pushBlob(cutting, "team/m", LARGE);
    const other = await pushBlob(cutting, "team/m", "other");
    await registry.change(trustedRows("team/m", digest));
    const [reader, operator] = [await beginDownload(cutting, digest, "rita"), await beginDownload(cutting, digest, "olga")];
    await registry.change(revokedRows("team/m", other));
    const again = await beginDownload(cutting, digest, "rita");
    await registry.change(revokedRows("team/m", digest));
    await released.promise;
    // Both readers are cut by the second change; the operator may read revoked content, too.
    expect((await reader.takeRest()).complete).toBe(false);
    expect((await again.takeRest()).complete).toBe(false);
    expect(await operator.takeRest()).toEqual({ bytes: LARGE.length, complete: true });
  });

  test("that was decided on before a change and begins after it is cut as well", async () => {
    const digest = await pushBlob(cutting, "team/m", LARGE);
    await registry.change(trustedRows("team/m", digest));
    const lateReleased = Promise.withResolvers<void>();
    const late = await startBlobRegistry({
      directory: registry.directory,
      around: (blobs) =>
        blobsWith(blobs, {
          open: async (opened, range) => {
            const stream = await blobs.open(opened, range);
            await registry.change(revokedRows("team/m", digest));
            return stream.once("close", lateReleased.resolve);
          },
        }),
    });
    const download = await beginDownload(late, digest, "rita");
    await lateReleased.promise;
    expect((await download.takeRest()).complete).toBe(false);
    await late.stop();
  });

  test("over TLS gives the bytes, and is cut as well", async () => {
    const tls = selfSigned("127.0.0.1");
    const secure = await startBlobRegistry({
      directory: registry.directory,
      tls,
      around: (blobs) =>
        blobsWith(blobs, { open: async (digest, range) => (await blobs.open(digest, range)).once("close", released.resolve) }),
    });
    const digest = await pushBlob(registry, "team/m", LARGE);
    await registry.change(trustedRows("team/m", digest));
    const whole = await beginDownload(secure, digest, "rita", tls.cert);
    expect(await whole.takeRest()).toEqual({ bytes: LARGE.length, complete: true });
    released = Promise.withResolvers<void>();
    const download = await beginDownload(secure, digest, "rita", tls.cert);
    await registry.change(revokedRows("team/m", digest));
    await released.promise;
    expect((await download.takeRest()).complete).toBe(false);
    await secure.stop();
  });

  test("lets go of its file when the client leaves", async () => {
    const digest = await pushBlob(cutting, "team/m", LARGE);
    const download = await beginDownload(cutting, digest, "alice");
    download.leave();
    await expect(released.promise).resolves.toBeUndefined();
  });

  test("breaks the connection when the store fails on the way", async () => {
    const digest = await pushBlob(registry, "team/m", CONTENT);
    const failing = await startBlobRegistry({
      directory: registry.directory,
      around: (blobs) =>
        blobsWith(blobs, {
          open: async () =>
            Readable.from(
              (async function* () {
                yield CONTENT.subarray(0, 100);
                throw Object.assign(new Error("bad sector"), { code: "EIO" });
              })(),
              { objectMode: false },
            ),
        }),
    });
    await expect(ask(failing, "GET", `/v2/team/m/blobs/${digest}`)).rejects.toThrow(BROKEN);
    expect(failing.edge.logged.filter(({ level }) => Number(level) >= 50)).toEqual([]);
    await failing.stop();
  });

  test("over a store whose streams are files or anything else gives the same bytes", async () => {
    const digest = await pushFile(registry, "team/m", CONTENT);
    const other = await startBlobRegistry({
      directory: registry.directory,
      around: (blobs) => blobsWith(blobs, { open: async (_, range) => createReadStream(fileOf(digest), { ...range, highWaterMark: 7 }) }),
    });
    expect((await ask(other, "GET", `/v2/team/m/blobs/${digest}`)).body.equals(CONTENT)).toBe(true);
    await other.stop();
  });
});

function remove(digest: Digest, as: string): Promise<Answer> {
  return blob(digest, as, {}, "DELETE");
}

describe("DELETE of a blob", () => {
  test("takes it out of its repository at once, and out of no other one", async () => {
    const digest = await pushBlob(registry, "team/m", CONTENT);
    await pushBlob(registry, "team/n", CONTENT);
    const removed = await remove(digest, "alice");
    expect([removed.status, removed.body.length]).toEqual([202, 0]);
    expect((await blob(digest, "alice", {}, "HEAD")).status).toBe(404);
    expect((await ask(registry, "GET", `/v2/team/n/blobs/${digest}`)).status).toBe(200);
    expect(await registry.metadata.get(keys.blobRepository(digest, nameOf("team/m")))).toBeUndefined();
    expect((await registry.events()).at(-1)).toMatchObject({
      type: "blob.delete",
      actor: { principal: "alice" },
      target: { kind: "blob", name: "team/m", digest },
      before: { by: "alice", size: 2048 },
    });
  });

  test("can be followed by another push, again and again", async () => {
    for (let round = 0; round < 3; round += 1) {
      const digest = await pushBlob(registry, "team/m", "{}");
      expect((await remove(digest, "alice")).status).toBe(202);
      expect((await blob(digest, "alice", {}, "HEAD")).status).toBe(404);
    }
  });

  test("tells the collector when it was", async () => {
    const digest = await pushBlob(registry, "team/m", CONTENT);
    await remove(digest, "alice");
    expect((await registry.metadata.get(keys.blobUse(digest)))?.value).toMatchObject({ v: 1 });
    expect((await registry.metadata.get(keys.blob(digest)))?.value).toMatchObject({ status: "present" });
  });

  test("of an unknown blob is 404, of a malformed digest 400", async () => {
    const unknown = await remove(digestOf("unknown"), "alice");
    expect([unknown.status, unknown.code]).toEqual([404, "BLOB_UNKNOWN"]);
    expect((await ask(registry, "DELETE", "/v2/team/m/blobs/sha256:no")).code).toBe("DIGEST_INVALID");
  });

  test("is for whoever pushed or mounted it, and for maintainers and operators (RULES 11)", async () => {
    const digest = await pushBlob(registry, "team/m", CONTENT);
    for (const as of ["rita", "carl", "nobody"]) expect((await remove(digest, as)).status).toBe(403);
    const others = await remove(digest, "bob");
    expect([others.status, others.code]).toEqual([403, "DENIED"]);
    expect((await blob(digest, "alice")).status).toBe(200);
    expect((await remove(digest, "mona")).status).toBe(202);
    await pushBlob(registry, "team/m", CONTENT);
    expect((await remove(digest, "olga")).status).toBe(202);
    await pushBlob(registry, "team/m", CONTENT);
    await ask(registry, "POST", `/v2/team/n/blobs/uploads/?mount=${digest}`, { as: "bob" });
    expect((await ask(registry, "DELETE", `/v2/team/n/blobs/${digest}`, { as: "bob" })).status).toBe(202);
  });

  test.each([
    ["trusted", trustedRows],
    ["revoked", revokedRows],
  ])("is refused to everyone while a manifest that is or was trusted reaches it: %s", async (_, rows) => {
    const digest = await pushBlob(registry, "team/m", CONTENT);
    await registry.change(rows("team/m", digest));
    for (const as of ["alice", "mona", "olga"]) {
      const refused = await remove(digest, as);
      expect([refused.status, refused.code]).toEqual([403, "DENIED"]);
      expect(refused.message).toContain("delete the artifact");
    }
    expect(await registry.metadata.get(keys.link(nameOf("team/m"), digest))).toBeDefined();
  });

  test("is allowed for damaged bytes that nothing trusted needs", async () => {
    const digest = await pushBlob(registry, "team/m", CONTENT);
    await setDamaged(digest);
    expect((await remove(digest, "alice")).status).toBe(202);
  });
});
