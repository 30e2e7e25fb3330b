import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { type RunningRegistry, startRegistry } from "../../conformance/registry-process.ts";

/** What the official suite leaves untried, asked of a running server by the publisher of a default registry. */
const IMAGE = "application/vnd.oci.image.manifest.v1+json";
const INDEX = "application/vnd.oci.image.index.v1+json";
const MIB = 1024 * 1024;
/** The codes of the specification (§Error Codes); no other may stand in an answer under /v2/. */
const CODES = (
  "BLOB_UNKNOWN BLOB_UPLOAD_INVALID BLOB_UPLOAD_UNKNOWN DIGEST_INVALID MANIFEST_BLOB_UNKNOWN MANIFEST_INVALID MANIFEST_UNKNOWN " +
  "NAME_INVALID NAME_UNKNOWN SIZE_INVALID UNAUTHORIZED DENIED UNSUPPORTED TOOMANYREQUESTS"
).split(" ");

let registry: RunningRegistry;
let authorization: string;

beforeAll(async () => {
  registry = await startRegistry({ WORKERS: "1", LOG_LEVEL: "warn" });
  authorization = `Basic ${Buffer.from(`publisher:${await registry.key("publisher")}`).toString("base64")}`;
}, 60_000);
afterAll(() => registry.dispose(), 60_000);

interface Ask {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

function ask(method: string, path: string, { headers = {}, body }: Ask = {}): Promise<Response> {
  return fetch(new URL(path, registry.url), { method, headers: { authorization, ...headers }, ...(body !== undefined && { body }) });
}

const digestOf = (bytes: string | Buffer, algorithm = "sha256"): string =>
  `${algorithm}:${createHash(algorithm).update(bytes).digest("hex")}`;

/** An image without config and layers of its own; what it names is not pushed, since nothing here needs it. */
function image(more: Readonly<Record<string, unknown>> = {}): string {
  const config = { mediaType: "application/vnd.example.config.v1+json", digest: digestOf("{}"), size: 2 };
  return JSON.stringify({ schemaVersion: 2, mediaType: IMAGE, config, layers: [], ...more });
}

async function push(repository: string, reference: string, manifest: string, type = IMAGE): Promise<Response> {
  const answer = await ask("PUT", `/v2/${repository}/manifests/${reference}`, { headers: { "content-type": type }, body: manifest });
  expect(answer.status).toBe(201);
  return answer;
}

async function startUpload(repository: string, query = ""): Promise<string> {
  const answer = await ask("POST", `/v2/${repository}/blobs/uploads/${query}`);
  expect(answer.status).toBe(202);
  return answer.headers.get("location") ?? "";
}

async function bearerFor(scope: string): Promise<string> {
  const answer = await ask("GET", `/auth/token?service=${registry.host}&scope=${encodeURIComponent(scope)}`);
  return `Bearer ${z.object({ token: z.string() }).parse(await answer.json()).token}`;
}

const withQuery = (location: string, query: string): string => `${location}${location.includes("?") ? "&" : "?"}${query}`;
const tagList = z.object({ name: z.string(), tags: z.array(z.string()) });
const referrers = z.object({ mediaType: z.literal(INDEX), manifests: z.array(z.object({ digest: z.string() })) });
const errors = z.object({ errors: z.array(z.object({ code: z.string(), message: z.string().optional() })).min(1) });

function nextOf(answer: Response): string | undefined {
  const link = answer.headers.get("link");
  return link === null ? undefined : /^<([^>]+)>; rel="next"$/.exec(link)?.[1];
}

describe("manifests", () => {
  test("a manifest of a repository that does not exist is 404", async () => {
    expect((await ask("GET", "/v2/models/nowhere/manifests/latest")).status).toBe(404);
    expect((await ask("GET", `/v2/models/nowhere/manifests/${digestOf("nothing")}`)).status).toBe(404);
  });

  test("parameters of Content-Type are ignored at the push and not given back", async () => {
    const manifest = image({ annotations: { about: "parameters" } });
    await push("models/type", "latest", manifest, `${IMAGE}; charset=utf-8`);
    expect((await ask("GET", "/v2/models/type/manifests/latest")).headers.get("content-type")).toBe(IMAGE);
  });

  test("a manifest over the limit of 4 MiB is 413, and one just under it is taken", async () => {
    const padded = (size: number): string => {
      const bare = image({ annotations: { pad: "" } });
      return image({ annotations: { pad: "x".repeat(size - bare.length) } });
    };
    const answer = await ask("PUT", "/v2/models/large/manifests/over", { headers: { "content-type": IMAGE }, body: padded(4 * MIB + 1) });
    expect(answer.status).toBe(413);
    const full = image({ annotations: Object.fromEntries(Array.from({ length: 64 }, (_, at) => [`pad-${at}`, "x".repeat(60_000)])) });
    await push("models/large", "under", full);
  });

  test("ten tags of one request are all taken and named in OCI-Tag", async () => {
    const manifest = image({ annotations: { about: "tags" } });
    const tags = Array.from({ length: 10 }, (_, at) => `t${at}`);
    const query = tags.map((tag) => `tag=${tag}`).join("&");
    const answer = await push("models/tags", `${digestOf(manifest)}?${query}`, manifest);
    expect((answer.headers.get("oci-tag") ?? "").split(/\s*,\s*/).toSorted()).toEqual(tags);
    for (const tag of tags) expect((await ask("HEAD", `/v2/models/tags/manifests/${tag}`)).status).toBe(200);
  });

  test("HEAD says what GET says and has no body", async () => {
    await push("models/head", "latest", image({ annotations: { about: "head" } }));
    const [head, get] = [await ask("HEAD", "/v2/models/head/manifests/latest"), await ask("GET", "/v2/models/head/manifests/latest")];
    for (const name of ["content-type", "content-length", "docker-content-digest"]) {
      expect(head.headers.get(name)).not.toBeNull();
      expect(head.headers.get(name)).toBe(get.headers.get(name));
    }
    expect((await head.arrayBuffer()).byteLength).toBe(0);
  });

  test("DELETE of a manifest in a repository that does not exist is 404", async () => {
    expect((await ask("DELETE", `/v2/models/nowhere/manifests/${digestOf("nothing")}`)).status).toBe(404);
  });
});

describe("blobs", () => {
  test("an algorithm that is not supported is a 400", async () => {
    const location = await startUpload("models/blobs");
    expect((await ask("PUT", withQuery(location, "digest=md5:d41d8cd98f00b204e9800998ecf8427e"))).status).toBe(400);
    expect((await ask("POST", "/v2/models/blobs/blobs/uploads/?digest-algorithm=md5")).status).toBe(400);
  });

  test("digest-algorithm names the algorithm of the blob beforehand", async () => {
    const location = await startUpload("models/blobs", "?digest-algorithm=sha512");
    const digest = digestOf("by sha512", "sha512");
    const answer = await ask("PUT", withQuery(location, `digest=${digest}`), { body: "by sha512" });
    expect([answer.status, answer.headers.get("docker-content-digest")]).toEqual([201, digest]);
  });

  test("every upload has a location of its own", async () => {
    const locations = [await startUpload("models/blobs"), await startUpload("models/blobs")];
    expect(new Set(locations.map((location) => new URL(location, registry.url).pathname)).size).toBe(2);
  });

  test("the closing PUT must name the digest of the whole blob", async () => {
    const location = await startUpload("models/blobs");
    expect((await ask("PUT", location, { body: "whole" })).status).toBe(400);
  });

  test("a chunk is answered by Range up to its last byte, and the first must begin at 0", async () => {
    const location = await startUpload("models/blobs");
    const early = await ask("PATCH", location, { headers: { "content-range": "1-4" }, body: "late" });
    expect(early.status).toBe(416);
    const first = await ask("PATCH", location, { headers: { "content-range": "0-3" }, body: "0123" });
    expect([first.status, first.headers.get("range")]).toEqual([202, "0-3"]);
    const shown = await ask("GET", first.headers.get("location") ?? "");
    expect([shown.status, shown.headers.get("range")]).toEqual([204, "0-3"]);
  });

  test("DELETE of a blob that is not there is 404", async () => {
    expect((await ask("DELETE", `/v2/models/blobs/blobs/${digestOf("no such blob")}`)).status).toBe(404);
  });

  test("what the client has already is 304, as RFC 9110 has it", async () => {
    const digest = digestOf("kept");
    const pushed = await ask("POST", `/v2/models/blobs/blobs/uploads/?digest=${digest}`, { body: "kept" });
    expect(pushed.status).toBe(201);
    const etag = (await ask("GET", `/v2/models/blobs/blobs/${digest}`)).headers.get("etag") ?? "";
    expect((await ask("GET", `/v2/models/blobs/blobs/${digest}`, { headers: { "if-none-match": etag } })).status).toBe(304);
  });
});

test("an upload that nobody goes on with is removed when its time is over", async () => {
  const hasty = await startRegistry({ WORKERS: "1", LOG_LEVEL: "warn", REGISTRY_UPLOAD_EXPIRY: "1s", REGISTRY_GC_INTERVAL: "1s" });
  try {
    const headers = { authorization: `Basic ${Buffer.from(`publisher:${await hasty.key("publisher")}`).toString("base64")}` };
    const started = await fetch(`${hasty.url}/v2/models/abandoned/blobs/uploads/`, { method: "POST", headers });
    expect(started.status).toBe(202);
    const location = new URL(started.headers.get("location") ?? "", hasty.url);
    const status = async (): Promise<number> => (await fetch(location, { headers })).status;
    // Polled as fast as it answers; the test's own limit is the bound.
    let last = await status();
    while (last === 204) last = await status();
    expect(last).toBe(404);
  } finally {
    await hasty.dispose();
  }
});

describe("tokens", () => {
  test("one for delete alone is enough to delete a tag, a manifest and a blob, as clients ask for no more", async () => {
    const repository = "models/delete-only";
    const manifest = image({ annotations: { about: "delete" } });
    await push(repository, "latest", manifest);
    await ask("POST", `/v2/${repository}/blobs/uploads/?digest=${digestOf("gone")}`, { body: "gone" });
    const headers = { authorization: await bearerFor(`repository:${repository}:delete`) };
    for (const path of ["manifests/latest", `manifests/${digestOf(manifest)}`, `blobs/${digestOf("gone")}`]) {
      expect((await ask("DELETE", `/v2/${repository}/${path}`, { headers })).status).toBe(202);
      expect((await ask("GET", `/v2/${repository}/${path}`)).status).toBe(404);
    }
  });
});

describe("tags", () => {
  const repository = "models/list";
  const all = ["A", "B2", "a", "b1", "latest"];
  beforeAll(async () => {
    for (const tag of all.toReversed()) await push(repository, tag, image({ annotations: { about: "list" } }));
  });

  test("are listed in the order of their bytes", async () => {
    expect(tagList.parse(await (await ask("GET", `/v2/${repository}/tags/list`)).json())).toEqual({ name: repository, tags: all });
  });

  test("come in pages of n that Link joins", async () => {
    const seen: string[] = [];
    for (let path: string | undefined = `/v2/${repository}/tags/list?n=2`; path !== undefined;) {
      const answer = await ask("GET", path);
      const { tags } = tagList.parse(await answer.json());
      seen.push(...tags);
      path = nextOf(answer);
      expect(tags.length).toBe(path === undefined ? 1 : 2);
    }
    expect(seen).toEqual(all);
  });

  test("with n=0 are none, and no Link", async () => {
    const answer = await ask("GET", `/v2/${repository}/tags/list?n=0`);
    expect([answer.status, tagList.parse(await answer.json()).tags, answer.headers.get("link")]).toEqual([200, [], null]);
  });

  test("go on after last, with n and without", async () => {
    expect(tagList.parse(await (await ask("GET", `/v2/${repository}/tags/list?last=B2`)).json()).tags).toEqual(["a", "b1", "latest"]);
    expect(tagList.parse(await (await ask("GET", `/v2/${repository}/tags/list?n=1&last=B2`)).json()).tags).toEqual(["a"]);
  });
});

describe("referrers", () => {
  test("of something that is no digest are a 400", async () => {
    expect((await ask("GET", "/v2/models/referrers/referrers/sha256:baddigeststring")).status).toBe(400);
  });

  test("of an unknown digest in an unknown repository are an empty index", async () => {
    const answer = await ask("GET", `/v2/models/nowhere/referrers/${digestOf("nothing")}`);
    expect([answer.status, answer.headers.get("content-type")]).toEqual([200, INDEX]);
    expect(referrers.parse(await answer.json()).manifests).toEqual([]);
  });

  test("that do not fit into one manifest come in pages that Link joins", async () => {
    const repository = "models/referrers";
    const subject = { mediaType: IMAGE, digest: digestOf("a subject"), size: 9 };
    const pad = Object.fromEntries(Array.from({ length: 40 }, (_, at) => [`pad-${at}`, "x".repeat(60_000)]));
    const pushed: string[] = [];
    for (let at = 0; at < 3; at += 1) {
      const manifest = image({ subject, artifactType: "application/vnd.example.page", annotations: { ...pad, at: String(at) } });
      pushed.push(digestOf(manifest));
      await push(repository, digestOf(manifest), manifest);
    }
    const seen: string[] = [];
    let pages = 0;
    for (let path: string | undefined = `/v2/${repository}/referrers/${subject.digest}`; path !== undefined; pages += 1) {
      const answer = await ask("GET", path);
      seen.push(...referrers.parse(await answer.json()).manifests.map(({ digest }) => digest));
      path = nextOf(answer);
    }
    expect(pages).toBeGreaterThan(1);
    expect(seen.toSorted()).toEqual(pushed.toSorted());
  });
});

describe("answers", () => {
  test.each([
    ["GET", "/v2/models/nowhere/manifests/latest"],
    ["GET", "/v2/models/x/manifests/sha256:bad"],
    ["GET", `/v2/models/x/blobs/${digestOf("nothing")}`],
    ["PATCH", "/v2/models/x/blobs/uploads/unknown"],
    ["POST", "/v2/models/x/blobs/uploads/?digest=sha256:bad"],
    ["PUT", "/v2/models/x/manifests/latest"],
    ["GET", "/v2/models/x/tags/list?n=ten"],
    ["GET", "/v2/Models/x/manifests/latest"],
    ["POST", "/v2/others/x/blobs/uploads/"],
    ["PUT", "/v2/models/x/tags/list"],
  ])("an error of %s %s is JSON with a code of the specification", async (method, path) => {
    const answer = await ask(method, path);
    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect(answer.status).toBeLessThan(500);
    expect(answer.headers.get("content-type")).toMatch(/^application\/json\b/);
    for (const { code } of errors.parse(await answer.json()).errors) expect(CODES).toContain(code);
  });

  test("a warning is 299, without agent and date, and short", async () => {
    const warning = (await push("models/warned", "latest", image({ annotations: { about: "warning" } }))).headers.get("warning") ?? "";
    expect(warning).toMatch(/^299 - "(?:[^"\\]|\\.)+"$/);
    expect(Buffer.byteLength(warning)).toBeLessThanOrEqual(4096);
  });

  test("GET /v2/ says that the specification is implemented", async () => {
    expect((await ask("GET", "/v2/")).status).toBe(200);
  });
});
