import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import { limitsOf } from "../support/limits.ts";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { createApp } from "../../src/http/app.ts";
import { jsonArray } from "../../src/http/json-array.ts";
import type { Door } from "../../src/http/route.ts";
import { versionDoors } from "../../src/http/v2/version.ts";
import { CHALLENGE, type Edge, startEdge } from "../support/edge.ts";

const KNOWN = { authorization: "Bearer known" };
const UUID7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

const doors: Door[] = [
  ...versionDoors,
  { method: "GET", path: "/open", action: "open", handle: (c) => c.json({ address: c.get("address"), id: c.get("requestId") }) },
  { method: "POST", path: "/v1/things", action: "credential", handle: (c, caller) => c.json({ who: caller.principal.name }) },
  {
    method: "GET",
    path: "/v2/:name/blobs/:digest",
    action: "pull",
    inRepository: true,
    handle: (c, caller, repository) => c.json({ repository, digest: c.req.param("digest"), who: caller.principal.name }),
  },
  { method: "POST", path: "/v2/:name/blobs/uploads/", action: "push", inRepository: true, handle: (c) => c.body(null, 202) },
  {
    method: "GET",
    path: "/v2/:name/streamed",
    action: "pull",
    inRepository: true,
    handle: (c) => {
      c.env.outgoing.writeHead(200, { "Content-Length": "2" });
      c.env.outgoing.end("ok");
      return RESPONSE_ALREADY_SENT;
    },
  },
  { method: "GET", path: "/v1/list", action: "credential", handle: (c) => jsonArray(c, lookedFor()) },
];
let looks = 0;
async function* lookedFor(): AsyncGenerator<string> {
  looks += 1;
  yield "1";
}

let edge: Edge;
beforeAll(async () => {
  edge = await startEdge({ doors });
});
afterAll(() => edge.stop());

const ask = (path: string, init?: RequestInit): Promise<Response> => fetch(`${edge.url}${path}`, init);

describe("every answer", () => {
  test.each(["/open", "/v2/", "/nothing", "/v2/a/streamed", "/v2/%ZZ"])(
    "of %s has security headers and a request id of its own",
    async (path) => {
      const first = await ask(path, { headers: { ...KNOWN, "x-request-id": "mine" } });
      const second = await ask(path, { headers: KNOWN });
      for (const answer of [first, second]) {
        expect(answer.headers.get("x-content-type-options")).toBe("nosniff");
        expect(answer.headers.get("content-security-policy")).toContain("default-src 'none'");
        expect(answer.headers.get("x-frame-options")).toBe("DENY");
        expect(answer.headers.get("referrer-policy")).toBe("no-referrer");
        expect(answer.headers.get("x-request-id")).toMatch(UUID7);
        expect(answer.headers.get("strict-transport-security")).toBeNull();
        await answer.arrayBuffer();
      }
      expect(first.headers.get("x-request-id")).not.toBe(second.headers.get("x-request-id"));
    },
  );

  test("insists on https when clients reach the registry by it", async () => {
    const secure = await startEdge({ doors, publicUrl: "https://registry.example" });
    const answer = await fetch(`${secure.url}/open`);
    expect(answer.headers.get("strict-transport-security")).toMatch(/^max-age=\d+/);
    await secure.stop();
  });

  test("asks for the end of its connection while the server drains", async () => {
    const draining = await startEdge({ doors, draining: () => true });
    expect((await fetch(`${draining.url}/open`)).headers.get("connection")).toBe("close");
    await draining.stop();
  });
});

test("a handler knows the request id that the answer shows, and the peer's address", async () => {
  const answer = await ask("/open");
  expect(await answer.json()).toEqual({ address: "127.0.0.1", id: answer.headers.get("x-request-id") });
});

describe("under /v2/ without a credential", () => {
  test.each([
    ["GET", "/v2/"],
    ["GET", "/v2"],
    ["GET", "/v2/a/blobs/x"],
    ["GET", "/v2/UPPER/blobs/x"],
    ["PATCH", "/v2/a/blobs/x"],
    ["GET", "/v2/no/such/path"],
    ["OPTIONS", "/v2/"],
  ])("%s %s is a 401 with a challenge", async (method, path) => {
    const answer = await ask(path, { method });
    expect(answer.status).toBe(401);
    expect(answer.headers.get("www-authenticate")).toBe(CHALLENGE);
    expect(await answer.json()).toMatchObject({ errors: [{ code: "UNAUTHORIZED" }] });
  });

  test("HEAD is a 401 with a challenge and no body", async () => {
    const answer = await ask("/v2/a/blobs/x", { method: "HEAD" });
    expect([answer.status, answer.headers.get("www-authenticate"), await answer.text()]).toEqual([401, CHALLENGE, ""]);
  });
});

/** What an answer says but for what differs each time. */
const said = async (path: string, method: string): Promise<object> => {
  const answer = await ask(path, { method, headers: KNOWN });
  const own = new Set(["date", "x-request-id", "connection", "keep-alive", "transfer-encoding", "ratelimit"]);
  return { status: answer.status, headers: [...answer.headers].filter(([name]) => !own.has(name)) };
};

describe("HEAD", () => {
  test.each(["/v2/", "/v2/a/blobs/x", "/v1/list", "/open", "/nothing"])("of %s is answered as GET is, without the body", async (path) => {
    expect(await said(path, "HEAD")).toEqual(await said(path, "GET"));
    expect(await (await ask(path, { method: "HEAD", headers: KNOWN })).text()).toBe("");
  });

  test("of a list looks for none of its items", async () => {
    looks = 0;
    await ask("/v1/list", { method: "HEAD", headers: KNOWN });
    expect(looks).toBe(0);
    expect(await (await ask("/v1/list", { headers: KNOWN })).json()).toEqual([1]);
    expect(looks).toBe(1);
  });
});

describe("under /v2/ with a credential", () => {
  test("GET /v2/ and /v2 say that the registry is there", async () => {
    for (const path of ["/v2/", "/v2"]) {
      const answer = await ask(path, { headers: KNOWN });
      expect([answer.status, await answer.json()]).toEqual([200, {}]);
      expect(answer.headers.get("docker-distribution-api-version")).toBe("registry/2.0");
    }
  });

  test.each(["a", "a/b/c", "blobs", "manifests/x", "a/manifests/x", "library/a.b__c-d"])(
    "the name %s reaches the handler whole",
    async (name) => {
      const answer = await ask(`/v2/${name}/blobs/sha256:00`, { headers: KNOWN });
      expect(await answer.json()).toEqual({ repository: name, digest: "sha256:00", who: "known" });
    },
  );

  test.each(["A", "a//b", "-a", "a%2Fb", "a..b", "a".repeat(256), "a%00b", "%41"])("the name %s is NAME_INVALID", async (name) => {
    const answer = await ask(`/v2/${name}/blobs/sha256:00`, { headers: KNOWN });
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ errors: [{ code: "NAME_INVALID" }] });
  });

  test("a method that no door of the path has is UNSUPPORTED with the ones that it has", async () => {
    const answer = await ask("/v2/a/blobs/x", { method: "PATCH", headers: KNOWN });
    expect([answer.status, answer.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
    expect(await answer.json()).toMatchObject({ errors: [{ code: "UNSUPPORTED" }] });
  });

  test("a path without a door is a 404 in the format of the specification", async () => {
    const answer = await ask("/v2/a/nothing", { headers: KNOWN });
    expect([answer.status, answer.headers.get("content-type")]).toEqual([404, "application/json"]);
    expect(await answer.json()).toEqual({ errors: [{ code: "UNSUPPORTED", message: "there is nothing here" }] });
  });
});

describe("outside of /v2/", () => {
  test("a path without a door is a problem with a stable code", async () => {
    const answer = await ask("/nothing");
    expect([answer.status, answer.headers.get("content-type")]).toEqual([404, "application/problem+json"]);
    expect(await answer.json()).toEqual({
      type: "about:blank",
      title: "Not Found",
      status: 404,
      code: "not_found",
      detail: "there is nothing here",
    });
  });

  test("a wrong method is a problem with the right ones", async () => {
    const answer = await ask("/v1/things", { method: "DELETE" });
    expect([answer.status, answer.headers.get("allow"), answer.headers.get("content-type")]).toEqual([
      405,
      "POST",
      "application/problem+json",
    ]);
  });
});

test("a request with a URL over 8 KiB is refused", async () => {
  const answer = await ask(`/open?x=${"a".repeat(8192)}`);
  expect([answer.status, await answer.json()]).toMatchObject([414, { code: "url_too_long" }]);
});

test("two doors at one place do not start", () => {
  const services = {
    log: { info: () => undefined } as never,
    newId: () => "1",
    limits: limitsOf(),
    settings: { publicUrl: "http://127.0.0.1" },
  };
  const door: Door = { method: "GET", path: "/open", action: "open", handle: (c) => c.body(null) };
  expect(() => createApp({ doors: [door, door], gatekeeper: { admit: () => Promise.reject(new Error("never")) }, services })).toThrow(
    "two doors",
  );
});

describe("a request, at level debug", () => {
  test("is logged by its route and never by its path or query", async () => {
    await ask("/v2/very/secret/blobs/sha256:00?token=ticket", { headers: KNOWN });
    await ask("/also/secret");
    const answered = (): Readonly<Record<string, unknown>>[] => edge.logged.filter(({ msg }) => msg === "answered");
    await vi.waitUntil(() => answered().some(({ route, status }) => route === "none" && status === 404), { timeout: 30_000 });
    expect(answered()).toContainEqual(
      expect.objectContaining({ route: "/v2/:name/blobs/:digest", status: 200, method: "GET", whole: true }),
    );
    expect(JSON.stringify(edge.logged)).not.toMatch(/secret|ticket/);
  });
});
