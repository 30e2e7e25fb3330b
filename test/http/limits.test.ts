import { Hono } from "hono";
import { afterEach, describe, expect, test } from "vitest";
import { Limiter, addressKey } from "../../src/http/limits.ts";
import type { Ask, Door, Env } from "../../src/http/route.ts";
import type { Charged } from "../../src/limits/buckets.ts";
import { DEFAULT_RATES, type Limited, type Rates } from "../../src/limits/classes.ts";
import { DEFAULT_BOUNDS, LimitKeeper, ownLimits } from "../../src/limits/keeper.ts";
import type { Limits } from "../../src/limits/limits.ts";
import { type Edge, type EdgeOptions, startEdge } from "../support/edge.ts";

function limitsOf(rates: Rates): Limits {
  return ownLimits({ ...DEFAULT_BOUNDS, rates }, () => performance.now());
}

function limiterWith(changed: Partial<Rates>): Limiter {
  const rates = { ...DEFAULT_RATES, ...changed };
  return new Limiter(limitsOf(rates), rates);
}

test.each([
  ["127.0.0.1", "127.0.0.1"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2"],
  ["2001:db8::1", "2001:db8:0:0"],
  ["::1", "0:0:0:0"],
  ["fe80::1:2%eth0", "fe80:0:0:0"],
])("the bucket of %s is %s", (address, key) => {
  expect(addressKey(address)).toBe(key);
});

const doors: Door[] = [
  { method: "GET", path: "/auth/token", action: "open", handle: (c) => c.json({}) },
  { method: "GET", path: "/v2/", action: "credential", handle: (c) => c.json({}) },
  { method: "GET", path: "/v2/:name/blobs/:digest", action: "pull", limit: "read-blob", inRepository: true, handle: (c) => c.json({}) },
  { method: "GET", path: "/v1/things", action: "credential", limit: "search", handle: (c) => c.json({}) },
  { method: "POST", path: "/v2/:name/blobs/uploads/", action: "push", inRepository: true, handle: (c) => c.body(null, 202) },
  { method: "PATCH", path: "/v2/:name/blobs/uploads/:id", action: "push", inRepository: true, handle: (c) => c.body(null, 202) },
  { method: "PUT", path: "/v2/:name/blobs/uploads/:id", action: "push", inRepository: true, handle: (c) => c.body(null, 201) },
  { method: "DELETE", path: "/v2/:name/blobs/:digest", action: "delete", inRepository: true, handle: (c) => c.body(null, 202) },
];
const NEVER_REFILLED = { perSecond: 0.01, burst: 2 };

let edge: Edge | undefined;
afterEach(async () => {
  await edge?.stop();
  edge = undefined;
});

async function limited(
  what: Limited,
  options: Partial<EdgeOptions> = {},
): Promise<(method: string, path: string, who?: string) => Promise<Response>> {
  const started = await startEdge({ doors, limiter: limiterWith({ [what]: NEVER_REFILLED }), ...options });
  edge = started;
  return (method, path, who) =>
    fetch(`${started.url}${path}`, { method, headers: who === undefined ? {} : { authorization: `Bearer ${who}` } });
}

/** A worker's limiter as a door sees it: tells whether a GET that is charged so is let through. */
async function doorOf(limiter: Limiter): Promise<(charged: Charged) => Promise<boolean>> {
  const { promise, resolve } = Promise.withResolvers<Ask>();
  const app = new Hono<Env>().get("/", (c) => {
    resolve(c);
    return c.text("");
  });
  await app.request("/");
  const c = await promise;
  return async (charged) => {
    try {
      await limiter.take(c, "read-meta", charged);
      return true;
    } catch (error) {
      expect(error).toMatchObject({ code: "TOO_MANY_REQUESTS" });
      return false;
    }
  };
}

describe("units that workers take in advance", () => {
  const rates = { ...DEFAULT_RATES, "read-meta": { perSecond: 50, burst: 500 } };

  async function workersOf(
    count: number,
  ): Promise<{ readonly doors: ((charged: Charged) => Promise<boolean>)[]; readonly asked: () => number }> {
    const keeper = new LimitKeeper({ ...DEFAULT_BOUNDS, rates }, () => 0, count);
    let asked = 0;
    const limiterOf = (worker: number): Limiter => {
      const { take } = keeper.of(worker);
      return new Limiter({ take: async (...question) => ((asked += 1), take(...question)) }, rates);
    };
    return { doors: await Promise.all(Array.from({ length: count }, (_, worker) => doorOf(limiterOf(worker)))), asked: () => asked };
  }

  test("do not lock out 500 runtimes that ask for one namespace at all of four workers", async () => {
    const { doors: workers } = await workersOf(4);
    let passed = 0;
    for (let runtime = 0; runtime < 500; runtime += 1) {
      const charged = {
        address: `10.0.${runtime >> 8}.${runtime & 255}`,
        identity: `r${runtime}`,
        credential: `k${runtime}`,
        namespace: "models",
      };
      for (const passes of workers) if (await passes(charged)) passed += 1;
    }
    expect(passed).toBe(2000);
  });

  test("do not lock out a scanner that asks once in each of as many namespaces as it has requests", async () => {
    const {
      doors: [passes],
    } = await workersOf(1);
    const scanner = { address: "10.0.0.1", identity: "scanner", credential: "k" };
    const passed: boolean[] = [];
    for (let at = 0; at <= 500; at += 1) passed.push((await passes?.({ ...scanner, namespace: `n${at}` })) ?? false);
    expect(passed).toEqual([...Array<boolean>(500).fill(true), false]);
  });

  test("spare a busy reader, alone and with many requests at a time, most questions; each waits for the one that is being asked", async () => {
    for (const atATime of [1, 10]) {
      const {
        doors: [passes],
        asked,
      } = await workersOf(1);
      const reader = { address: "10.0.0.1", identity: "a" };
      const passed: (boolean | undefined)[] = [];
      while (passed.length < 320) passed.push(...(await Promise.all(Array.from({ length: atATime }, async () => passes?.(reader)))));
      expect(new Set(passed)).toEqual(new Set([true]));
      // 1, 2, 4 and 8, then 15 at a time.
      expect(asked()).toBe(4 + Math.ceil((320 - 15) / 15));
    }
  });
});

describe("a limit", () => {
  test.each<{ what: Limited; method: string; path: string; who?: string; usual: number }>([
    { what: "unauthenticated", method: "GET", path: "/v2/", usual: 401 },
    { what: "auth-fail", method: "GET", path: "/v2/", who: "WRONG", usual: 401 },
    { what: "token", method: "GET", path: "/auth/token", usual: 200 },
    { what: "read-meta", method: "GET", path: "/v2/", who: "known", usual: 200 },
    { what: "read-blob", method: "GET", path: "/v2/a/blobs/x", who: "known", usual: 200 },
    { what: "upload-start", method: "POST", path: "/v2/a/blobs/uploads/", who: "known", usual: 202 },
    { what: "mutate", method: "DELETE", path: "/v2/a/blobs/x", who: "known", usual: 202 },
  ])("of $what answers 429 with whole seconds to wait when $method $path has used it up", async ({ what, method, path, who, usual }) => {
    const ask = await limited(what);
    const statuses = [(await ask(method, path, who)).status, (await ask(method, path, who)).status];
    expect(statuses).toEqual([usual, usual]);
    const refused = await ask(method, path, who);
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, expect.stringMatching(/^[1-9]\d*$/)]);
    expect(await refused.json()).toMatchObject({ errors: [{ code: "TOOMANYREQUESTS" }] });
  });

  test("is one of each principal", async () => {
    const ask = await limited("upload-start");
    for (let count = 0; count < 3; count += 1) await ask("POST", "/v2/a/blobs/uploads/", "known");
    expect((await ask("POST", "/v2/a/blobs/uploads/", "another")).status).toBe(202);
  });

  test.each(["PATCH", "PUT"])("never refuses a %s of an upload that was admitted", async (method) => {
    const ask = await limited("mutate");
    const statuses = new Set<number>();
    for (let count = 0; count < 10; count += 1) statuses.add((await ask(method, "/v2/a/blobs/uploads/1", "known")).status);
    expect([...statuses]).toEqual([method === "PUT" ? 201 : 202]);
  });

  test.each(["PATCH", "PUT"])("never turns the 401 of a %s into a 429", async (method) => {
    const ask = await limited("unauthenticated");
    for (let count = 0; count < 10; count += 1) expect((await ask(method, "/v2/a/blobs/uploads/1")).status).toBe(401);
  });

  test("used up by strangers does not touch who has a credential", async () => {
    const ask = await limited("unauthenticated");
    for (let count = 0; count < 5; count += 1) await ask("GET", "/v2/");
    expect((await ask("GET", "/v2/", "known")).status).toBe(200);
  });

  test("tells on the API what there is in all and what is left, and says so in a problem when that is used up", async () => {
    const ask = await limited("search");
    const headers = ["ratelimit-policy", "ratelimit"] as const;
    const seen = await Promise.all([1, 2, 3].map(() => ask("GET", "/v1/things", "known")));
    expect(seen.map(({ status }) => status)).toEqual([200, 200, 429]);
    expect(seen.map((answer) => answer.headers.get(headers[0]))).toEqual(Array(3).fill('"search";q=2;w=200'));
    expect(seen.map((answer) => answer.headers.get(headers[1])?.replace(/;t=\d+$/, ""))).toEqual([
      '"search";r=1',
      '"search";r=0',
      '"search";r=0',
    ]);
    expect(await seen[2]?.json()).toMatchObject({ status: 429, code: "too_many_requests" });
  });

  test("of a credential holds whoever's address it comes from, and that of an address whichever identity comes from there", async () => {
    const limits = limitsOf({ ...DEFAULT_RATES, mutate: { perSecond: 0.01, burst: 3 } });
    const from = async (address: string, identity: string, credential: string): Promise<number> =>
      (await limits.take("mutate", { address, identity, credential }, 1)).units;
    expect([await from("1", "a", "k1"), await from("2", "a", "k1"), await from("3", "a", "k1"), await from("4", "a", "k1")]).toEqual([
      1, 1, 1, 0,
    ]);
    expect(await from("5", "a", "k2")).toBe(0);
    const others: number[] = [];
    for (let n = 0; n < 12; n += 1) others.push(await from("9", `b${n}`, `l${n}`));
    expect(others.reduce((sum, units) => sum + units, 0)).toBe(12);
    expect(await from("9", "c", "m")).toBe(0);
  });
});
