import { createPublicKey } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { TokenKeys, listTokenKeys } from "../../src/registry/token-keys.ts";
import { keys } from "../../src/storage/keys.ts";
import { type Identities, startIdentities } from "../support/identities.ts";

const DAY = 24 * 60 * 60 * 1000;

let store: Identities;
beforeEach(async () => {
  store = await startIdentities();
});
afterEach(async () => store.close());

describe("TokenKeys", () => {
  test("makes a key at first need, with its event, and goes on with it", async () => {
    const ring = new TokenKeys(store.services);
    const { kid } = await ring.signingKey();
    expect((await ring.signingKey()).kid).toBe(kid);
    expect((await store.events()).map(({ type }) => type)).toEqual(["token-key.create"]);
  });

  test("gives all workers one key, however many need the first one at once", async () => {
    const rings = Array.from({ length: 8 }, () => new TokenKeys(store.again()));
    const kids = await Promise.all(rings.map(async (ring) => (await ring.signingKey()).kid));
    expect(new Set(kids).size).toBe(1);
    expect(await listTokenKeys(store.services)).toHaveLength(1);
    expect(await new TokenKeys(store.again()).verificationKey(kids[0] ?? "")).toBeDefined();
  });

  test("signs with another key after 30 days, and takes what the old one signed until its last token is over", async () => {
    const ring = new TokenKeys(store.services);
    const { kid: old } = await ring.signingKey();
    store.pass(30 * DAY - 1);
    expect((await ring.signingKey()).kid).toBe(old);
    store.pass(1);
    expect((await ring.signingKey()).kid).not.toBe(old);
    store.pass(359_999);
    expect(await ring.verificationKey(old)).toBeDefined();
    store.pass(1);
    expect(await ring.verificationKey(old)).toBeUndefined();
  });

  test("keeps the private key encrypted, and makes a new one under another secret", async () => {
    const { kid } = await new TokenKeys(store.services).signingKey();
    const entry = await store.services.metadata.get(keys.tokenKey(kid));
    expect(
      JSON.stringify(entry?.value, (_, value: unknown) => (value instanceof Uint8Array ? Buffer.from(value).toString("latin1") : value)),
    ).not.toContain("PRIVATE");
    const other = { ...store.again(), secretFor: () => new Uint8Array(32).fill(7) };
    expect((await new TokenKeys(other).signingKey()).kid).not.toBe(kid);
  });

  test.each(["", "unknown", "../x", "a".repeat(43), "a".repeat(100_000)])("knows no key %#", async (kid) => {
    expect(await new TokenKeys(store.services).verificationKey(kid)).toBeUndefined();
  });
});

test("listTokenKeys shows every key that ever signed, oldest first, and public parts alone", async () => {
  expect(await listTokenKeys(store.services)).toEqual([]);
  const ring = new TokenKeys(store.services);
  const first = await ring.signingKey();
  store.pass(31 * DAY);
  const second = await ring.signingKey();
  const listed = await listTokenKeys(store.services);
  expect(listed.map(({ id }) => id)).toEqual([first.kid, second.kid]);
  for (const { pem } of listed) {
    expect(pem).not.toContain("PRIVATE");
    expect(createPublicKey(pem).asymmetricKeyDetails?.namedCurve).toBe("prime256v1");
  }
});
