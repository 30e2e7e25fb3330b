import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Attempt, Lockout } from "../../src/registry/lockout.ts";
import { keys, under } from "../../src/storage/keys.ts";
import { type Identities, startIdentities } from "../support/identities.ts";

const ATTEMPT: Attempt = { subject: "name publisher", address: "192.0.2.1", secretTag: "t1", by: "header" };
const MINUTE = 60_000;

let store: Identities;
let lockout: Lockout;
beforeEach(async () => {
  store = await startIdentities();
  lockout = new Lockout(store.services);
});
afterEach(async () => store.close());

async function fail(times: number, attempt = ATTEMPT): Promise<void> {
  for (let time = 0; time < times; time += 1) await lockout.failed(attempt);
}

async function waitFor(attempt: Attempt, where = lockout): Promise<number> {
  return (await where.check(attempt)).waitMilliseconds;
}

async function rows(): Promise<number> {
  return (await store.services.metadata.list(under(keys.lockouts(), 1000))).length;
}

describe("Lockout", () => {
  test("locks for a minute from the fifth failure on", async () => {
    await fail(4);
    expect(await waitFor(ATTEMPT)).toBe(0);
    await fail(1);
    expect(await waitFor(ATTEMPT)).toBe(MINUTE);
    store.pass(MINUTE);
    expect(await waitFor(ATTEMPT)).toBe(0);
    await fail(1);
    expect(await waitFor(ATTEMPT)).toBe(MINUTE);
  });

  test("locks for a quarter of an hour from the fifteenth failure on, and never for good", async () => {
    await fail(14);
    expect(await waitFor(ATTEMPT)).toBe(MINUTE);
    await fail(1);
    expect(await waitFor(ATTEMPT)).toBe(15 * MINUTE);
    store.pass(15 * MINUTE);
    expect(await waitFor(ATTEMPT)).toBe(0);
  });

  test("locks for no longer than it may when the clock was ahead and is set right", async () => {
    await fail(15);
    store.pass(-365 * 24 * 60 * MINUTE);
    expect(await waitFor(ATTEMPT)).toBe(0);
  });

  test("goes on counting when the clock is set back", async () => {
    store.pass(-24 * 60 * MINUTE);
    await fail(5);
    expect(await waitFor(ATTEMPT)).toBe(MINUTE);
  });

  test("holds for one subject from one address", async () => {
    await fail(5);
    expect(await waitFor({ ...ATTEMPT, address: "192.0.2.2" })).toBe(0);
    expect(await waitFor({ ...ATTEMPT, subject: "name operator" })).toBe(0);
    expect(await waitFor({ ...ATTEMPT, secretTag: "t2" })).toBe(MINUTE);
  });

  test("holds in every worker", async () => {
    await fail(5);
    expect(await waitFor(ATTEMPT, new Lockout(store.again()))).toBe(MINUTE);
  });

  test("counts every failure of many at once", async () => {
    await Promise.all(Array.from({ length: 15 }, () => new Lockout(store.again()).failed(ATTEMPT)));
    expect(await waitFor(ATTEMPT)).toBe(15 * MINUTE);
  });

  test("forgets at a success, and after a day without a failure", async () => {
    expect(await lockout.check(ATTEMPT)).toEqual({ waitMilliseconds: 0, failedBefore: false });
    await fail(4);
    expect(await lockout.check(ATTEMPT)).toEqual({ waitMilliseconds: 0, failedBefore: true });
    await lockout.succeeded(ATTEMPT);
    expect(await rows()).toBe(0);
    await fail(4);
    store.pass(24 * 60 * MINUTE);
    await fail(1);
    expect(await waitFor(ATTEMPT)).toBe(0);
  });

  test("takes the same secret by form and then by header for one failure, as containerd sends it", async () => {
    const form = { ...ATTEMPT, by: "form" } as const;
    for (let time = 0; time < 4; time += 1) {
      await lockout.failed(form);
      await lockout.failed(ATTEMPT);
    }
    expect(await waitFor(ATTEMPT)).toBe(0);
    await lockout.failed(form);
    expect(await waitFor(ATTEMPT)).toBe(MINUTE);
  });

  test("counts it twice when the secret is another one, or the repeat comes late or again", async () => {
    const form = { ...ATTEMPT, by: "form" } as const;
    await lockout.failed(form);
    await lockout.failed({ ...ATTEMPT, secretTag: "t2" });
    await lockout.failed(form);
    store.pass(10_001);
    await lockout.failed(ATTEMPT);
    await lockout.failed(ATTEMPT);
    expect(await waitFor(ATTEMPT)).toBe(MINUTE);
  });

  test("writes a bounded number of failures, whatever is thrown at it, and more as time passes", async () => {
    for (let at = 0; at < 300; at += 1) await lockout.failed({ ...ATTEMPT, subject: `name n${at}` });
    expect(await rows()).toBe(100);
    store.pass(1000);
    for (let at = 300; at < 400; at += 1) await lockout.failed({ ...ATTEMPT, subject: `name n${at}` });
    expect(await rows()).toBe(105);
  });

  test("removes forgotten rows while it writes new ones", async () => {
    for (let at = 0; at < 100; at += 1) await lockout.failed({ ...ATTEMPT, subject: `name n${at}` });
    store.pass(25 * 60 * MINUTE);
    for (let at = 0; at < 100; at += 1) await lockout.failed({ ...ATTEMPT, subject: `name m${at}` });
    expect(await rows()).toBeLessThan(130);
  });

  test("leaves neither names nor secrets in its keys", async () => {
    await lockout.failed(ATTEMPT);
    const [row] = await store.services.metadata.list(under(keys.lockouts(), 1));
    expect(row?.key[1]).toMatch(/^[0-9a-f]{64}$/);
  });
});
