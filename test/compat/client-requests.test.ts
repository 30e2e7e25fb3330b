import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { digestOf } from "../../src/oci/digest.ts";
import { DOCKER_IMAGE, OCI_IMAGE } from "../../src/oci/media-types.ts";
import { type Part, Replay, bearerIn, bodyOf, bytesOf, challengeOf, locationOf, partsOf, streamed } from "./replay.ts";

/* The requests of clients as these send them, of one operation in their order; sizes are scaled down. */

let replay: Replay;
beforeAll(async () => {
  replay = await Replay.start();
});
afterAll(() => replay.stop());

const KIB = 1024;

/** What oras-go does, on which kit is built: the request itself as nobody, then a token for what the challenge asks. */
async function tokenFor(method: string, path: string): Promise<string> {
  const { realm = "", service = "", scope = "" } = challengeOf(await replay.send(method, path));
  const query = new URLSearchParams({ service, scope }).toString();
  return bearerIn(await replay.send("GET", `${realm}?${query}`, { authorization: replay.basic("publisher") }));
}

describe("kit", () => {
  const CHUNK = 64 * KIB;
  const model = bytesOf("kit", 5 * CHUNK + 1234);
  const patch = (location: string, { start, end }: Part, authorization: string): Promise<Response> =>
    replay.send("PATCH", location, {
      authorization,
      headers: { "Content-Range": `${start}-${end}`, "Content-Type": "application/octet-stream" },
      body: bodyOf(model.subarray(start, end + 1)),
    });

  test("sends a layer in ordered chunks, each to the Location of the one before, with the token of the first request", async () => {
    const authorization = await tokenFor("POST", "/v2/models/kit/blobs/uploads/");
    let location = await replay.begun("models/kit", authorization);
    for (const part of partsOf(model.length, CHUNK)) {
      const answer = await patch(location, part, authorization);
      expect([answer.status, answer.headers.get("range")]).toEqual([202, `0-${part.end}`]);
      location = locationOf(answer);
    }
    expect((await replay.send("PUT", replay.closing(location, model), { authorization })).status).toBe(201);
    await replay.expectStored("models/kit", model);
  });

  test("with one worker sends its chunks in order to the first Location, which closes the upload too", async () => {
    const authorization = await tokenFor("POST", "/v2/models/kit-one/blobs/uploads/");
    const first = await replay.begun("models/kit-one", authorization);
    for (const part of partsOf(model.length, CHUNK)) expect((await patch(first, part, authorization)).status).toBe(202);
    expect((await replay.send("PUT", replay.closing(first, model), { authorization })).status).toBe(201);
    await replay.expectStored("models/kit-one", model);
  });

  // The specification wants 416 for what is out of order, and newer versions send everything at once.
  test("with several workers is told by 416 what is out of order, and nothing of that is taken", async () => {
    const authorization = await tokenFor("POST", "/v2/models/kit-many/blobs/uploads/");
    const first = await replay.begun("models/kit-many", authorization);
    const parts = partsOf(model.length, CHUNK);
    const answers = await Promise.all(parts.toReversed().map((part) => patch(first, part, authorization)));
    const taken = answers.filter(({ status }) => status === 202);
    // 503: it waited for the one before it, and that took too long.
    expect([202, 416, 503]).toEqual(expect.arrayContaining(answers.map(({ status }) => status)));
    expect(taken.length).toBeLessThan(parts.length);
    const status = await replay.send("GET", first, { authorization });
    const start = taken.length * CHUNK;
    expect([status.status, status.headers.get("range")]).toEqual([204, `0-${Math.max(0, Math.min(start, model.length) - 1)}`]);
    for (const part of parts.slice(taken.length)) expect((await patch(locationOf(status), part, authorization)).status).toBe(202);
    expect((await replay.send("PUT", replay.closing(first, model), { authorization })).status).toBe(201);
    await replay.expectStored("models/kit-many", model);
  });
});

test("zb sends an empty PATCH and then the bytes to the same, now older, Location, by Basic that nobody asked for", async () => {
  const authorization = replay.basic("publisher");
  const config = Buffer.from('{"architecture":"amd64","os":"linux"}');
  const location = await replay.begun("models/zb", authorization);
  const empty = await replay.send("PATCH", location, { authorization, headers: { "Content-Type": "application/octet-stream" } });
  expect(empty.status).toBe(202);
  expect((await replay.send("PATCH", location, { authorization, body: bodyOf(config) })).status).toBe(202);
  expect((await replay.send("PUT", replay.closing(location, config), { authorization })).status).toBe(201);
  const descriptor = { mediaType: "application/vnd.oci.image.config.v1+json", digest: digestOf(config), size: config.length };
  const body = JSON.stringify({ schemaVersion: 2, config: descriptor, layers: [] }, undefined, "\t");
  const put = await replay.send("PUT", "/v2/models/zb/manifests/tag1", { authorization, headers: { "Content-Type": OCI_IMAGE }, body });
  expect([put.status, put.headers.get("docker-content-digest")]).toEqual([201, digestOf(body)]);
  const got = await replay.send("GET", "/v2/models/zb/manifests/tag1", { authorization });
  expect([got.headers.get("content-type"), await got.text()]).toEqual([OCI_IMAGE, body]);
});

describe("containerd", () => {
  const layer = bytesOf("containerd", 96 * KIB);
  const path = "/v2/models/containerd/manifests/v1";
  const accept = { Accept: [DOCKER_IMAGE, OCI_IMAGE, "*/*"].join(", ") };
  const ask = async (password: string, name: "publisher" | "runtime", wanted: string): Promise<[Response, () => Promise<Response>]> => {
    const { realm = "", service = "" } = challengeOf(await replay.send("HEAD", path, { headers: accept }));
    const scope = `repository:models/containerd:pull ${wanted}`;
    const fields = { grant_type: "password", client_id: "containerd-client", service, username: name, password, scope };
    const query = new URLSearchParams([["service", service], ...scope.split(" ").map((one) => ["scope", one])]).toString();
    return [
      await replay.send("POST", realm, { body: new URLSearchParams(fields) }),
      () => replay.send("GET", `${realm}?${query}`, { authorization: replay.basic(name, password) }),
    ];
  };

  test("asks for its token by POST, pushes by one streamed PUT, pulls when promoted and resumes by an open range", async () => {
    const [granted] = await ask(replay.secretOf("publisher"), "publisher", "repository:models/containerd:pull,push");
    const authorization = await bearerIn(granted);
    expect((await replay.send("HEAD", path, { authorization, headers: accept })).status).toBe(404);
    expect((await replay.send("HEAD", `/v2/models/containerd/blobs/${digestOf(layer)}`, { authorization })).status).toBe(404);
    const put = replay.closing(await replay.begun("models/containerd", authorization), layer);
    expect((await replay.send("PUT", put, { authorization, ...streamed(layer) })).status).toBe(201);
    const digest = await replay.pushed("models/containerd", layer);

    const [read] = await ask(replay.secretOf("runtime"), "runtime", "");
    const reader = { authorization: await bearerIn(read), headers: accept };
    expect((await replay.send("HEAD", path, reader)).status).toBe(404);
    await replay.transition(`models/containerd@${digest}`, "promote");
    const head = await replay.send("HEAD", path, reader);
    expect([head.status, head.headers.get("docker-content-digest")]).toEqual([200, digest]);
    expect((await replay.send("GET", `/v2/models/containerd/manifests/${digest}`, reader)).status).toBe(200);
    const blob = `/v2/models/containerd/blobs/${digestOf(layer)}`;
    const rest = await replay.send("GET", blob, { authorization: reader.authorization, headers: { Range: `bytes=${KIB}-` } });
    expect([rest.status, Buffer.from(await rest.arrayBuffer()).equals(layer.subarray(KIB))]).toEqual([206, true]);
  });

  test("with a wrong password is refused by POST and by GET, and the right one goes on working", async () => {
    const [posted, get] = await ask("amr_wrong", "runtime", "");
    expect([posted.status, (await get()).status]).toEqual([401, 401]);
    const [right] = await ask(replay.secretOf("runtime"), "runtime", "");
    expect(right.status).toBe(200);
  });
});

/** What `docker login` does. */
async function login(password: string): Promise<Response> {
  const { realm = "", service = "" } = challengeOf(await replay.send("GET", "/v2/"));
  const query = new URLSearchParams({ account: "publisher", client_id: "docker", offline_token: "true", service }).toString();
  return replay.send("GET", `${realm}?${query}`, { authorization: replay.basic("publisher", password) });
}

describe("docker", () => {
  test("logs in without a scope for an offline token, keeps that alone, and pushes by it", async () => {
    const answer = await login(replay.secretOf("publisher"));
    const { refresh_token, token } = (await answer.json()) as { readonly refresh_token: string; readonly token: string };
    expect((await replay.send("GET", "/v2/", { authorization: `Bearer ${token}` })).status).toBe(200);

    const { realm = "", service = "" } = challengeOf(await replay.send("GET", "/v2/"));
    const scope = "repository:models/docker:pull,push";
    const fields = new URLSearchParams({ client_id: "docker", grant_type: "refresh_token", refresh_token, scope, service }).toString();
    const headers = { "Content-Type": "application/x-www-form-urlencoded" };
    const authorization = await bearerIn(await replay.send("POST", realm, { headers, ...streamed(Buffer.from(fields)) }));
    const layer = bytesOf("docker", 40 * KIB);
    const patched = await replay.send("PATCH", await replay.begun("models/docker", authorization), { authorization, ...streamed(layer) });
    expect([patched.status, patched.headers.get("range")]).toEqual([202, `0-${layer.length - 1}`]);
    expect((await replay.send("PUT", replay.closing(locationOf(patched), layer), { authorization })).status).toBe(201);
    await replay.expectStored("models/docker", layer);
  });

  test("is told of a wrong password when it logs in, not at its first push", async () => {
    expect((await login("amr_wrong")).status).toBe(401);
  });
});

interface Parts {
  readonly statuses: readonly number[];
  readonly ranges: readonly (string | null)[];
  readonly content: Buffer;
}

/** A download in parts, all at once and each a request of its own: the different statuses, the ranges, and all bytes together. */
async function inParts(path: string, parts: readonly Part[], headers: Readonly<Record<string, string>> = {}): Promise<Parts> {
  const answers = await Promise.all(
    parts.map(async ({ start, end }) => {
      const answer = await replay.send("GET", path, {
        authorization: replay.basic("runtime"),
        headers: { ...headers, Range: `bytes=${start}-${end}` },
      });
      return { status: answer.status, range: answer.headers.get("content-range"), content: Buffer.from(await answer.arrayBuffer()) };
    }),
  );
  return {
    statuses: [...new Set(answers.map(({ status }) => status))],
    ranges: answers.map(({ range }) => range),
    content: Buffer.concat(answers.map(({ content }) => content)),
  };
}

/** Are these all parts of the model and nothing else? */
function expectWhole({ statuses, ranges, content }: Parts, parts: readonly Part[], model: Buffer): void {
  expect(statuses).toEqual([206]);
  expect(ranges).toEqual(parts.map(({ start, end }) => `bytes ${start}-${end}/${model.length}`));
  expect(content.equals(model)).toBe(true);
}

/** Are these refusals, with nothing of the model in them? */
function expectNothing({ statuses, content }: Parts, status: number, model: Buffer): void {
  expect(statuses).toEqual([status]);
  expect(content.includes(model.subarray(0, 16))).toBe(false);
}

test("ollama asks for Docker's type, begins a GET that it leaves, and reads sixteen ranges at once", async () => {
  const model = bytesOf("ollama", 16 * 50 * KIB + 7);
  const digest = await replay.pushed("models/ollama", model);
  await replay.transition(`models/ollama@${digest}`, "promote");
  const authorization = replay.basic("runtime");
  const manifest = await replay.send("GET", "/v2/models/ollama/manifests/v1", { authorization, headers: { Accept: DOCKER_IMAGE } });
  expect([manifest.status, manifest.headers.get("content-type")]).toEqual([200, OCI_IMAGE]);
  const path = `/v2/models/ollama/blobs/${digestOf(model)}`;
  const head = await replay.send("HEAD", path, { authorization });
  const length = Number(head.headers.get("content-length"));
  expect([head.status, length]).toEqual([200, model.length]);
  const left = await replay.send("GET", path, { authorization });
  await left.body?.cancel();
  expect(left.status).toBe(200);
  const parts = partsOf(length, Math.ceil(length / 16));
  expectWhole(await inParts(path, parts), parts, model);
});

test("parallel ranges bound to an ETag, as model hubs' clients read, give what is trusted, and not one byte before or after", async () => {
  const model = bytesOf("hub", 300 * KIB + 1);
  const digest = await replay.pushed("models/hub", model);
  const path = `/v2/models/hub/blobs/${digestOf(model)}`;
  const parts = partsOf(model.length, 40 * KIB);
  expectNothing(await inParts(path, parts), 404, model);

  await replay.transition(`models/hub@${digest}`, "promote");
  const authorization = replay.basic("runtime");
  const head = await replay.send("HEAD", path, { authorization, headers: { "Accept-Encoding": "identity" } });
  const etag = head.headers.get("etag") ?? "";
  expect([head.headers.get("accept-ranges"), etag]).toEqual(["bytes", `"${digestOf(model)}"`]);
  expectWhole(await inParts(path, parts, { "If-Range": etag }), parts, model);
  const whole = await replay.send("GET", path, { authorization, headers: { Range: "bytes=5-", "If-Range": '"of another file"' } });
  expect([whole.status, Buffer.from(await whole.arrayBuffer()).equals(model)]).toEqual([200, true]);
  const beyond = await replay.send("GET", path, { authorization, headers: { Range: `bytes=${model.length}-` } });
  expect([beyond.status, beyond.headers.get("content-range")]).toEqual([416, `bytes */${model.length}`]);

  await replay.transition(`models/hub@${digest}`, "revoke");
  expectNothing(await inParts(path, parts, { "If-Range": etag }), 403, model);
});
