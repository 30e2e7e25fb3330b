import { Agent, request } from "node:http";
import { setImmediate } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { jsonBody, queryOf, wholeBody } from "../../src/http/body.ts";
import type { Door } from "../../src/http/route.ts";
import { digestSchema } from "../../src/oci/digest.ts";
import { ERRORS, type ErrorCode, RegistryError } from "../../src/oci/errors.ts";
import { StorageFullError, UploadBusyError } from "../../src/storage/blob-store.ts";
import { type Edge, startEdge } from "../support/edge.ts";

/** Not in the form of our own secrets, which no log of a test may have. */
const SECRET = "the-innermost-secret";
const systemError = (code: string): Error => Object.assign(new Error(`${code}: /var/secret/path`), { code });
const FAILURES: Readonly<Record<string, () => unknown>> = {
  full: () => new StorageFullError("no room in /var/secret/path"),
  busy: () => new UploadBusyError("upload 17 is claimed by 4711"),
  enospc: () => systemError("ENOSPC"),
  edquot: () => systemError("EDQUOT"),
  eio: () => systemError("EIO"),
  erofs: () => systemError("EROFS"),
  unknown: () => new Error(`broken at /var/secret/path with ${SECRET}`),
  zod: () => new z.ZodError([]),
  text: () => "thrown text",
  detail: () => new RegistryError("CONFLICT", "no", { detail: { decision: { allowed: false }, status: 1 }, headers: { "X-Fact": "1" } }),
};

const fail = async (name: string | undefined): Promise<never> => {
  const failure = FAILURES[name ?? ""]?.() ?? new RegistryError((name ?? "") as ErrorCode);
  return Promise.reject(failure);
};
const strict = z.strictObject({
  reason: z.string().max(4),
  nested: z.strictObject({ "a/b": z.number() }).optional(),
  digest: digestSchema.optional(),
});
const doors: Door[] = [
  { method: "GET", path: "/v1/fail/:how", action: "open", handle: (c) => fail(c.req.param("how")) },
  { method: "GET", path: "/v2/:name/fail/:how", action: "pull", inRepository: true, handle: (c) => fail(c.req.param("how")) },
  { method: "POST", path: "/v1/body", action: "open", handle: async (c) => c.json(await jsonBody(c, strict, 200)) },
  { method: "POST", path: "/v1/optional", action: "open", handle: async (c) => c.json(await jsonBody(c, z.strictObject({}))) },
  { method: "PUT", path: "/v1/bytes", action: "open", handle: async (c) => c.text(String((await wholeBody(c, 1000)).length)) },
  { method: "GET", path: "/v1/query", action: "open", handle: (c) => c.json(queryOf(c, strict)) },
  {
    method: "GET",
    path: "/v1/late",
    action: "open",
    handle: async (c) => {
      c.env.outgoing.writeHead(200, { "Content-Length": "10" });
      // Until it is on its way a connection that is cut takes the head with it.
      await new Promise((resolve) => c.env.outgoing.write("half", resolve));
      throw new Error("too late");
    },
  },
];

let edge: Edge;
beforeAll(async () => {
  edge = await startEdge({ doors });
});
afterAll(() => edge.stop());

const known = { authorization: "Bearer known" };
const get = (path: string): Promise<Response> => fetch(`${edge.url}${path}`, { headers: known });
const post = (path: string, body: string, headers = {}): Promise<Response> =>
  fetch(`${edge.url}${path}`, { method: "POST", body, headers });

describe("every code of the table", () => {
  test.each(Object.keys(ERRORS) as ErrorCode[])("%s is OCI JSON on /v2 and a problem on /v1", async (code) => {
    const row = ERRORS[code];
    const oci = await get(`/v2/a/fail/${code}`);
    expect([oci.status, await oci.json()]).toEqual([row.status, { errors: [{ code: row.oci, message: row.message }] }]);
    const native = await get(`/v1/fail/${code}`);
    expect([native.status, native.headers.get("content-type")]).toEqual([row.status, "application/problem+json"]);
    expect(await native.json()).toMatchObject({ code: code.toLowerCase(), detail: row.message, status: row.status });
  });
});

describe("failures below", () => {
  test.each([
    ["full", 507, "BLOB_UPLOAD_INVALID"],
    ["enospc", 507, "BLOB_UPLOAD_INVALID"],
    ["edquot", 507, "BLOB_UPLOAD_INVALID"],
    ["eio", 503, "BLOB_UPLOAD_INVALID"],
    ["erofs", 503, "BLOB_UPLOAD_INVALID"],
    ["busy", 409, "BLOB_UPLOAD_INVALID"],
  ])("%s is %i %s and leaks no path", async (how, status, code) => {
    const answer = await get(`/v2/a/fail/${how}`);
    const text = await answer.text();
    expect([answer.status, text]).toEqual([status, expect.stringContaining(code)]);
    expect(text).not.toMatch(/secret|4711/);
  });

  test.each(["unknown", "zod", "text"])("a fault of ours (%s) tells the request id alone, and logs the cause", async (how) => {
    const answer = await get(`/v1/fail/${how}`);
    const requestId = answer.headers.get("x-request-id");
    expect(await answer.json()).toEqual({
      requestId,
      type: "about:blank",
      title: "Internal Server Error",
      status: 500,
      code: "internal",
      detail: ERRORS.INTERNAL.message,
    });
    expect(edge.logged.filter((line) => line["requestId"] === requestId && line["msg"] === "request failed")).toHaveLength(1);
  });

  test("after the headers are out the connection is cut, so that half an answer never looks whole", async () => {
    const answer = await get("/v1/late");
    await expect(answer.text()).rejects.toThrow("terminated");
    expect((await get("/v1/fail/CONFLICT")).status).toBe(409);
  });
});

test("facts are members of a problem and never replace the standard ones; headers are passed on", async () => {
  const answer = await get("/v1/fail/detail");
  expect(answer.headers.get("x-fact")).toBe("1");
  expect(await answer.json()).toEqual({
    decision: { allowed: false },
    type: "about:blank",
    title: "Conflict",
    status: 409,
    code: "conflict",
    detail: "no",
  });
});

/** What an answer says but for what differs each time. */
const answerTo = async (path: string, method: string): Promise<object> => {
  const answer = await fetch(`${edge.url}${path}`, { method, headers: known });
  // `fetch` itself asks for the end of a connection with HEAD.
  const own = new Set(["date", "x-request-id", "connection", "keep-alive"]);
  return { status: answer.status, headers: [...answer.headers].filter(([name]) => !own.has(name)) };
};

describe("HEAD", () => {
  test.each(["/v2/a/fail/MANIFEST_UNKNOWN", "/v1/fail/CONFLICT", "/v1/model/none", "/elsewhere"])(
    "gets of %s what GET gets, but no body",
    async (path) => {
      expect(await answerTo(path, "HEAD")).toEqual(await answerTo(path, "GET"));
      expect(await (await fetch(`${edge.url}${path}`, { method: "HEAD", headers: known })).text()).toBe("");
    },
  );

  test("leaves the connection open for the next request", async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const portOf = (path: string): Promise<number | undefined> =>
      new Promise((resolve, reject) => {
        const asked = request(`${edge.url}${path}`, { method: "HEAD", headers: known, agent }, (answer) => {
          const port = answer.socket.localPort;
          answer.resume().once("end", () => resolve(port));
        });
        asked.once("error", reject).end();
      });
    const first = await portOf("/v2/a/fail/BLOB_UNKNOWN");
    await setImmediate();
    expect(await portOf("/v2/a/fail/BLOB_UNKNOWN")).toBe(first);
    agent.destroy();
  });
});

test("two answers of one kind differ in nothing but the date and the request id", async () => {
  const seen = [];
  for (const name of ["a", "b"]) {
    const answer = await get(`/v2/${name}/fail/MANIFEST_UNKNOWN`);
    const headers = [...answer.headers].filter(([header]) => header !== "date" && header !== "x-request-id");
    seen.push({ status: answer.status, headers, body: await answer.text() });
  }
  expect(seen[0]).toEqual(seen[1]);
});

describe("a JSON body", () => {
  test("that fits is taken, whatever its media type; none at all is an empty object", async () => {
    expect(await (await post("/v1/body", '{"reason":"x"}', { "content-type": "text/plain" })).json()).toEqual({ reason: "x" });
    expect(await (await post("/v1/optional", "")).json()).toEqual({});
  });

  test.each([
    ["not JSON", "{"],
    ["twice the same key", '{"reason":"x","reason":"y"}'],
    ["too deep", `{"reason":${"[".repeat(17)}${"]".repeat(17)}}`],
  ])("that is %s is a 400", async (_, body) => {
    const answer = await post("/v1/body", body);
    expect([answer.status, await answer.json()]).toMatchObject([400, { code: "invalid" }]);
  });

  test("that does not fit is told by pointer and rule, without a value or an unknown name", async () => {
    const answer = await post("/v1/body", JSON.stringify({ reason: SECRET, nested: { "a/b": "x" }, digest: SECRET, [SECRET]: 1 }));
    const text = await answer.text();
    expect(answer.status).toBe(400);
    expect(JSON.parse(text)).toMatchObject({
      detail: expect.stringMatching(
        /\/reason: Too big.* <=4 .*; \/nested\/a~1b: .*expected number.*; \/digest: must be a digest: .*; it has a member or parameter that is not known here$/,
      ) as string,
      errors: [
        { pointer: "/reason", code: "too_big" },
        { pointer: "/nested/a~1b", code: "invalid_type" },
        { pointer: "/digest", code: "custom" },
        { pointer: "", code: "unrecognized_keys" },
      ],
    });
    expect(text).not.toContain(SECRET);
  });

  test("over its bound is 413, by its claim and by its bytes", async () => {
    const big = `{"reason":"${"x".repeat(200)}"}`;
    expect((await post("/v1/body", big)).status).toBe(413);
    const chunked = new ReadableStream({
      start(controller) {
        for (let part = 0; part < 4; part += 1) controller.enqueue(new TextEncoder().encode("x".repeat(300)));
        controller.close();
      },
    });
    const answer = await fetch(`${edge.url}/v1/bytes`, { method: "PUT", body: chunked, duplex: "half" });
    expect(answer.status).toBe(413);
  });

  test("rules hold for queries as well", async () => {
    expect((await get("/v1/query?reason=12345")).status).toBe(400);
    expect(await (await get("/v1/query?reason=1234")).json()).toEqual({ reason: "1234" });
  });

  test("a parameter without a value is one that was left out", async () => {
    expect(await (await get("/v1/query?reason=1234&nested=")).json()).toEqual({ reason: "1234" });
    expect((await get("/v1/query?reason=")).status).toBe(400);
  });
});
