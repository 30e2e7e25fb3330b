import * as fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { localPath } from "../../../src/http/ui/local-path.ts";
import { keys, under } from "../../../src/storage/keys.ts";
import { Browser, formsOf } from "../../support/browser.ts";
import type { Known } from "../../support/identities.ts";
import { type WholeRegistry, basic, bearer, startWholeRegistry } from "../../support/whole-registry.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const COOKIE = "__Host-amr-session";
const ENDED = { status: 303, headers: { location: "/ui/sign-in" } };

let registry: WholeRegistry;
let operator: Known;
let reader: Known;
let browser: Browser;
beforeEach(async () => {
  registry = await startWholeRegistry();
  operator = await registry.identity("operator", [{ role: "operator", namespace: "*" }]);
  reader = await registry.identity("reader", [{ role: "reader", namespace: "models" }]);
  browser = Browser.at(registry);
});
afterEach(async () => registry.close());

async function signedIn(who: Known = operator): Promise<Browser> {
  const fresh = Browser.at(registry);
  const { status } = await fresh.signIn(who.caller.principal.name, who.secret);
  expect(status).toBe(303);
  return fresh;
}

async function tokenOf(session: Browser): Promise<string> {
  return formsOf((await session.get("/ui/")).text)[0]?.fields["_csrf"] ?? "";
}

describe("signing in", () => {
  test("by the form of the page opens a session, for one cookie that scripts and other sites do not get", async () => {
    const answer = await browser.submit("/ui/sign-in", "/ui/sign-in", { name: "operator", key: operator.secret });
    expect(answer).toMatchObject({ status: 303, headers: { location: "/ui/" } });
    const [cookie, ...more] = answer.headers["set-cookie"] ?? [];
    expect(more).toEqual([]);
    expect(cookie).toMatch(/^__Host-amr-session=[\w-]{32}; Path=\/; HttpOnly; SameSite=Strict; Secure$/);
    const page = await browser.get("/ui/");
    expect(page.status).toBe(200);
    expect(page.text).toContain("Signed in as <bdi>operator</bdi>");
  });

  test("keeps nothing of the id but its keyed hash, and tells the audit of the session, not of the id", async () => {
    await browser.signIn("operator", operator.secret);
    const id = browser.cookies.get(COOKIE) ?? "";
    const everything = JSON.stringify(await registry.services.metadata.list({ start: ["a"], end: ["\u{10ffff}"], limit: 10_000 }));
    expect(id).toHaveLength(32);
    expect(everything).not.toContain(id);
    expect(everything).not.toContain(Buffer.from(id).toString("base64"));
    expect((await registry.events()).filter(({ type }) => type === "auth.session.create")).toHaveLength(1);
    expect(JSON.stringify([registry.noted, registry.edge.logged])).not.toContain(id);
  });

  test("is refused in the same words for a wrong name and a wrong key, and opens nothing", async () => {
    const answers = [
      await browser.signIn("nobody", operator.secret),
      await browser.signIn("operator", reader.secret),
      await browser.signIn("operator", "amr_typo"),
      await browser.signIn("", ""),
    ];
    for (const { status, headers, text } of answers) {
      expect(status).toBe(403);
      expect(headers["set-cookie"]).toBeUndefined();
      expect(text).toContain("The name or the key is wrong");
      expect(text).not.toContain(operator.secret);
    }
  });

  test("takes neither a refresh token nor an id of a session for a key", async () => {
    const refresh = await registry.key("operator", { kind: "refresh-token", parent: operator.id });
    const session = (await signedIn()).cookies.get(COOKIE) ?? "";
    for (const secret of [refresh.secret, session]) expect((await browser.signIn("operator", secret)).status).toBe(403);
  });

  test("is locked by failures at the API, and locks it", async () => {
    for (let time = 0; time < 3; time += 1) await browser.signIn("operator", reader.secret);
    for (let time = 0; time < 2; time += 1) await registry.ask("GET", "/v1/whoami", { as: basic("operator", reader.secret) });
    const locked = await browser.signIn("operator", operator.secret);
    expect(locked).toMatchObject({ status: 429, headers: { "retry-after": "60" } });
    expect(locked.text).toContain("try again in 60 s");
    expect((await registry.ask("GET", "/v1/whoami", { as: basic("operator", operator.secret) })).status).toBe(429);
    registry.pass(MINUTE);
    expect((await browser.signIn("operator", operator.secret)).status).toBe(303);
  });

  test("never adopts an id that the browser came with, and ends the session that it was", async () => {
    const planted = "A".repeat(32);
    browser.cookies.set(COOKIE, planted);
    await browser.signIn("operator", operator.secret);
    expect(browser.cookies.get(COOKIE)).not.toBe(planted);
    expect((await registry.ask("GET", "/ui/", { headers: { Cookie: `${COOKIE}=${planted}` } })).status).toBe(303);
    // Somebody else's session, which that one knows: it is not gone on with, and it is over.
    const attacker = await signedIn(reader);
    const victim = Browser.at(registry);
    victim.cookies.set(COOKIE, attacker.cookies.get(COOKIE) ?? "");
    await victim.signIn("operator", operator.secret);
    expect(victim.cookies.get(COOKIE)).not.toBe(attacker.cookies.get(COOKIE));
    expect(await attacker.get("/ui/")).toMatchObject(ENDED);
    expect((await victim.get("/ui/")).text).toContain("<bdi>operator</bdi>");
  });

  test("goes on where somebody wanted to go, and nowhere else", async () => {
    const asked = await browser.get("/ui/sessions?x=1");
    expect(asked).toMatchObject({ status: 303, headers: { location: "/ui/sign-in?next=%2Fui%2Fsessions%3Fx%3D1" } });
    const page = await browser.get(asked.headers.location ?? "");
    expect(formsOf(page.text)[0]?.fields["next"]).toBe("/ui/sessions?x=1");
    expect((await browser.signIn("operator", operator.secret, "/ui/sessions?x=1")).headers.location).toBe("/ui/sessions?x=1");
    for (const elsewhere of [
      "//evil.example/",
      "https://evil.example/ui/",
      "/ui/..//evil.example",
      "/ui/\\evil.example",
      "javascript:alert(1)",
    ]) {
      expect((await browser.signIn("operator", operator.secret, elsewhere)).headers.location).toMatch(/^\/ui\/(?!\/)/);
      expect((await browser.get(`/ui/sign-in?next=${encodeURIComponent(elsewhere)}`)).text).not.toContain("evil.example");
    }
  });

  test("shows what was typed as text", async () => {
    const name = `"><script>alert(1)</script>'`;
    const { text } = await browser.signIn(name, "x");
    expect(text).not.toContain("<script");
    expect(formsOf(text)[0]?.fields["name"]).toBe(name);
  });
});

test("no text leads from the page to sign in on to another server", () => {
  const piece = fc.constantFrom(
    "/",
    "\\",
    "//",
    "ui",
    "/ui/",
    "..",
    "%2e%2e",
    "%2f",
    "@",
    ":",
    "evil.example",
    "http",
    "?",
    "#",
    "\t",
    "\n",
    "a",
  );
  const text = fc.oneof(
    fc.string(),
    fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join("")),
  );
  fc.assert(
    fc.property(text, (asked) => {
      for (const next of [asked, `/ui/${asked}`]) {
        const url = new URL(localPath(next), "https://models.example/ui/sign-in");
        expect([url.origin, url.pathname.startsWith("/ui/")]).toEqual(["https://models.example", true]);
      }
    }),
  );
});

describe("a session", () => {
  test("ends after half an hour without use, and not while it is used", async () => {
    const used = await signedIn();
    const idle = await signedIn();
    for (let time = 0; time < 3; time += 1) {
      registry.pass(14 * MINUTE);
      expect((await used.get("/ui/")).status).toBe(200);
    }
    expect(await idle.get("/ui/")).toMatchObject(ENDED);
  });

  test("ends after twelve hours, however much it is used", async () => {
    const used = await signedIn();
    for (let passed = 0; passed < 12 * HOUR - 20 * MINUTE; passed += 20 * MINUTE) {
      registry.pass(20 * MINUTE);
      expect((await used.get("/ui/")).status).toBe(200);
    }
    registry.pass(20 * MINUTE);
    expect(await used.get("/ui/")).toMatchObject(ENDED);
  });

  test("ends at once with its key: revoked, expired, or of an identity that is disabled or whose credentials were all ended", async () => {
    const short = await registry.key("operator", { expiresAt: registry.services.clock() + MINUTE });
    const expiring = Browser.at(registry);
    await expiring.signIn("operator", short.secret);
    expect((await expiring.get("/ui/")).status).toBe(200);
    registry.pass(MINUTE);
    expect(await expiring.get("/ui/")).toMatchObject(ENDED);

    const revoked = await signedIn(reader);
    expect((await registry.ask("DELETE", `/v1/credentials/${reader.id}`, { as: bearer(operator.secret) })).status).toBe(200);
    expect(await revoked.get("/ui/")).toMatchObject(ENDED);

    for (const ended of [{ epoch: 1 }, { disabled: true, epoch: 1 }]) {
      const session = await signedIn();
      const { value } = (await registry.services.metadata.get(keys.identity("operator"))) ?? { value: undefined };
      await registry.change({ put: [{ key: keys.identity("operator"), value: { ...(value as object), ...ended } }] });
      expect(await session.get("/ui/")).toMatchObject(ENDED);
    }
  });

  test("has the rights that its identity has now", async () => {
    const session = await signedIn();
    expect((await session.get("/ui/")).text).toContain("of disk left");
    const { value } = (await registry.services.metadata.get(keys.identity("operator"))) ?? { value: undefined };
    await registry.change({ put: [{ key: keys.identity("operator"), value: { ...(value as object), bindings: [] } }] });
    expect((await session.get("/ui/")).text).not.toContain("of disk left");
  });

  test("is over when its browser signs out, whoever kept its id", async () => {
    const session = await signedIn();
    const stolen = { ...session.cookieHeader };
    const page = await session.get("/ui/");
    const [signOut] = formsOf(page.text);
    expect(signOut?.action).toBe("/ui/sign-out");
    expect(await session.post("/ui/sign-out", signOut?.fields ?? {})).toMatchObject({ status: 303 });
    expect(session.cookies.size).toBe(0);
    expect(await registry.ask("GET", "/ui/", { headers: stolen })).toMatchObject(ENDED);
    // The form that it had is of no use any more either.
    expect((await session.post("/ui/sign-out", signOut?.fields ?? {}, { ...session.own, ...stolen })).status).toBe(403);
  });

  test("is listed to whoever holds it, who ends one of them or all, and nobody else's", async () => {
    const [one, two, other] = [await signedIn(), await signedIn(), await signedIn(reader)];
    const listed = formsOf((await one.get("/ui/sessions")).text).filter(({ action }) => action.endsWith("/end"));
    expect(listed).toHaveLength(2);
    const others = formsOf((await other.get("/ui/sessions")).text).find(({ action }) => action.endsWith("/end"));
    const token = listed[0]?.fields ?? {};
    expect((await one.post(others?.action ?? "", token)).status).toBe(404);
    expect((await one.post(`/ui/sessions/${operator.id}/end`, token)).status).toBe(404);
    expect((await other.get("/ui/")).status).toBe(200);

    expect((await one.submit("/ui/sessions", listed[1]?.action ?? "")).status).toBe(303);
    expect(await two.get("/ui/")).toMatchObject(ENDED);
    const three = await signedIn();
    expect((await one.submit("/ui/sessions", "/ui/sessions/end-all")).status).toBe(303);
    for (const ended of [one, three]) expect(await ended.get("/ui/")).toMatchObject(ENDED);
    expect((await other.get("/ui/")).status).toBe(200);
    expect((await registry.ask("GET", "/v1/whoami", { as: bearer(operator.secret) })).status).toBe(200);
  });

  test("is listed by the API too, where whoever administers keys ends it", async () => {
    const session = await signedIn(reader);
    const { json } = await registry.ask("GET", "/v1/credentials", { as: bearer(operator.secret) });
    const listed = (json["credentials"] as { id: string; kind: string; name: string }[]).filter(({ kind }) => kind === "session");
    expect(listed).toMatchObject([{ name: "reader" }]);
    await registry.ask("DELETE", `/v1/credentials/${listed[0]?.id}`, { as: bearer(operator.secret) });
    expect(await session.get("/ui/")).toMatchObject(ENDED);
  });

  test("is one of twenty at most, of which the oldest gives way; what ended is swept", async () => {
    const first = await signedIn(reader);
    for (let time = 0; time < 20; time += 1) await signedIn(reader);
    expect(await first.get("/ui/")).toMatchObject(ENDED);
    registry.pass(12 * HOUR);
    await signedIn(reader);
    const rows = await registry.services.metadata.list(under(keys.identityCredentials("reader"), 100));
    expect(rows).toHaveLength(2);
  });

  test("is not chosen where two ids come along, since somebody else put one of them there", async () => {
    const id = (await signedIn()).cookies.get(COOKIE) ?? "";
    const two = `${COOKIE}=${id}; ${COOKIE}=${"B".repeat(32)}`;
    expect(await registry.ask("GET", "/ui/", { headers: { Cookie: two } })).toMatchObject(ENDED);
  });
});

describe("a change", () => {
  /** What a page of another origin can have a browser send, with the cookie that SameSite should have kept back. */
  const FOREIGN: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
    ["from another site", { Origin: "https://evil.example", "Sec-Fetch-Site": "cross-site" }],
    ["from a site that hides where it is", { Origin: "null", "Sec-Fetch-Site": "cross-site" }],
    ["from an older browser at another site", { Origin: "https://evil.example" }],
    ["from another port of the same host", { Origin: "http://127.0.0.1:1", "Sec-Fetch-Site": "same-site" }],
    ["from a browser that calls it ours and names another origin", { Origin: "https://evil.example", "Sec-Fetch-Site": "same-origin" }],
    ["from a browser that names ours and calls it another site's", { "Sec-Fetch-Site": "cross-site", Origin: "own" }],
    ["typed into the address", { "Sec-Fetch-Site": "none" }],
    ["from what tells nothing of where it comes from", {}],
  ];

  test.each(FOREIGN)("%s is refused, even with the right token", async (_, headers) => {
    const session = await signedIn();
    const [form] = formsOf((await session.get("/ui/sessions")).text);
    const sent = headers["Origin"] === "own" ? { ...headers, Origin: registry.edge.url } : headers;
    for (const path of ["/ui/sign-out", "/ui/sessions/end-all", "/ui/sign-in"]) {
      const answer = await session.post(path, { ...form?.fields, name: "reader", key: reader.secret }, sent);
      expect([path, answer.status, answer.headers["set-cookie"]]).toEqual([path, 403, undefined]);
      expect(answer.text).toContain("did not come from a page of this registry");
    }
    expect((await session.get("/ui/")).text).toContain("<bdi>operator</bdi>");
  });

  test("is told by either of the two headers that browsers have", async () => {
    for (const headers of [{ Origin: registry.edge.url }, { "Sec-Fetch-Site": "same-origin" }] as const) {
      const session = await signedIn();
      const [form] = formsOf((await session.get("/ui/")).text);
      expect((await session.post("/ui/sign-out", form?.fields ?? {}, headers)).status).toBe(303);
    }
  });

  test("needs the token of the very session: none, another one's and an altered one are refused, and noted", async () => {
    const [session, other] = [await signedIn(), await signedIn(reader)];
    const token = await tokenOf(session);
    const altered = `${token.slice(0, -1)}${token.endsWith("A") ? "B" : "A"}`;
    for (const fields of [{}, { _csrf: "" }, { _csrf: await tokenOf(other) }, { _csrf: altered }] as const) {
      expect((await session.post("/ui/sessions/end-all", fields)).status).toBe(403);
    }
    expect((await session.get("/ui/")).status).toBe(200);
    expect(registry.noted.filter(({ type }) => type === "request.refused")).toHaveLength(4);
    expect(token).toHaveLength(43);
  });

  test("is a form, once each field, and of a bounded size", async () => {
    const session = await signedIn();
    const token = await tokenOf(session);
    const headers = { ...session.cookieHeader, ...session.own };
    const ask = (type: string, body: string): Promise<{ status: number }> =>
      registry.ask("POST", "/ui/sign-out", { headers: { ...headers, "Content-Type": type }, body });
    const form = "application/x-www-form-urlencoded";
    expect((await ask("text/plain", `_csrf=${token}`)).status).toBe(400);
    expect((await ask("application/json", JSON.stringify({ _csrf: token }))).status).toBe(400);
    expect((await ask(form, `_csrf=${token}&_csrf=${token}`)).status).toBe(400);
    expect((await ask(form, `_csrf=${token}&x=${"x".repeat(70_000)}`)).status).toBe(413);
    expect((await ask(form, `_csrf=${token}`)).status).toBe(303);
  });

  test("by GET does not exist", async () => {
    const session = await signedIn();
    for (const path of ["/ui/sign-out", "/ui/sessions/end-all"]) expect((await session.get(path)).status).toBe(405);
  });
});

test("no door but those of the pages looks at a cookie", async () => {
  const session = await signedIn();
  const headers = { ...session.cookieHeader, ...session.own };
  const others = registry.doors.filter(({ path, action }) => !path.startsWith("/ui") && action !== "open");
  expect(others.length).toBeGreaterThan(40);
  for (const { method, path } of others) {
    const at = path
      .replaceAll(/:ref\{[^}]*\}(?:\}|[^/]*)/g, "models/a:latest")
      .replaceAll(/:(?:digest|reference)/g, `sha256:${"0".repeat(64)}`)
      .replaceAll(":name", "models")
      .replaceAll(/:\w+(?:\{[^}]*\})?/g, "x");
    const asked = method === "GET" ? { headers } : { headers, body: "{}" };
    const [withCookie, without] = [await registry.ask(method, at, asked), await registry.ask(method, at, { ...asked, headers: {} })];
    expect([method, at, withCookie.status, withCookie.text]).toEqual([method, at, without.status, without.text]);
    expect([401, 403, 404]).toContain(withCookie.status);
  }
  expect((await registry.ask("GET", "/auth/token", { headers })).status).toBe(401);
  // Nor is an id of a session a credential there, or an API key one here.
  const id = session.cookies.get(COOKIE) ?? "";
  for (const as of [bearer(id), basic("operator", id)]) expect((await registry.ask("GET", "/v1/whoami", { as })).status).toBe(401);
  expect((await registry.ask("GET", "/ui/", { as: bearer(operator.secret) })).status).toBe(303);
});
