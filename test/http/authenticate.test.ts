import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { digestOf } from "../../src/oci/digest.ts";
import type { Known } from "../support/identities.ts";
import { type Answer, SERVICE_TOKEN, type WholeRegistry, basic, bearer, startWholeRegistry } from "../support/whole-registry.ts";

const MANIFEST = "/v2/models/a/manifests/latest";
const UPLOADS = "/v2/models/a/blobs/uploads/";
const DIGEST = digestOf("x");
const HOUR = 60 * 60 * 1000;

let registry: WholeRegistry;
let publisher: Known;
let runtime: Known;
let operator: Known;
beforeEach(async () => {
  registry = await startWholeRegistry({ serviceToken: SERVICE_TOKEN });
  publisher = await registry.identity("publisher", [{ role: "owner", namespace: "models" }]);
  runtime = await registry.identity("runtime", [{ role: "reader", namespace: "*" }]);
  operator = await registry.identity("operator", [{ role: "operator", namespace: "*" }]);
});
afterEach(async () => registry.close());

const challengeOf = ({ headers }: Answer): string => headers["www-authenticate"] ?? "";
const warningOf = async (as: string): Promise<unknown> => (await registry.ask("GET", "/v2/", { as })).headers["warning"];
const home = (): string => `Bearer realm="${registry.edge.url}/auth/token",service="127.0.0.1:${registry.edge.port}"`;
/** All that a caller can see of an answer, but for what differs between any two. */
const visible = ({ status, headers, text }: Answer): unknown => {
  const { date: _, "x-request-id": __, ...rest } = headers;
  return { status, headers: rest, text };
};

describe("without a credential", () => {
  test.each([
    ["GET", "/v2/", ""],
    ["GET", MANIFEST, ',scope="repository:models/a:pull"'],
    ["HEAD", MANIFEST, ',scope="repository:models/a:pull"'],
    ["POST", UPLOADS, ',scope="repository:models/a:pull,push"'],
    ["DELETE", `/v2/models/a/manifests/${DIGEST}`, ',scope="repository:models/a:delete"'],
    ["GET", "/v2/_catalog", ',scope="registry:catalog:*"'],
    ["GET", "/v2/models/a/no-such-door", ""],
  ])("%s %s is 401 with a Bearer challenge for its scope", async (method, path, scope) => {
    const answer = await registry.ask(method, path);
    expect(answer.status).toBe(401);
    expect(challengeOf(answer)).toBe(home() + scope);
  });

  test("a repository that exists and one that does not look alike", async () => {
    const [there, missing] = [await registry.ask("GET", MANIFEST), await registry.ask("GET", MANIFEST.replace("models/a", "models/b"))];
    expect(missing.status).toBe(there.status);
    expect(missing.text).toBe(there.text);
  });

  test("it is no failed login, however often", async () => {
    for (let time = 0; time < 20; time += 1) expect((await registry.ask("GET", MANIFEST)).status).toBe(401);
    expect((await registry.ask("GET", "/v2/", { as: basic("publisher", publisher.secret) })).status).toBe(200);
    expect(registry.noted).toEqual([]);
  });

  test("the native API answers 401 with a challenge too", async () => {
    const answer = await registry.ask("GET", "/v1/credentials");
    expect(answer.status).toBe(401);
    expect(challengeOf(answer)).toBe(home());
  });

  test("a cookie is none", async () => {
    const headers = { Cookie: `session=${publisher.secret}; token=${publisher.secret}` };
    expect((await registry.ask("GET", "/v2/", { headers })).status).toBe(401);
  });
});

describe("the realm", () => {
  test("follows a loopback name that the client used", async () => {
    const host = `localhost:${registry.edge.port}`;
    const answer = await registry.ask("GET", "/v2/", { host });
    expect(challengeOf(answer)).toBe(`Bearer realm="http://${host}/auth/token",service="${host}"`);
  });

  test.each(["evil.example", "evil.example:80"])("never follows the Host %j", async (host) => {
    expect(challengeOf(await registry.ask("GET", "/v2/", { host }))).toBe(home());
  });
});

describe("with a credential that is not valid", () => {
  test.each([
    ["a wrong key", () => basic("publisher", "wrong")],
    ["a key under another name", () => basic("operator", publisher.secret)],
    ["an unknown name", () => basic("nobody", publisher.secret)],
    ["a bearer that is none", () => bearer("nothing")],
    ["a forged token", () => bearer("eyJhbGciOiJub25lIn0.e30.")],
    ["another scheme", () => "Digest x"],
    ["an empty one", () => ""],
  ])("%s is 401 invalid_token, in words that tell nothing", async (_, as) => {
    const answer = await registry.ask("GET", MANIFEST, { as: as() });
    expect(answer.status).toBe(401);
    expect(challengeOf(answer)).toBe(`${home()},scope="repository:models/a:pull",error="invalid_token"`);
    expect(answer.message).toBe("the credential is not valid; log in again");
  });

  test("after five failures of a name the address waits a minute, whatever it sends", async () => {
    for (let time = 0; time < 5; time += 1) await registry.ask("GET", "/v2/", { as: basic("publisher", `wrong ${time}`) });
    const locked = await registry.ask("GET", "/v2/", { as: basic("publisher", publisher.secret) });
    expect(locked.status).toBe(429);
    expect(locked.code).toBe("TOOMANYREQUESTS");
    expect(Number(locked.headers["retry-after"])).toBe(60);
    expect((await registry.ask("GET", "/v2/", { as: basic("runtime", runtime.secret) })).status).toBe(200);
    registry.pass(60_000);
    expect((await registry.ask("GET", "/v2/", { as: basic("publisher", publisher.secret) })).status).toBe(200);
  });

  test("a lock never answers 429 to an upload that was admitted", async () => {
    for (let time = 0; time < 5; time += 1) await registry.ask("GET", "/v2/", { as: basic("publisher", "wrong") });
    for (const method of ["PATCH", "PUT"]) {
      expect((await registry.ask(method, `${UPLOADS}x`, { as: basic("publisher", "wrong") })).status).toBe(401);
    }
  });

  test("a wrong bearer locks itself out and nobody else", async () => {
    for (let time = 0; time < 6; time += 1) await registry.ask("GET", "/v1/credentials", { as: bearer("wrong-token") });
    expect((await registry.ask("GET", "/v1/credentials", { as: bearer("wrong-token") })).status).toBe(429);
    expect((await registry.ask("GET", "/v1/credentials", { as: bearer(SERVICE_TOKEN) })).status).toBe(200);
    expect((await registry.ask("GET", "/v1/credentials", { as: bearer(publisher.secret) })).status).toBe(200);
  });

  test("every refusal is noted, without the secret", async () => {
    await registry.ask("GET", "/v2/", { as: basic("publisher", "my-wrong-password") });
    await registry.ask("GET", "/v2/", { as: basic(publisher.secret, "swapped") });
    expect(registry.noted).toMatchObject([
      {
        type: "auth.login",
        outcome: "deny",
        target: { kind: "identity", name: "publisher" },
        actor: { kind: "anonymous", address: "127.0.0.1" },
      },
      { type: "auth.login", outcome: "deny" },
    ]);
    const written = JSON.stringify([registry.noted, registry.edge.logged, await registry.events()]);
    expect(written).not.toContain("my-wrong-password");
    expect(written).not.toContain(publisher.secret);
  });

  test("an expired token is no failed login", async () => {
    const token = await registry.token("publisher", publisher.secret);
    registry.pass(331_000);
    for (let time = 0; time < 20; time += 1) expect((await registry.ask("GET", "/v2/", { as: bearer(token) })).status).toBe(401);
    expect((await registry.ask("GET", "/v2/", { as: basic("publisher", publisher.secret) })).status).toBe(200);
  });
});

describe("with a valid credential", () => {
  test("GET /v2/ is 200, also for a token without any scope, as podman logs in", async () => {
    const token = await registry.token("publisher", publisher.secret);
    for (const as of [bearer(token), basic("publisher", publisher.secret), bearer(publisher.secret)]) {
      expect((await registry.ask("GET", "/v2/", { as })).status).toBe(200);
    }
  });

  test("Basic with a key is accepted unasked, and never offered", async () => {
    const as = basic("publisher", publisher.secret);
    expect((await registry.ask("POST", UPLOADS, { as })).status).toBe(202);
    expect(challengeOf(await registry.ask("POST", UPLOADS))).not.toMatch(/basic/i);
  });

  test("the schemes are read in any case", async () => {
    const as = basic("publisher", publisher.secret).replace("Basic", "bAsIc");
    expect((await registry.ask("GET", "/v2/", { as })).status).toBe(200);
    expect((await registry.ask("GET", "/v2/", { as: `BEARER ${publisher.secret}` })).status).toBe(200);
  });

  test("a refresh token opens no door itself", async () => {
    const refresh = await registry.key("publisher", { kind: "refresh-token", parent: publisher.id });
    expect((await registry.ask("GET", "/v2/", { as: bearer(refresh.secret) })).status).toBe(401);
    expect((await registry.ask("GET", "/v2/", { as: basic("publisher", refresh.secret) })).status).toBe(401);
  });

  test("the service token opens /v1 alone", async () => {
    expect((await registry.ask("GET", "/v1/audit", { as: bearer(SERVICE_TOKEN) })).status).toBe(200);
    expect((await registry.ask("GET", "/v2/", { as: bearer(SERVICE_TOKEN) })).status).toBe(401);
    expect((await registry.ask("GET", "/v2/v1/x/manifests/latest", { as: bearer(SERVICE_TOKEN) })).status).toBe(401);
    expect((await registry.ask("GET", "/auth/token", { as: basic("service-token", SERVICE_TOKEN) })).status).toBe(401);
  });
});

describe("a valid token that lacks the scope", () => {
  test("which the identity could have is 401 insufficient_scope with that scope", async () => {
    const token = await registry.token("publisher", publisher.secret, "repository:models/a:pull");
    for (const [method, path, scope] of [
      ["POST", UPLOADS, "repository:models/a:pull,push"],
      ["DELETE", `/v2/models/a/manifests/${DIGEST}`, "repository:models/a:delete"],
      ["GET", MANIFEST.replace("models/a", "models/b"), "repository:models/b:pull"],
      ["GET", "/v2/_catalog", "registry:catalog:*"],
    ] as const) {
      const answer = await registry.ask(method, path, { as: bearer(token) });
      expect(answer.status).toBe(401);
      expect(challengeOf(answer)).toBe(`${home()},scope="${scope}",error="insufficient_scope"`);
    }
    expect(registry.noted.filter(({ outcome }) => outcome === "deny")).toEqual([]);
  });

  test("and with that scope the next request passes", async () => {
    const token = await registry.token("publisher", publisher.secret, "repository:models/a:pull,push");
    expect((await registry.ask("POST", UPLOADS, { as: bearer(token) })).status).toBe(202);
  });

  test("which the identity could not have is final for a push: 403, with where it may push and how there can be more", async () => {
    const token = await registry.token("publisher", publisher.secret, "repository:other/a:pull,push");
    const answer = await registry.ask("POST", "/v2/other/a/blobs/uploads/", { as: bearer(token) });
    expect(answer).toMatchObject({ status: 403, code: "DENIED" });
    expect(answer.message).toContain("the namespace models");
    expect(answer.message).toContain("securectl namespace create NAME --owner IDENTITY");
    expect(registry.noted.at(-1)).toMatchObject({
      type: "auth.denied",
      outcome: "deny",
      target: { name: "other/a" },
      actor: { principal: "publisher" },
    });
  });

  test("the same 403 comes with a key, and whether the repository exists or not", async () => {
    await registry.identity("other", [{ role: "owner", namespace: "other" }]);
    const as = basic("runtime", runtime.secret);
    const answers: Answer[] = [];
    for (const name of ["models/a", "other/a", "nowhere/a"]) answers.push(await registry.ask("POST", `/v2/${name}/blobs/uploads/`, { as }));
    expect(answers.map(({ status, message }) => [status, message?.replace(/you may not push to \S+:/, "")])).toEqual(
      Array.from({ length: 3 }, () => [403, answers[0]?.message?.replace(/you may not push to \S+:/, "")]),
    );
    expect(answers[0]?.message).toContain("no namespace");
  });

  test("is 403 for a deletion that the identity may not do", async () => {
    const answer = await registry.ask("DELETE", `/v2/models/a/manifests/${DIGEST}`, { as: basic("runtime", runtime.secret) });
    expect(answer).toMatchObject({ status: 403, code: "DENIED" });
  });

  test("goes on to the gate for a read, which shows a repository of others like none", async () => {
    const token = await registry.token("publisher", publisher.secret, "repository:other/a:pull");
    const [others, missing] = [
      await registry.ask("GET", "/v2/other/a/manifests/latest", { as: bearer(token) }),
      await registry.ask("GET", "/v2/none/a/manifests/latest", { as: bearer(token) }),
    ];
    expect(others.status).toBe(404);
    expect(visible(missing)).toEqual(visible(others));
  });
});

describe("a token caps, and live records decide", () => {
  let token: string;
  beforeEach(async () => {
    token = await registry.token("publisher", publisher.secret, "repository:models/a:pull,push");
  });

  const status = async (): Promise<number> => (await registry.ask("POST", UPLOADS, { as: bearer(token) })).status;

  test("it is good for what it covers", async () => {
    expect(await status()).toBe(202);
  });

  test("a lost role ends its use with the next request", async () => {
    await registry.identity("publisher", [{ role: "reader", namespace: "models" }]);
    expect(await status()).toBe(403);
  });

  test("a disabled identity ends its use", async () => {
    await registry.identity("publisher", [{ role: "owner", namespace: "models" }], { disabled: true });
    expect(await status()).toBe(401);
  });

  test("a raised epoch ends its use", async () => {
    await registry.identity("publisher", [{ role: "owner", namespace: "models" }], { epoch: 1 });
    expect(await status()).toBe(401);
  });

  test("the end of the key that it was given for ends its use", async () => {
    const answer = await registry.ask("DELETE", `/v1/credentials/${publisher.id}`, { as: basic("operator", operator.secret) });
    expect(answer.status).toBe(200);
    expect(await status()).toBe(401);
  });

  test("it ends by itself after five minutes", async () => {
    registry.pass(329_000);
    expect(await status()).toBe(202);
    registry.pass(2_000);
    expect(await status()).toBe(401);
  });

  test("what it may do more by a new role it may do at once, as far as its scopes go", async () => {
    const late = await registry.token("runtime", runtime.secret, "repository:models/a:pull");
    expect((await registry.ask("POST", UPLOADS, { as: bearer(late) })).status).toBe(403);
    await registry.identity("runtime", [{ role: "publisher", namespace: "models" }]);
    const answer = await registry.ask("POST", UPLOADS, { as: bearer(late) });
    expect(answer.status).toBe(401);
    expect(challengeOf(answer)).toContain('error="insufficient_scope"');
  });
});

test("an upload whose token runs out while its body arrives is finished: tokens are looked at when a request starts", async () => {
  const token = await registry.token("publisher", publisher.secret, "repository:models/a:pull,push");
  const begun = await registry.ask("POST", UPLOADS, { as: bearer(token) });
  async function* body(): AsyncGenerator<string> {
    yield "x".repeat(1000);
    // The server has let the request in when it holds a part of the body.
    await expect.poll(stagedSizes).toContain(1000);
    registry.pass(HOUR);
    yield "x".repeat(1000);
  }
  const patched = await registry.ask("PATCH", begun.headers.location ?? "", { as: bearer(token), body: Readable.from(body()) });
  expect(patched.status).toBe(202);
  expect(patched.headers.range).toBe("0-1999");
  expect((await registry.ask("GET", "/v2/", { as: bearer(token) })).status).toBe(401);
});

/** How many bytes the files of uploads under way have. */
async function stagedSizes(): Promise<number[]> {
  const files = await readdir(join(registry.directory, "uploads"), { recursive: true, withFileTypes: true });
  return Promise.all(files.map(async ({ parentPath, name }) => (await stat(join(parentPath, name))).size));
}

test("a mount's source is decided by live rights, not by what the token covers", async () => {
  const as = basic("publisher", publisher.secret);
  const pushed = await registry.ask("POST", `/v2/models/source/blobs/uploads/?digest=${DIGEST}`, { as, body: "x" });
  expect(pushed.status).toBe(201);
  const narrow = await registry.token("publisher", publisher.secret, "repository:models/a:pull,push");
  const mounted = await registry.ask("POST", `${UPLOADS}?mount=${DIGEST}&from=models/source`, { as: bearer(narrow) });
  expect(mounted.status).toBe(201);
  const stranger = await registry.identity("stranger", [{ role: "owner", namespace: "other" }]);
  const foreign = await registry.ask("POST", `/v2/other/a/blobs/uploads/?mount=${DIGEST}&from=models/source`, {
    as: basic("stranger", stranger.secret),
  });
  expect(foreign.status).toBe(202);
  const blob = await registry.ask("GET", `/v2/other/a/blobs/${DIGEST}`, { as: basic("stranger", stranger.secret) });
  expect(blob.status).toBe(404);
});

describe("the native API", () => {
  test("takes a key or an access token by Bearer, and a key by Basic", async () => {
    const token = await registry.token("publisher", publisher.secret);
    for (const as of [bearer(publisher.secret), bearer(token), basic("publisher", publisher.secret)]) {
      expect((await registry.ask("GET", "/v1/namespaces", { as })).status).toBe(200);
    }
  });

  test("wants the permission of a door, and says which one is missing", async () => {
    const denied = await registry.ask("GET", "/v1/audit", { as: bearer(publisher.secret) });
    expect(denied).toMatchObject({ status: 403, code: "denied" });
    expect(denied.message).toContain("audit");
    expect((await registry.ask("GET", "/v1/audit", { as: bearer(operator.secret) })).status).toBe(200);
  });

  test("gives an administrator's access token no administrator's rights", async () => {
    const token = await registry.token("operator", operator.secret);
    const denied = await registry.ask("GET", "/v1/audit", { as: bearer(token) });
    expect(denied.status).toBe(403);
    expect(denied.message).toContain("API key");
  });
});

test("the actor of a change names who, with which credential, from where and in which request", async () => {
  const body = JSON.stringify({ name: "team", owner: "publisher" });
  const answer = await registry.ask("POST", "/v1/namespaces", {
    as: bearer(operator.secret),
    body,
    headers: { "User-Agent": "u".repeat(400) },
  });
  expect(answer.status).toBe(201);
  expect((await registry.events()).at(-1)).toMatchObject({
    type: "namespace.create",
    actor: {
      principal: "operator",
      kind: "service",
      credential: operator.id,
      address: "127.0.0.1",
      userAgent: "u".repeat(256),
      requestId: answer.headers["x-request-id"],
    },
  });
});

test("a use of a key is written at most every five minutes", async () => {
  const as = bearer(publisher.secret);
  const usedAt = async (): Promise<unknown> => {
    const { json } = await registry.ask("GET", "/v1/credentials", { as: bearer(operator.secret) });
    const all = json["credentials"] as { id: string; last_used_at: string | null }[];
    return all.find(({ id }) => id === publisher.id)?.last_used_at;
  };
  expect(await usedAt()).toBeNull();
  await registry.ask("GET", "/v2/", { as });
  const first = await usedAt();
  registry.pass(299_000);
  await registry.ask("GET", "/v2/", { as });
  expect(await usedAt()).toBe(first);
  registry.pass(1_000);
  await registry.ask("GET", "/v2/", { as });
  expect(Date.parse(String(await usedAt())) - Date.parse(String(first))).toBe(300_000);
});

describe("a credential that is about to expire", () => {
  test("is warned about in the last three days, also where only a token of it comes", async () => {
    const { secret } = await registry.key("publisher", { expiresAt: registry.services.clock() + 4 * 24 * HOUR });
    expect(await warningOf(basic("publisher", secret))).toBeUndefined();
    registry.pass(24 * HOUR);
    expect(await warningOf(basic("publisher", secret))).toBe('299 - "the credential expires in 3 days: renew it"');
    const token = await registry.token("publisher", secret);
    expect(await warningOf(bearer(token))).toBe('299 - "the credential expires in 3 days: renew it"');
    registry.pass(2 * 24 * HOUR);
    expect(await warningOf(basic("publisher", secret))).toBe('299 - "the credential expires in a day: renew it"');
  });

  test("is not warned about when it never expires", async () => {
    expect(await warningOf(basic("publisher", publisher.secret))).toBeUndefined();
  });
});
