import { randomBytes } from "node:crypto";
import { rm } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { digestOf } from "../../../src/oci/digest.ts";
import { openFilesystem } from "../../../src/storage/filesystem.ts";
import { openWritable } from "../../../src/storage/writable-file.ts";
import { keys } from "../../../src/storage/keys.ts";
import {
  type Answer,
  type BlobRegistry,
  ask,
  beginUpload,
  blobsWith,
  nameOf,
  pushBlob,
  revokedRows,
  startBlobRegistry,
  trustedRows,
  unsaid,
  visible,
} from "../../support/blob-registry.ts";

let registry: BlobRegistry;

beforeEach(async () => {
  registry = await startBlobRegistry();
});

afterEach(() => registry.stop());

const HELLO = Buffer.from("hello, registry");

async function stagedUploads(): Promise<string[]> {
  const names: string[] = [];
  for await (const name of registry.blobs.listStaged()) names.push(name);
  return names;
}

async function eventTypes(): Promise<string[]> {
  return (await registry.events()).map(({ type }) => type);
}

/** A body whose length is not announced. */
function stream(...parts: readonly (Uint8Array | string)[]): Readable {
  return Readable.from(parts.map((part) => Buffer.from(part)));
}

function withDigest(location: string, digest: string): string {
  return `${location}&digest=${digest}`;
}

/** Sends a part of a body whose length is announced; what it returns breaks the connection. */
function beginBody(at: BlobRegistry, path: string, method: "PATCH" | "POST", sent: Uint8Array): () => Promise<void> {
  const outgoing = request(at.edge.url + path, {
    method,
    headers: { Authorization: "Bearer alice", "Content-Length": String(sent.length + 100) },
  });
  outgoing.on("error", () => undefined);
  const closed = new Promise<void>((resolve) => outgoing.once("close", resolve));
  outgoing.write(sent);
  return async () => {
    outgoing.destroy();
    await closed;
  };
}

async function untilOffset(path: string, size: number): Promise<Answer> {
  for (;;) {
    const answer = await ask(registry, "GET", path);
    if (answer.headers.range === `0-${size - 1}`) return answer;
    if (answer.status !== 204) throw new Error(`GET of the upload was answered by ${answer.status}`);
  }
}

function mount(to: string, query: string, as: string): Promise<Answer> {
  return ask(registry, "POST", `/v2/${to}/blobs/uploads/?${query}`, { as });
}

describe("POST and PUT", () => {
  test.each(["sha256", "sha512"] as const)("push a blob by %s, which can be read at once", async (algorithm) => {
    const digest = digestOf(HELLO, algorithm);
    const begun = await ask(registry, "POST", "/v2/team/m/blobs/uploads/");
    expect(begun.status).toBe(202);
    expect(begun.headers.location).toMatch(/^\/v2\/team\/m\/blobs\/uploads\/[\w.-]+\?_o=0$/);
    expect(begun.headers.range).toBe("0-0");
    expect(begun.headers["oci-chunk-min-length"]).toBeUndefined();
    const put = await ask(registry, "PUT", withDigest(begun.headers.location ?? "", digest), { body: HELLO });
    expect(put.status).toBe(201);
    expect(put.headers["docker-content-digest"]).toBe(digest);
    expect(put.headers.location).toBe(`/v2/team/m/blobs/${digest}`);
    const got = await ask(registry, "GET", put.headers.location ?? "");
    expect(got.body).toEqual(HELLO);
    expect(await stagedUploads()).toEqual([]);
  });

  test("push a blob whose length is not announced", async () => {
    const location = await beginUpload(registry, "team/m");
    const put = await ask(registry, "PUT", withDigest(location, digestOf(HELLO)), { body: stream("hello, ", "registry") });
    expect(put.status).toBe(201);
  });

  test("push the blob of zero bytes", async () => {
    const location = await beginUpload(registry, "team/m");
    expect((await ask(registry, "PUT", withDigest(location, digestOf("")))).status).toBe(201);
    const got = await ask(registry, "GET", `/v2/team/m/blobs/${digestOf("")}`);
    expect([got.status, got.headers["content-length"], got.body.length]).toEqual([200, "0", 0]);
  });

  test("take again what is revoked here; its publisher is denied it as before, and who reviews is not", async () => {
    const digest = await pushBlob(registry, "team/m", HELLO);
    await registry.change(revokedRows("team/m", digest));
    const location = await beginUpload(registry, "team/m");
    expect((await ask(registry, "PUT", withDigest(location, digest), { body: HELLO })).status).toBe(201);
    expect((await ask(registry, "GET", location)).status).toBe(404);
    const path = `/v2/team/m/blobs/${digest}`;
    expect((await ask(registry, "HEAD", path)).status).toBe(403);
    expect((await ask(registry, "GET", path)).code).toBe("DENIED");
    expect((await ask(registry, "GET", path, { as: "ops" })).body).toEqual(HELLO);
  });

  test("record the link, the blob, the repository and one event in one change", async () => {
    const digest = await pushBlob(registry, "team/m", HELLO);
    const [event, ...others] = await registry.events();
    expect(others).toEqual([]);
    expect(event).toMatchObject({
      type: "blob.push",
      outcome: "allow",
      actor: { principal: "alice" },
      target: { kind: "blob", name: "team/m", digest },
      after: { size: HELLO.length },
    });
    const rows = await Promise.all(
      [
        keys.link(nameOf("team/m"), digest),
        keys.blobRepository(digest, nameOf("team/m")),
        keys.blob(digest),
        keys.repository(nameOf("team/m")),
      ].map((key) => registry.metadata.get(key)),
    );
    expect(new Set(rows.map((row) => row?.version)).size).toBe(1);
    expect(rows[0]?.value).toMatchObject({ v: 1, size: HELLO.length, by: "alice" });
    expect(rows[2]?.value).toMatchObject({ v: 1, size: HELLO.length, status: "present", damaged: false });
    expect(rows[3]?.value).toMatchObject({ v: 1, trusted: 0 });
  });

  test("of what the repository has already is 201 and neither an event nor a change (RULES 29)", async () => {
    const digest = await pushBlob(registry, "team/m", HELLO);
    const before = await registry.metadata.get(keys.blob(digest));
    await pushBlob(registry, "team/m", HELLO);
    await pushBlob(registry, "team/m", HELLO, "bob");
    expect(await eventTypes()).toEqual(["blob.push"]);
    expect(await registry.metadata.get(keys.blob(digest))).toEqual(before);
    expect((await registry.metadata.get(keys.link(nameOf("team/m"), digest)))?.value).toMatchObject({ by: "alice" });
  });

  test("link a blob that only another repository had", async () => {
    await pushBlob(registry, "team/m", HELLO);
    const digest = await pushBlob(registry, "other/m", HELLO, "carl");
    expect(await eventTypes()).toEqual(["blob.push", "blob.push"]);
    expect((await ask(registry, "GET", `/v2/other/m/blobs/${digest}`, { as: "carl" })).status).toBe(200);
  });

  test("with a wrong digest are refused, and the upload is gone", async () => {
    const location = await beginUpload(registry, "team/m");
    const wrong = digestOf("something else");
    const put = await ask(registry, "PUT", withDigest(location, wrong), { body: HELLO });
    expect([put.status, put.code]).toEqual([400, "DIGEST_INVALID"]);
    expect((await ask(registry, "GET", location)).code).toBe("BLOB_UPLOAD_UNKNOWN");
    expect(await stagedUploads()).toEqual([]);
    for (const digest of [wrong, digestOf(HELLO)]) expect((await ask(registry, "GET", `/v2/team/m/blobs/${digest}`)).status).toBe(404);
    expect(await eventTypes()).toEqual([]);
    expect(await registry.blobs.stat(digestOf(HELLO))).toBeUndefined();
  });

  test.each([
    "",
    "?digest=",
    "?digest=sha256:abc",
    "?digest=md5:d41d8cd98f00b204e9800998ecf8427e",
    `?digest=${digestOf("a").toUpperCase()}`,
  ])("without a digest that is one are refused and leave the upload open: %j", async (query) => {
    const path = (await beginUpload(registry, "team/m")).split("?", 1)[0] ?? "";
    const put = await ask(registry, "PUT", path + query, { body: HELLO });
    expect([put.status, put.code]).toEqual([400, "DIGEST_INVALID"]);
    expect((await ask(registry, "PUT", `${path}?digest=${digestOf(HELLO)}`, { body: HELLO })).status).toBe(201);
  });

  test("that close an upload twice get 404 for the second", async () => {
    const location = await beginUpload(registry, "team/m");
    const path = withDigest(location, digestOf(HELLO));
    expect((await ask(registry, "PUT", path, { body: HELLO })).status).toBe(201);
    expect((await ask(registry, "PUT", path, { body: HELLO })).code).toBe("BLOB_UPLOAD_UNKNOWN");
  });

  test("keep what has arrived when the client breaks off, and the upload can be closed from there", async () => {
    const location = await beginUpload(registry, "team/m");
    const leave = beginBody(registry, location, "PATCH", HELLO.subarray(0, 6));
    await untilOffset(location, 6);
    await leave();
    const resumed = await untilOffset(location, 6);
    const put = await ask(registry, "PUT", withDigest(resumed.headers.location ?? "", digestOf(HELLO)), { body: HELLO.subarray(6) });
    expect(put.status).toBe(201);
  });
});

describe("single POST", () => {
  test.each(["sha256", "sha512"] as const)("with ?digest= by %s and the body is 201", async (algorithm) => {
    const digest = digestOf(HELLO, algorithm);
    const post = await ask(registry, "POST", `/v2/team/m/blobs/uploads/?digest=${digest}`, { body: HELLO });
    expect([post.status, post.headers["docker-content-digest"], post.headers.location]).toEqual([
      201,
      digest,
      `/v2/team/m/blobs/${digest}`,
    ]);
    expect((await ask(registry, "GET", post.headers.location ?? "")).body).toEqual(HELLO);
  });

  test("with a wrong digest is refused and leaves nothing", async () => {
    const post = await ask(registry, "POST", `/v2/team/m/blobs/uploads/?digest=${digestOf("x")}`, { body: HELLO });
    expect([post.status, post.code]).toEqual([400, "DIGEST_INVALID"]);
    expect(await stagedUploads()).toEqual([]);
  });

  test("with a malformed digest is refused before anything is staged", async () => {
    const post = await ask(registry, "POST", "/v2/team/m/blobs/uploads/?digest=sha256:xyz", { body: HELLO });
    expect([post.status, post.code]).toEqual([400, "DIGEST_INVALID"]);
    expect(await stagedUploads()).toEqual([]);
  });

  test("whose client breaks off leaves nothing, since nobody knows where to go on", async () => {
    const discarded = Promise.withResolvers<void>();
    const staged = Promise.withResolvers<void>();
    const watched = await startBlobRegistry({
      directory: registry.directory,
      around: (blobs) =>
        blobsWith(blobs, {
          stage: async (upload) => blobs.stage(upload).then(staged.resolve),
          discard: async (upload) => blobs.discard(upload).then(discarded.resolve),
        }),
    });
    const leave = beginBody(watched, `/v2/team/m/blobs/uploads/?digest=${digestOf(HELLO)}`, "POST", HELLO.subarray(0, 4));
    await staged.promise;
    await leave();
    await discarded.promise;
    expect(await stagedUploads()).toEqual([]);
    expect(await eventTypes()).toEqual([]);
    await watched.stop();
  });
});

describe("PATCH", () => {
  test("streams a body, announced or not, and the empty PUT closes the upload", async () => {
    const first = await ask(registry, "PATCH", await beginUpload(registry, "team/m"), { body: stream("hello", ", ") });
    expect([first.status, first.headers.range]).toEqual([202, "0-6"]);
    const second = await ask(registry, "PATCH", first.headers.location ?? "", { body: Buffer.from("registry") });
    expect([second.status, second.headers.range]).toEqual([202, `0-${HELLO.length - 1}`]);
    expect((await ask(registry, "PUT", withDigest(second.headers.location ?? "", digestOf(HELLO)))).status).toBe(201);
  });

  test("takes chunks in order, by PATCH and by the closing PUT", async () => {
    let location = await beginUpload(registry, "team/m");
    for (const [start, end] of [
      [0, 4],
      [5, 9],
    ] as const) {
      const patch = await ask(registry, "PATCH", location, {
        body: HELLO.subarray(start, end + 1),
        headers: { "Content-Range": `${start}-${end}` },
      });
      expect([patch.status, patch.headers.range]).toEqual([202, `0-${end}`]);
      location = patch.headers.location ?? "";
    }
    const put = await ask(registry, "PUT", withDigest(location, digestOf(HELLO)), {
      body: HELLO.subarray(10),
      headers: { "Content-Range": `10-${HELLO.length - 1}` },
    });
    expect(put.status).toBe(201);
  });

  test.each(["PATCH", "PUT"] as const)("out of order, by %s, is 416 with where to go on, and the upload stays open", async (method) => {
    const begun = await beginUpload(registry, "team/m");
    const patch = await ask(registry, "PATCH", begun, { body: HELLO.subarray(0, 5), headers: { "Content-Range": "0-4" } });
    const location = patch.headers.location ?? "";
    for (const range of ["0-4", "4-8", "6-10", "100-104"]) {
      const path = method === "PUT" ? withDigest(location, digestOf(HELLO)) : location;
      const refused = await ask(registry, method, path, { body: HELLO.subarray(0, 5), headers: { "Content-Range": range } });
      expect([refused.status, refused.code, refused.headers.range]).toEqual([416, "BLOB_UPLOAD_INVALID", "0-4"]);
      expect(refused.headers.location).toBe(location);
      const status = await ask(registry, "GET", path);
      expect([status.status, status.headers.range]).toEqual([204, "0-4"]);
    }
    const put = await ask(registry, "PUT", withDigest(location, digestOf(HELLO)), { body: HELLO.subarray(5) });
    expect(put.status).toBe(201);
  });

  test("streamed to an older location is 416 once the upload has grown, so that no bytes are written twice", async () => {
    const begun = await beginUpload(registry, "team/m");
    await ask(registry, "PATCH", begun, { body: HELLO.subarray(0, 5) });
    for (const method of ["PATCH", "PUT"]) {
      const path = method === "PUT" ? withDigest(begun, digestOf(HELLO)) : begun;
      const again = await ask(registry, method, path, { body: HELLO.subarray(0, 5) });
      expect([again.status, again.headers.range]).toEqual([416, "0-4"]);
    }
    const ranged = await ask(registry, "PATCH", begun, { body: HELLO.subarray(5), headers: { "Content-Range": `5-${HELLO.length - 1}` } });
    expect(ranged.status).toBe(202);
    expect((await ask(registry, "PUT", withDigest(begun, digestOf(HELLO)))).status).toBe(201);
  });

  test("without the location's offset goes to the end", async () => {
    const path = (await beginUpload(registry, "team/m")).split("?", 1)[0] ?? "";
    expect((await ask(registry, "PATCH", path, { body: HELLO.subarray(0, 5) })).status).toBe(202);
    expect((await ask(registry, "PATCH", path, { body: HELLO.subarray(5) })).headers.range).toBe(`0-${HELLO.length - 1}`);
  });

  test.each(["abc", "-1", "1e99", "0x0"])("with an offset in the location that was never given out is 416: %s", async (offset) => {
    const path = (await beginUpload(registry, "team/m")).split("?", 1)[0] ?? "";
    await ask(registry, "PATCH", path, { body: HELLO.subarray(0, 5) });
    expect((await ask(registry, "PATCH", `${path}?_o=${offset}`, { body: HELLO.subarray(5) })).status).toBe(416);
  });

  test("may be empty, and the next one may go to the older location", async () => {
    const begun = await beginUpload(registry, "team/m");
    const empty = await ask(registry, "PATCH", begun);
    expect([empty.status, empty.headers.range]).toEqual([202, "0-0"]);
    const patch = await ask(registry, "PATCH", begun, { body: HELLO });
    expect(patch.status).toBe(202);
    expect((await ask(registry, "PUT", withDigest(patch.headers.location ?? "", digestOf(HELLO)))).status).toBe(201);
  });

  test("finds its upload by a location that came back with its parameters in another order and form", async () => {
    const [path, query] = (await beginUpload(registry, "team/m")).split("?", 2);
    const digest = digestOf(HELLO);
    const put = await ask(registry, "PUT", `${path}?digest=${encodeURIComponent(digest)}&x=1&${query?.replace("_o", "%5Fo")}`, {
      body: HELLO,
    });
    expect(put.status).toBe(201);
  });

  test.each(["5", "5-", "-5", "a-b", "4-0", "0-4-8", "0--1", "99999999999999999999-99999999999999999999"])(
    "with a malformed Content-Range is refused before a byte is written: %s",
    async (range) => {
      const location = await beginUpload(registry, "team/m");
      const patch = await ask(registry, "PATCH", location, { body: HELLO, headers: { "Content-Range": range } });
      expect([patch.status, patch.code]).toEqual([400, "BLOB_UPLOAD_INVALID"]);
      expect((await ask(registry, "GET", location)).headers.range).toBe("0-0");
    },
  );

  test("whose Content-Length is not that of its Content-Range is refused before a byte is written", async () => {
    const location = await beginUpload(registry, "team/m");
    for (const range of ["0-4", "0-99"]) {
      const patch = await ask(registry, "PATCH", location, { body: HELLO, headers: { "Content-Range": range } });
      expect([patch.status, patch.code]).toEqual([400, "SIZE_INVALID"]);
    }
    expect((await ask(registry, "GET", location)).headers.range).toBe("0-0");
  });

  test("whose body is longer or shorter than its Content-Range is refused, and the upload is what the range says at most", async () => {
    const location = await beginUpload(registry, "team/m");
    const long = await ask(registry, "PATCH", location, { body: stream(HELLO), headers: { "Content-Range": "0-4" } });
    expect([long.status, long.code]).toEqual([400, "SIZE_INVALID"]);
    expect((await ask(registry, "GET", location)).headers.range).toBe("0-4");
    const short = await ask(registry, "PATCH", location, { body: stream(HELLO.subarray(5, 8)), headers: { "Content-Range": "5-99" } });
    expect([short.status, short.code]).toEqual([400, "SIZE_INVALID"]);
    const status = await ask(registry, "GET", location);
    expect(status.headers.range).toBe("0-7");
    const put = await ask(registry, "PUT", withDigest(status.headers.location ?? "", digestOf(HELLO)), { body: HELLO.subarray(8) });
    expect(put.status).toBe(201);
  });

  test("that another request of the upload is in the middle of waits for its end, or is 409 while that goes on", async () => {
    const location = await beginUpload(registry, "team/m");
    const body = new Readable({ read: () => undefined });
    body.push(HELLO.subarray(0, 5));
    const first = ask(registry, "PATCH", location, { body });
    await untilOffset(location, 5);
    const path = location.split("?", 1)[0] ?? "";
    const second = await ask(registry, "PATCH", path, { body: HELLO });
    expect([second.status, second.code]).toEqual([409, "BLOB_UPLOAD_INVALID"]);
    const third = ask(registry, "PATCH", `${path}?_o=5`, { body: Buffer.from("!") });
    body.push(HELLO.subarray(5));
    body.push(null);
    expect((await first).headers.range).toBe(`0-${HELLO.length - 1}`);
    // Whether it looked before or after the end of the first: no byte goes where another one is by now.
    expect((await third).status).toBe(416);
  });
});

describe("an upload announced by digest-algorithm", () => {
  test("sha512 is hashed by it", async () => {
    const begun = await ask(registry, "POST", "/v2/team/m/blobs/uploads/?digest-algorithm=sha512");
    expect(begun.headers.location).toContain("/sha512.");
    const patch = await ask(registry, "PATCH", begun.headers.location ?? "", { body: HELLO });
    expect((await ask(registry, "PUT", withDigest(patch.headers.location ?? "", digestOf(HELLO, "sha512")))).status).toBe(201);
  });

  test("may be closed by a digest of the other algorithm", async () => {
    const begun = await ask(registry, "POST", "/v2/team/m/blobs/uploads/?digest-algorithm=sha512");
    const patch = await ask(registry, "PATCH", begun.headers.location ?? "", { body: HELLO });
    expect((await ask(registry, "PUT", withDigest(patch.headers.location ?? "", digestOf(HELLO)))).status).toBe(201);
  });

  test("of an unknown name is refused", async () => {
    for (const name of ["md5", "", "SHA256", "constructor"]) {
      const begun = await ask(registry, "POST", `/v2/team/m/blobs/uploads/?digest-algorithm=${name}`);
      expect([begun.status, begun.code]).toEqual([400, "DIGEST_INVALID"]);
    }
  });
});

describe("GET and DELETE of an upload", () => {
  test("tell how much has arrived, and cancel it", async () => {
    const location = await beginUpload(registry, "team/m");
    await ask(registry, "PATCH", location, { body: HELLO });
    const status = await ask(registry, "GET", location);
    expect([status.status, status.headers.range, status.body.length]).toEqual([204, `0-${HELLO.length - 1}`, 0]);
    expect(status.headers.location).toBe(location.replace("_o=0", `_o=${HELLO.length}`));
    const cancelled = await ask(registry, "DELETE", location);
    expect([cancelled.status, cancelled.body.length]).toEqual([204, 0]);
    expect(await stagedUploads()).toEqual([]);
    for (const method of ["GET", "DELETE", "PATCH"]) expect((await ask(registry, method, location)).status).toBe(404);
  });

  test("DELETE while a request writes to it is 409, and the writer goes on", async () => {
    const location = await beginUpload(registry, "team/m");
    const body = new Readable({ read: () => undefined });
    body.push(HELLO.subarray(0, 5));
    const writing = ask(registry, "PATCH", location, { body });
    await untilOffset(location, 5);
    expect((await ask(registry, "DELETE", location)).status).toBe(409);
    body.push(null);
    expect((await writing).status).toBe(202);
  });

  test("DELETE waits for the end of a request whose connection breaks off", async () => {
    let leave: (() => Promise<void>) | undefined;
    const watched = await startBlobRegistry({
      directory: registry.directory,
      around: (blobs) =>
        blobsWith(blobs, {
          discard: async (upload) => {
            const discarding = blobs.discard(upload);
            // It breaks off once the deletion has found the upload held.
            await discarding.catch(() => leave?.());
            await discarding;
          },
        }),
    });
    const location = await beginUpload(watched, "team/m");
    leave = beginBody(watched, location, "PATCH", HELLO.subarray(0, 5));
    await untilOffset(location, 5);
    expect((await ask(watched, "DELETE", location)).status).toBe(204);
    expect(await stagedUploads()).toEqual([]);
    await watched.stop();
  });

  test("survive a restart, and the upload goes on where it was", async () => {
    const location = await beginUpload(registry, "team/m");
    await ask(registry, "PATCH", location, { body: HELLO.subarray(0, 9) });
    const again = await startBlobRegistry({ directory: registry.directory });
    const status = await ask(again, "GET", location);
    expect([status.status, status.headers.range]).toEqual([204, "0-8"]);
    const put = await ask(again, "PUT", withDigest(status.headers.location ?? "", digestOf(HELLO)), { body: HELLO.subarray(9) });
    expect(put.status).toBe(201);
    await again.stop();
  });
});

test("a client that asks first is told to send its body to an upload that is there, and gets the 404 of another one at once", async () => {
  const location = await beginUpload(registry, "team/m");
  const headers = { Authorization: "Bearer alice", "Content-Length": HELLO.length, Expect: "100-continue" };
  /** The statuses that it gets; the body follows a 100 alone. */
  const put = (path: string): Promise<(number | undefined)[]> =>
    new Promise((resolve, reject) => {
      const statuses: (number | undefined)[] = [];
      const outgoing = request(registry.edge.url + withDigest(path, digestOf(HELLO)), { method: "PUT", headers });
      outgoing.on("continue", () => {
        statuses.push(100);
        outgoing.end(HELLO);
      });
      outgoing.on("response", (incoming) => {
        resolve([...statuses, incoming.statusCode]);
        incoming.resume();
        outgoing.destroy();
      });
      outgoing.on("error", reject);
      outgoing.flushHeaders();
    });
  expect(await put(location)).toEqual([100, 201]);
  expect(await put(location)).toEqual([404]);
});

describe("an upload of somebody else", () => {
  const methods = ["GET", "HEAD", "PATCH", "PUT", "DELETE"] as const;

  test.each(methods)("is answered exactly as an unknown one: %s", async (method) => {
    const location = await beginUpload(registry, "team/m");
    const [path = "", query] = location.split("?", 2);
    const unknown = `${path.slice(0, -3)}${path.endsWith("xyz") ? "abc" : "xyz"}?${query}`;
    const suffix = method === "PUT" ? `&digest=${digestOf(HELLO)}` : "";
    const body = method === "PATCH" || method === "PUT" ? { body: HELLO } : {};
    const theirs = await ask(registry, method, location + suffix, { as: "bob", ...body });
    const forged = await ask(registry, method, unknown + suffix, { as: "bob", ...body });
    const elsewhere = await ask(registry, method, location.replace("team/m", "team/n") + suffix, body);
    expect(theirs.status).toBe(404);
    expect(theirs.code).toBe(method === "HEAD" ? undefined : "BLOB_UPLOAD_UNKNOWN");
    expect(visible(theirs)).toEqual(visible(forged));
    expect(visible(elsewhere)).toEqual(visible(forged));
    expect((await ask(registry, "GET", location)).headers.range).toBe("0-0");
  });

  test.each(["..", "%2e%2e%2fblobs", "data", "sha256..", "a".repeat(300), "%00"])("is no path into the store: %s", async (id) => {
    for (const method of methods) {
      const answer = await ask(registry, method, `/v2/team/m/blobs/uploads/${id}?digest=${digestOf(HELLO)}`);
      expect(answer.status).toBeGreaterThanOrEqual(400);
      expect(answer.status).toBeLessThan(500);
    }
  });
});

describe("who may push", () => {
  test("a caller without push in the repository is refused before its bytes are taken", async () => {
    for (const as of ["rita", "carl", "olga", "nobody"]) {
      const begun = await ask(registry, "POST", "/v2/team/m/blobs/uploads/", { as });
      expect([begun.status, begun.code]).toEqual([403, "DENIED"]);
    }
    expect(await stagedUploads()).toEqual([]);
  });

  test.each(["team/sha256-0a1b", "team/sha512-ff/m"])(
    "a repository with a component like a digest is refused (RULES 16): %s",
    async (repository) => {
      for (const query of ["", `?digest=${digestOf(HELLO)}`, `?mount=${digestOf(HELLO)}`]) {
        const begun = await ask(registry, "POST", `/v2/${repository}/blobs/uploads/${query}`, { body: HELLO });
        expect([begun.status, begun.code]).toEqual([400, "NAME_INVALID"]);
      }
    },
  );
});

describe("mount", () => {
  test("with from links a blob that the caller may read there", async () => {
    const digest = await pushBlob(registry, "team/m", HELLO);
    const mounted = await mount("other/m", `mount=${digest}&from=team/m`, "both");
    expect([mounted.status, mounted.headers.location, mounted.headers["docker-content-digest"]]).toEqual([
      201,
      `/v2/other/m/blobs/${digest}`,
      digest,
    ]);
    expect((await ask(registry, "GET", `/v2/other/m/blobs/${digest}`, { as: "carl" })).body).toEqual(HELLO);
    expect((await registry.events()).at(-1)).toMatchObject({
      type: "blob.mount",
      actor: { principal: "both" },
      target: { kind: "blob", name: "other/m", digest },
      after: { from: "team/m" },
    });
    expect((await registry.metadata.get(keys.link(nameOf("other/m"), digest)))?.value).toMatchObject({ by: "both", size: HELLO.length });
    expect(await registry.metadata.get(keys.repository(nameOf("other/m")))).toBeDefined();
  });

  test("without from, or with an empty one, finds a repository that the caller may read", async () => {
    const digest = await pushBlob(registry, "team/m", HELLO);
    expect((await mount("team/n", `mount=${digest}`, "bob")).status).toBe(201);
    expect((await mount("other/m", `mount=${digest}&from=&origin=`, "both")).status).toBe(201);
  });

  test("of what is linked here already is 201 and no event", async () => {
    const digest = await pushBlob(registry, "team/m", HELLO);
    expect((await mount("team/m", `mount=${digest}&from=team/nowhere`, "bob")).status).toBe(201);
    expect(await eventTypes()).toEqual(["blob.push"]);
  });

  test("of what cannot be mounted is an upload, the same for all reasons", async () => {
    const digest = await pushBlob(registry, "team/m", HELLO);
    const missing = digestOf("nowhere");
    const refused = [
      ["other/m", `mount=${digest}&from=team/m`, "carl"],
      ["other/m", `mount=${digest}`, "carl"],
      ["other/m", `mount=${missing}&from=team/m`, "carl"],
      ["other/m", `mount=${missing}&from=team/none`, "carl"],
      ["other/m", `mount=${missing}`, "carl"],
      ["other/m", `mount=${digest}&from=Not_A_Name`, "carl"],
      ["team/n", `mount=${digest}&from=other/m`, "alice"],
    ] as const;
    for (const [to, query, as] of refused) {
      const answer = await mount(to, query, as);
      expect([answer.status, answer.body.length]).toEqual([202, 0]);
      expect(answer.headers["docker-content-digest"]).toBeUndefined();
      const put = await ask(registry, "PUT", withDigest(answer.headers.location ?? "", digestOf("new")), { as, body: Buffer.from("new") });
      expect(put.status).toBe(201);
    }
    expect(await registry.metadata.get(keys.link(nameOf("other/m"), digest))).toBeUndefined();
  });

  test("of a hidden blob gives a reader who may push elsewhere nothing, of a trusted one the link, of a revoked one nothing", async () => {
    const digest = await pushBlob(registry, "other/m", HELLO, "carl");
    // `alice` has no role in `other`; `both` could mount, but what a reader may mount is what matters here.
    expect((await mount("team/a", `mount=${digest}&from=other/m`, "alice")).status).toBe(202);
    await registry.change(trustedRows("other/m", digest));
    expect((await mount("team/a", `mount=${digest}&from=other/m`, "both")).status).toBe(201);
    await registry.change(revokedRows("other/m", digest));
    expect((await mount("team/b", `mount=${digest}&from=other/m`, "both")).status).toBe(202);
    expect((await mount("other/n", `mount=${digest}&from=other/m`, "carl")).status).toBe(202);
    // Who may read it as evidence must not bring it back into use by that.
    expect((await ask(registry, "GET", `/v2/other/m/blobs/${digest}`, { as: "ops" })).status).toBe(200);
    expect((await mount("team/c", `mount=${digest}&from=other/m`, "ops")).status).toBe(202);
  });

  test("of a damaged blob is an upload, so that the right bytes can heal it", async () => {
    const digest = await pushBlob(registry, "team/m", HELLO);
    await damage(digest);
    expect((await mount("team/m", `mount=${digest}`, "alice")).status).toBe(202);
    expect((await mount("team/n", `mount=${digest}&from=team/m`, "alice")).status).toBe(202);
  });

  test("of a malformed digest is refused", async () => {
    const answer = await mount("team/m", "mount=sha256:abc&from=team/n", "alice");
    expect([answer.status, answer.code]).toEqual([400, "DIGEST_INVALID"]);
  });

  test("without from tries 32 readable repositories at most (RULES 3)", async () => {
    const digest = await pushBlob(registry, "team/m", HELLO);
    const bare = nameOf("team/m");
    const link = (await registry.metadata.get(keys.link(bare, digest)))?.value;
    // Rows without a link behind them: readable, and without the blob.
    const names = Array.from({ length: 40 }, (_, at) => nameOf(`team/a${String(at).padStart(2, "0")}`));
    await registry.change({ put: names.map((name) => ({ key: keys.blobRepository(digest, name), value: {} })) });
    expect((await mount("other/m", `mount=${digest}`, "both")).status).toBe(202);
    await registry.change({ put: [{ key: keys.link(nameOf("team/a31"), digest), value: link }] });
    expect((await mount("other/m", `mount=${digest}`, "both")).status).toBe(201);
  });
});

async function damage(digest: ReturnType<typeof digestOf>): Promise<void> {
  const key = keys.blob(digest);
  const record = (await registry.metadata.get(key))?.value as Record<string, unknown>;
  await registry.change({ put: [{ key, value: { ...record, damaged: true } }] });
}

describe("pushing right bytes heals (RULES 15)", () => {
  test("a damaged blob of the same repository, and of all others", async () => {
    const digest = await pushBlob(registry, "team/m", HELLO);
    await pushBlob(registry, "other/m", HELLO, "carl");
    await damage(digest);
    expect((await ask(registry, "GET", `/v2/team/m/blobs/${digest}`)).code).toBe("DENIED");
    await pushBlob(registry, "team/m", HELLO, "bob");
    for (const [repository, as] of [
      ["team/m", "alice"],
      ["other/m", "carl"],
    ] as const) {
      expect((await ask(registry, "GET", `/v2/${repository}/blobs/${digest}`, { as })).body).toEqual(HELLO);
    }
    expect((await registry.events()).at(-1)).toMatchObject({ type: "blob.heal", actor: { principal: "bob" }, before: { damaged: true } });
  });

  test("a damaged blob that the repository did not hold", async () => {
    const digest = await pushBlob(registry, "team/m", HELLO);
    await damage(digest);
    await pushBlob(registry, "team/n", HELLO);
    expect((await ask(registry, "GET", `/v2/team/m/blobs/${digest}`)).body).toEqual(HELLO);
    expect((await registry.events()).at(-1)).toMatchObject({ type: "blob.push", after: { healed: true } });
  });

  test("a file that was lost", async () => {
    const digest = await pushBlob(registry, "team/m", HELLO);
    await registry.blobs.remove(digest, async () => true);
    await pushBlob(registry, "team/m", HELLO);
    expect((await ask(registry, "GET", `/v2/team/m/blobs/${digest}`)).body).toEqual(HELLO);
  });
});

describe("a blob that the collector has condemned", () => {
  test("is published again by a push", async () => {
    const digest = await pushBlob(registry, "team/m", HELLO);
    const key = keys.blob(digest);
    const record = (await registry.metadata.get(key))?.value as Record<string, unknown>;
    await registry.change({
      put: [{ key, value: { ...record, status: "condemned" } }],
      remove: [keys.link(nameOf("team/m"), digest), keys.blobRepository(digest, nameOf("team/m"))],
    });
    expect((await ask(registry, "POST", `/v2/team/m/blobs/uploads/?mount=${digest}`)).status).toBe(202);
    await pushBlob(registry, "team/m", HELLO);
    expect((await ask(registry, "GET", `/v2/team/m/blobs/${digest}`)).body).toEqual(HELLO);
    expect((await registry.metadata.get(key))?.value).toMatchObject({ status: "present" });
  });
});

test("what a kill left of an upload that was being closed is no upload of no bytes: nobody is told to send them again", async () => {
  const location = await beginUpload(registry, "team/m");
  const [id = ""] = await stagedUploads();
  await rm(join(registry.directory, "uploads", id, "data"));
  for (const [method, path] of [
    ["GET", location],
    ["PATCH", location],
    ["PUT", withDigest(location, digestOf(HELLO))],
    ["DELETE", location],
  ] as const) {
    const answer = await ask(registry, method, path, method === "GET" || method === "DELETE" ? {} : { body: HELLO });
    expect([method, answer.status, answer.code]).toEqual([method, 404, "BLOB_UPLOAD_UNKNOWN"]);
  }
});

describe("when the disk is full", () => {
  let full: BlobRegistry;
  let room = Infinity;

  beforeEach(async () => {
    room = Infinity;
    const limited = await openFilesystem(registry.directory, {
      openFile: (path, flags, mode) => {
        const file = openWritable(path, flags, mode);
        return {
          ...file,
          write: async (pieces, position) => {
            if (room <= 0) throw Object.assign(new Error("no space left"), { code: "ENOSPC" });
            const fitting = Buffer.concat(pieces).subarray(0, room);
            room -= fitting.length;
            return file.write([fitting], position);
          },
        };
      },
    });
    full = await startBlobRegistry({ directory: registry.directory, around: () => limited });
  });

  afterEach(() => full.stop());

  test("the client gets an error of the specification, nothing is published, and the push goes on when there is room", async () => {
    const location = await beginUpload(full, "team/m");
    room = 6;
    const patch = await ask(full, "PATCH", location, { body: HELLO });
    expect([patch.status, patch.code]).toEqual([507, "BLOB_UPLOAD_INVALID"]);
    expect(patch.message).not.toContain(registry.directory);
    const status = await ask(full, "GET", location);
    expect([status.status, status.headers.range]).toEqual([204, "0-5"]);
    expect(await registry.blobs.stat(digestOf(HELLO))).toBeUndefined();
    room = Infinity;
    const put = await ask(full, "PUT", withDigest(status.headers.location ?? "", digestOf(HELLO)), { body: HELLO.subarray(6) });
    expect(put.status).toBe(201);
  });

  test("a single POST leaves nothing behind", async () => {
    room = 6;
    const post = await ask(full, "POST", `/v2/team/m/blobs/uploads/?digest=${digestOf(HELLO)}`, { body: unsaid(HELLO) });
    expect(post.status).toBe(507);
    expect(await stagedUploads()).toEqual([]);
    expect(await eventTypes()).toEqual([]);
  });
});

describe("when the disk fails", () => {
  const failure = Object.assign(new Error("/secret/path: bad sector"), { code: "EIO" });

  test.each(["append", "publish", "stage"] as const)(
    "in %s, the client gets 503, nothing is published, and it can try again",
    async (method) => {
      let isBroken = false;
      const failing = await startBlobRegistry({
        directory: registry.directory,
        around: (blobs) =>
          blobsWith(blobs, {
            [method]: (...args: never[]) => (isBroken ? Promise.reject(failure) : (blobs[method] as (...all: never[]) => unknown)(...args)),
          }),
      });
      const location = await beginUpload(failing, "team/m");
      const attempt = (): Promise<Answer> =>
        method === "stage"
          ? ask(failing, "POST", "/v2/team/m/blobs/uploads/", { body: HELLO })
          : ask(failing, "PUT", withDigest(location.split("?", 1)[0] ?? "", digestOf(HELLO)).replace("&", "?"), { body: unsaid(HELLO) });
      isBroken = true;
      const refused = await attempt();
      expect([refused.status, refused.code, refused.headers["retry-after"]]).toEqual([503, "BLOB_UPLOAD_INVALID", "5"]);
      expect(refused.message).not.toContain("secret");
      expect(await registry.blobs.stat(digestOf(HELLO))).toBeUndefined();
      expect(await eventTypes()).toEqual([]);
      isBroken = false;
      const state = await ask(failing, "GET", location);
      const rest = method === "publish" ? Buffer.alloc(0) : HELLO;
      const put = await ask(failing, "PUT", withDigest(state.headers.location ?? "", digestOf(HELLO)), { body: rest });
      expect(put.status).toBe(201);
      await failing.stop();
    },
  );
});

test("a body that arrives too slowly is 408, and the upload goes on where it was", async () => {
  const strict = await startBlobRegistry({ directory: registry.directory, pace: { bytesPerSecond: 1_000_000, windowMilliseconds: 150 } });
  const location = await beginUpload(strict, "team/m");
  const body = new Readable({ read: () => undefined });
  body.push(HELLO.subarray(0, 5));
  const patch = await ask(strict, "PATCH", location, { body });
  expect([patch.status, patch.code]).toEqual([408, "BLOB_UPLOAD_INVALID"]);
  const status = await ask(registry, "GET", location);
  expect(status.headers.range).toBe("0-4");
  const put = await ask(registry, "PUT", withDigest(status.headers.location ?? "", digestOf(HELLO)), { body: HELLO.subarray(5) });
  expect(put.status).toBe(201);
  await strict.stop();
});

describe("two workers that write to one upload", () => {
  test("never publish other bytes than the digest's, whichever of their requests come first", async () => {
    const others = await startBlobRegistry({ directory: registry.directory });
    const workers = [registry, others];
    let published = 0;
    for (let round = 0; round < 10; round += 1) {
      const path = (await beginUpload(registry, "team/m")).split("?", 1)[0] ?? "";
      const contents = [randomBytes(200_000), randomBytes(200_000)];
      await Promise.all(
        contents.map(async (body, at) => {
          const worker = workers[at] ?? registry;
          await ask(worker, "PATCH", path, { body });
          await ask(worker, "PUT", `${path}?digest=${digestOf(body)}`);
          await ask(worker, "PUT", `${path}?digest=${digestOf(body)}`, { body });
        }),
      );
      for (const content of contents) {
        const got = await ask(others, "GET", `/v2/team/m/blobs/${digestOf(content)}`);
        if (got.status === 404) continue;
        published += 1;
        expect(got.body.equals(content)).toBe(true);
      }
    }
    expect(published).toBeGreaterThan(0);
    await others.stop();
  });

  test("one of which writes between the other's hash and its publishing: 416, and nothing is published", async () => {
    let path = "";
    const closing = await startBlobRegistry({
      directory: registry.directory,
      around: (blobs) =>
        blobsWith(blobs, {
          publish: async (upload, digest, options) => {
            expect((await ask(registry, "PATCH", path, { body: Buffer.from("poison") })).status).toBe(202);
            return blobs.publish(upload, digest, options);
          },
        }),
    });
    path = (await beginUpload(closing, "team/m")).split("?", 1)[0] ?? "";
    const put = await ask(closing, "PUT", `${path}?digest=${digestOf(HELLO)}`, { body: unsaid(HELLO) });
    expect([put.status, put.headers.range]).toEqual([416, `0-${HELLO.length + 5}`]);
    expect((await ask(closing, "GET", `/v2/team/m/blobs/${digestOf(HELLO)}`)).status).toBe(404);
    expect(await closing.blobs.stat(digestOf(HELLO))).toBeUndefined();
    await closing.stop();
  });

  test("one of which writes after the other has published: 400, and the blob is what it was", async () => {
    const location = await beginUpload(registry, "team/m");
    const path = location.split("?", 1)[0] ?? "";
    const late: Answer[] = [];
    const closing = await startBlobRegistry({
      directory: registry.directory,
      around: (blobs) =>
        blobsWith(blobs, {
          publish: async (upload, digest, options) => {
            await blobs.publish(upload, digest, options);
            late.push(await ask(registry, "PATCH", path, { body: Buffer.from("poison") }));
          },
        }),
    });
    expect((await ask(closing, "PUT", withDigest(location, digestOf(HELLO)), { body: unsaid(HELLO) })).status).toBe(201);
    expect(late.map(({ status, code }) => [status, code])).toEqual([[400, "BLOB_UPLOAD_INVALID"]]);
    expect((await ask(registry, "GET", `/v2/team/m/blobs/${digestOf(HELLO)}`)).body).toEqual(HELLO);
    await closing.stop();
  });

  test("and one of which cancels it while the other closes it: 404, and nothing is published", async () => {
    let location = "";
    const closing = await startBlobRegistry({
      directory: registry.directory,
      around: (blobs) =>
        blobsWith(blobs, {
          publish: async (upload, digest, options) => {
            expect((await ask(registry, "DELETE", location)).status).toBe(204);
            return blobs.publish(upload, digest, options);
          },
        }),
    });
    location = await beginUpload(closing, "team/m");
    const put = await ask(closing, "PUT", withDigest(location, digestOf(HELLO)), { body: unsaid(HELLO) });
    expect([put.status, put.code]).toEqual([404, "BLOB_UPLOAD_UNKNOWN"]);
    expect(await registry.blobs.stat(digestOf(HELLO))).toBeUndefined();
    await closing.stop();
  });
});
