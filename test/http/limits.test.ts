import * as fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { DEFAULT_RATES, Gcra, type Limited, Limiter, addressKey } from "../../src/http/limits.ts";
import type { Door } from "../../src/http/route.ts";
import { type Edge, type EdgeOptions, startEdge } from "../support/edge.ts";

describe("the leaky bucket", () => {
  test("lets a burst through, then one at a time, and tells a short wait", () => {
    const bucket = new Gcra({ perSecond: 1, burst: 60 });
    for (let count = 0; count < 60; count += 1) expect(bucket.take("a", 1000)).toBe(0);
    expect(bucket.take("a", 1000)).toBe(1000);
    expect(bucket.take("b", 1000)).toBe(0);
    expect(bucket.take("a", 2000)).toBe(0);
    expect(bucket.take("a", 2000)).toBe(1000);
  });

  test("never lets more through in any span than its burst and rate", () => {
    const gaps = fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 1, maxLength: 200 });
    const check = fc.check(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 20 }), gaps, (perSecond, burst, steps) => {
        const bucket = new Gcra({ perSecond, burst });
        let now = 5000;
        const passed: number[] = [];
        for (const gap of steps) {
          now += gap;
          const wait = bucket.take("k", now);
          if (wait === 0) passed.push(now);
          // Whoever comes a little before its time is refused again.
          if (wait > 1 && bucket.take("k", now + wait - 1) === 0) return false;
        }
        const spans = passed.flatMap((start, first) => passed.slice(first).map((end, more) => ({ span: end - start, count: more + 1 })));
        return spans.every(({ span, count }) => count <= burst + (span * perSecond) / 1000 + 1e-6);
      }),
    );
    expect(check).toMatchObject({ failed: false });
  });

  test("is not freed by a flood of fresh keys, which share one bucket when there is no room", () => {
    const bucket = new Gcra({ perSecond: 1, burst: 2 }, 100);
    bucket.take("limited", 0);
    bucket.take("limited", 0);
    const passed = Array.from({ length: 5000 }, (_, count) => bucket.take(`fresh-${count}`, 1)).filter((wait) => wait === 0).length;
    expect(bucket.take("limited", 1)).toBeGreaterThan(0);
    expect(passed).toBe(99 + 2);
    expect(bucket.take("late", 10_000)).toBe(0);
  });
});

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
  const started = await startEdge({ doors, limiter: new Limiter({ ...DEFAULT_RATES, [what]: NEVER_REFILLED }), ...options });
  edge = started;
  return (method, path, who) =>
    fetch(`${started.url}${path}`, { method, headers: who === undefined ? {} : { authorization: `Bearer ${who}` } });
}

describe("a limit", () => {
  test.each<{ what: Limited; method: string; path: string; who?: string; usual: number }>([
    { what: "unauthenticated", method: "GET", path: "/v2/", usual: 401 },
    { what: "auth-fail", method: "GET", path: "/v2/", who: "WRONG", usual: 401 },
    { what: "token", method: "GET", path: "/auth/token", usual: 200 },
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
});
