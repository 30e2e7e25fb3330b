import { Readable } from "node:stream";
import { decodeJwt, decodeProtectedHeader } from "jose";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { secretKindOf } from "../../src/identity/api-key.ts";
import { keys, under } from "../../src/storage/keys.ts";
import type { Known } from "../support/identities.ts";
import { type Answer, type WholeRegistry, basic, bearer, startWholeRegistry } from "../support/whole-registry.ts";

const DAY = 24 * 60 * 60 * 1000;

let registry: WholeRegistry;
let publisher: Known;
beforeEach(async () => {
  registry = await startWholeRegistry();
  publisher = await registry.identity("publisher", [{ role: "owner", namespace: "models" }]);
});
afterEach(async () => registry.close());

type Query = readonly (readonly [string, string])[];

const get = (query: Query, as: string | undefined = basic("publisher", publisher.secret)): Promise<Answer> =>
  registry.ask(
    "GET",
    `/auth/token?${new URLSearchParams(query.map(([name, value]) => [name, value])).toString()}`,
    as === undefined ? {} : { as },
  );

const FORM = { "Content-Type": "application/x-www-form-urlencoded" };

/** containers/image sends its form in chunks, without a length. */
const post = (form: Query, chunked = false): Promise<Answer> => {
  const text = new URLSearchParams(form.map(([name, value]) => [name, value])).toString();
  return registry.ask("POST", "/auth/token", { headers: FORM, body: chunked ? Readable.from([text.slice(0, 5), text.slice(5)]) : text });
};
const password = (more: Query = []): Query => [
  ["grant_type", "password"],
  ["username", "publisher"],
  ["password", publisher.secret],
  ...more,
];
/** A grant of so many bytes and the few that it needs. */
const filled = (bytes: number): Query => password([["filler", "x".repeat(bytes)]]);
const refresh = (token: string, more: Query = []): Promise<Answer> =>
  post([["grant_type", "refresh_token"], ["refresh_token", token], ["service", `127.0.0.1:${registry.edge.port}`], ...more], true);
const login = async (): Promise<string> =>
  String(
    (
      await get([
        ["offline_token", "true"],
        ["client_id", "docker"],
      ])
    ).json["refresh_token"],
  );
const scopeOf = ({ json }: Answer): unknown => json["scope"];

describe("GET /auth/token", () => {
  test("answers one token in both of its fields, for five minutes, never to be stored", async () => {
    const { status, headers, json } = await get([["scope", "repository:models/a:pull,push"]]);
    expect(status).toBe(200);
    expect(headers["cache-control"]).toBe("no-store");
    expect(Object.keys(json).toSorted()).toEqual(["access_token", "expires_in", "issued_at", "scope", "token"]);
    expect(json["access_token"]).toBe(json["token"]);
    expect(json["expires_in"]).toBe(300);
    expect(Date.parse(String(json["issued_at"]))).toBe(registry.services.clock());
    expect(json["scope"]).toBe("repository:models/a:pull,push");
  });

  test("makes an ES256 access token for this registry, which names identity, credential and scopes", async () => {
    const token = String((await get([["scope", "repository:models/a:pull"]])).json["token"]);
    expect(decodeProtectedHeader(token)).toMatchObject({ alg: "ES256", typ: "at+jwt" });
    expect(decodeJwt(token)).toMatchObject({
      iss: "https://models.example",
      aud: `127.0.0.1:${registry.edge.port}`,
      sub: "publisher",
      cid: publisher.id,
      epoch: 0,
      amr: ["api-key"],
      access: [{ type: "repository", name: "models/a", actions: ["pull"] }],
    });
    expect((decodeJwt(token).exp ?? 0) - (decodeJwt(token).iat ?? 0)).toBe(300);
  });

  test("signs with a key of GET /v1/keys", async () => {
    const token = String((await get([])).json["token"]);
    const { json } = await registry.ask("GET", "/v1/keys");
    expect(json["keys"]).toMatchObject([
      { purpose: "attestation" },
      { id: decodeProtectedHeader(token).kid, purpose: "token", algorithm: "ES256" },
    ]);
  });

  test("takes scopes as repeated parameters and between spaces", async () => {
    const expected = "repository:models/a:pull repository:models/b:pull,push";
    expect(
      scopeOf(
        await get([
          ["scope", "repository:models/a:pull"],
          ["scope", "repository:models/b:push,pull"],
        ]),
      ),
    ).toBe(expected);
    expect(scopeOf(await get([["scope", "repository:models/a:pull repository:models/b:push,pull"]]))).toBe(expected);
  });

  test("grants less than was asked where the identity may do less, and nothing at all with 200", async () => {
    await registry.identity("runtime", [{ role: "reader", namespace: "*" }]);
    const runtime = await registry.key("runtime");
    const as = basic("runtime", runtime.secret);
    expect(scopeOf(await get([["scope", "repository:models/a:pull,push,delete"]], as))).toBe("repository:models/a:pull");
    expect(scopeOf(await get([["scope", "repository:models/a:*"]], as))).toBe("repository:models/a:pull");
    const none = await get([["scope", "repository:models/a:push"]], as);
    expect(none.status).toBe(200);
    expect(scopeOf(none)).toBeUndefined();
    expect(decodeJwt(String(none.json["token"]))["access"]).toEqual([]);
  });

  test("expands * to what the caller may do", async () => {
    expect(scopeOf(await get([["scope", "repository:models/a:*"]]))).toBe("repository:models/a:pull,push,delete");
    expect(scopeOf(await get([["scope", "repository:other/a:*"]]))).toBeUndefined();
    expect(scopeOf(await get([["scope", "registry:catalog:*"]]))).toBe("registry:catalog:*");
  });

  test("ignores parameters that it does not know, and takes account and client_id for what they are worth", async () => {
    expect(
      (
        await get([
          ["account", "somebody"],
          ["client_id", "docker"],
          ["foo", "bar"],
        ])
      ).status,
    ).toBe(200);
  });

  test("wants its own service, where one is named", async () => {
    expect((await get([["service", `127.0.0.1:${registry.edge.port}`]])).status).toBe(200);
    expect(await get([["service", "other.example"]])).toMatchObject({ status: 400 });
  });

  test("takes at most 32 scopes of at most 255 characters", async () => {
    const scopes = Array.from({ length: 33 }, (_, at) => ["scope", `repository:models/a${at}:pull`] as const);
    expect((await get(scopes)).status).toBe(400);
    expect((await get(scopes.slice(1))).status).toBe(200);
    expect(scopeOf(await get([["scope", `repository:models/${"a".repeat(255)}:pull`]]))).toBeUndefined();
  });

  test("makes no token that is too long to be used", async () => {
    const names = Array.from({ length: 32 }, (_, at) => `models/${String(at).padStart(248, "a")}`);
    const { json } = await post(password(names.map((name) => ["scope", `repository:${name}:pull,push,delete`])));
    expect(json["scope"]).toContain(names[31]);
    const answer = await registry.ask("POST", `/v2/${names[31]}/blobs/uploads/`, { as: bearer(String(json["token"])) });
    expect(answer.status).toBe(202);
  });

  test("refuses who comes without a credential: nothing can be pulled anonymously", async () => {
    const answer = await registry.ask("GET", "/auth/token?scope=repository:models/a:pull");
    expect(answer).toMatchObject({ status: 401, code: "UNAUTHORIZED" });
    expect(answer.headers["www-authenticate"]).toMatch(/^Basic realm="[^"]*"$/);
  });

  test("refuses every bad credential in the same words", async () => {
    const other = await registry.key("publisher", { kind: "refresh-token", parent: publisher.id });
    const token = String((await get([])).json["token"]);
    const bad = [
      basic("publisher", "wrong"),
      basic("nobody", publisher.secret),
      basic("", publisher.secret),
      basic("publisher", other.secret),
      bearer(token),
      bearer(publisher.secret),
      "nonsense",
    ];
    const answers: Answer[] = [];
    for (const as of bad) answers.push(await get([], as));
    expect(new Set(answers.map(({ status, text }) => `${status} ${text}`)).size).toBe(1);
    expect(answers[0]?.status).toBe(401);
  });

  test("ignores cookies", async () => {
    const answer = await registry.ask("GET", "/auth/token", { headers: { Cookie: `session=${publisher.secret}` } });
    expect(answer.status).toBe(401);
  });

  test("notes that a token was issued, without it", async () => {
    const { json } = await get([]);
    expect(registry.noted).toMatchObject([
      { type: "auth.token.issue", outcome: "allow", actor: { principal: "publisher", credential: publisher.id } },
    ]);
    expect(JSON.stringify(registry.noted)).not.toContain(json["token"]);
  });
});

describe("POST /auth/token", () => {
  test.each([false, true])("takes a password grant (in chunks: %s)", async (chunked) => {
    const answer = await post(password([["scope", "repository:models/a:pull repository:models/a:pull,push"]]), chunked);
    expect(answer.status).toBe(200);
    expect(scopeOf(answer)).toBe("repository:models/a:pull,push");
    expect(answer.headers["cache-control"]).toBe("no-store");
    expect((await registry.ask("GET", "/v2/", { as: bearer(String(answer.json["access_token"])) })).status).toBe(200);
  });

  test("needs no media type of the form, as the simplest clients send it", async () => {
    const body = new URLSearchParams(password().map(([name, value]) => [name, value])).toString();
    expect((await registry.ask("POST", "/auth/token", { body })).status).toBe(200);
  });

  test.each(["urn:ietf:params:oauth:grant-type:token-exchange", "client_credentials", "PASSWORD"])(
    "answers 400 unsupported_grant_type to %s",
    async (grant) => {
      expect(await post([["grant_type", grant]])).toMatchObject({ status: 400, code: "unsupported_grant_type" });
    },
  );

  test.each<Query>([
    [],
    [["grant_type", "password"]],
    [
      ["grant_type", "password"],
      ["username", "publisher"],
    ],
    [["grant_type", "refresh_token"]],
  ])("answers 400 invalid_request to %j", async (...form) => {
    expect(await post(form)).toMatchObject({ status: 400, code: "invalid_request" });
  });

  test("refuses a wrong password with 401, after which containerd asks by GET", async () => {
    const wrong = password().map(([name, value]) => [name, name === "password" ? "wrong" : value] as const);
    expect((await post(wrong)).status).toBe(401);
  });

  test("takes a body of 64 KiB and refuses more, with and without a length", async () => {
    const rest = new URLSearchParams(filled(0).map(([name, value]) => [name, value])).toString().length;
    expect((await post(filled(65_536 - rest))).status).toBe(200);
    expect((await post(filled(65_537 - rest))).status).toBe(413);
    expect((await post(filled(65_537 - rest), true)).status).toBe(413);
  });
});

describe("a lock", () => {
  test("comes with the fifth wrong password, counts containerd's two tries as one, and says how long it lasts", async () => {
    const wrong = password().map(([name, value]) => [name, name === "password" ? "wrong" : value] as const);
    for (let time = 0; time < 4; time += 1) {
      await post(wrong);
      await get([], basic("publisher", "wrong"));
    }
    expect((await get([])).status).toBe(200);
    for (let time = 0; time < 5; time += 1) expect((await get([], basic("publisher", `wrong ${time}`))).status).toBe(401);
    const locked = await get([]);
    expect(locked).toMatchObject({ status: 429, code: "TOOMANYREQUESTS" });
    expect(locked.headers["retry-after"]).toBe("60");
    expect((await post(password())).status).toBe(429);
  });
});

describe("a refresh token", () => {
  test("comes only where it is asked for, by Docker's name of it or OAuth's", async () => {
    expect((await get([])).json["refresh_token"]).toBeUndefined();
    expect(secretKindOf(await login())).toBe("refresh-token");
    expect(secretKindOf(String((await post(password([["access_type", "offline"]]))).json["refresh_token"]))).toBe("refresh-token");
  });

  test("buys access tokens, as often as it is used, and is not answered again", async () => {
    const token = await login();
    for (let time = 0; time < 2; time += 1) {
      const answer = await refresh(token, [["scope", "repository:models/a:pull,push"]]);
      expect(answer.status).toBe(200);
      expect(scopeOf(answer)).toBe("repository:models/a:pull,push");
      expect(answer.json["refresh_token"]).toBeUndefined();
      expect((await registry.ask("GET", "/v2/", { as: bearer(String(answer.json["access_token"])) })).status).toBe(200);
    }
  });

  test("begets no other one, which would outlive it", async () => {
    expect((await refresh(await login(), [["access_type", "offline"]])).json["refresh_token"]).toBeUndefined();
  });

  test("is kept as a hash, with an event that does not hold it", async () => {
    const token = await login();
    const everything = await registry.services.metadata.list({ start: ["a"], end: ["zzzz"], limit: 10_000 });
    expect(JSON.stringify(everything)).not.toContain(token);
    expect((await registry.events()).at(-1)).toMatchObject({ type: "auth.refresh-token.create", actor: { principal: "publisher" } });
  });

  test("ends with the key that it was given for, and takes its access tokens with it", async () => {
    const token = await login();
    const access = String((await refresh(token)).json["token"]);
    const revoked = await registry.ask("DELETE", `/v1/credentials/${publisher.id}`, { as: bearer(publisher.secret) });
    expect(revoked.status).toBe(200);
    expect((await refresh(token)).status).toBe(401);
    expect((await registry.ask("GET", "/v2/", { as: bearer(access) })).status).toBe(401);
  });

  test("can be revoked alone, in the middle of a session", async () => {
    const token = await login();
    const access = String((await refresh(token)).json["token"]);
    const { json } = await registry.ask("GET", "/v1/credentials", { as: bearer(publisher.secret) });
    const listed = (json["credentials"] as { id: string; kind: string }[]).find(({ kind }) => kind === "refresh-token");
    await registry.ask("DELETE", `/v1/credentials/${listed?.id}`, { as: bearer(publisher.secret) });
    expect((await refresh(token)).status).toBe(401);
    expect((await registry.ask("GET", "/v2/", { as: bearer(access) })).status).toBe(401);
    expect((await get([])).status).toBe(200);
  });

  test("ends after seven idle days, and after thirty days whatever happens", async () => {
    const idle = await login();
    const used = await login();
    for (let day = 0; day < 6; day += 1) {
      registry.pass(DAY);
      expect((await refresh(used)).status).toBe(200);
    }
    registry.pass(DAY);
    expect((await refresh(idle)).status).toBe(401);
    for (let day = 7; day < 29; day += 1) {
      expect((await refresh(used)).status).toBe(200);
      registry.pass(DAY);
    }
    expect((await refresh(used)).status).toBe(200);
    registry.pass(DAY);
    expect((await refresh(used)).status).toBe(401);
  });

  test("ends when the identity's epoch is raised", async () => {
    const token = await login();
    await registry.identity("publisher", [{ role: "owner", namespace: "models" }], { epoch: 1 });
    expect((await refresh(token)).status).toBe(401);
  });

  test("is one of at most fifty: each login beyond makes the oldest give way", async () => {
    const first = await login();
    const second = await login();
    const others = { kind: "refresh-token", parent: publisher.id } as const;
    await Promise.all(Array.from({ length: 48 }, () => registry.key("publisher", others)));
    await login();
    expect((await refresh(first)).status).toBe(401);
    expect((await refresh(second)).status).toBe(200);
    const rows = await registry.services.metadata.list(under(keys.identityCredentials("publisher"), 1000));
    expect(rows).toHaveLength(51);
  });

  test("is refused by a name of an API key, and locks itself out alone when it is a guess", async () => {
    for (let time = 0; time < 5; time += 1) expect((await refresh("amrr_guess")).status).toBe(401);
    expect((await refresh("amrr_guess")).status).toBe(429);
    expect((await refresh(await login())).status).toBe(200);
  });
});
