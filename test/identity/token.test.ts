import { type KeyObject, createHash, createHmac, createPublicKey, generateKeyPairSync } from "node:crypto";
import { SignJWT, UnsecuredJWT } from "jose";
import { describe, expect, test } from "vitest";
import { type TokenClaims, keyIdOf, mintToken, verifyToken } from "../../src/identity/token.ts";

const NOW = Date.parse("2026-11-25T12:00:00Z");
const SECONDS = NOW / 1000;
const PARTIES = { issuer: "https://models.example", audience: "models.example" };
const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const KID = await keyIdOf(publicKey);
const CLAIMS: TokenClaims = {
  sub: "publisher",
  access: [{ type: "repository", name: "models/a", actions: ["pull", "push"] }],
  cid: "c1",
  amr: ["api-key"],
  epoch: 0,
  jti: "t1",
  iat: SECONDS,
  exp: SECONDS + 300,
};

const keyFor = async (kid: string): Promise<KeyObject | undefined> => (kid === KID ? publicKey : undefined);
const verify = (token: string, now = NOW, parties = PARTIES): Promise<TokenClaims | undefined> => verifyToken(token, parties, now, keyFor);

interface Odd {
  readonly header?: Record<string, unknown>;
  readonly claims?: Record<string, unknown>;
  readonly key?: KeyObject | Uint8Array;
}

/** A token that is right but for what is given. */
function odd({ header = {}, claims = {}, key = privateKey }: Odd): Promise<string> {
  const payload = { ...CLAIMS, iss: PARTIES.issuer, aud: PARTIES.audience, nbf: CLAIMS.iat, ...claims };
  return new SignJWT(JSON.parse(JSON.stringify(payload)) as Record<string, unknown>)
    .setProtectedHeader({ alg: "ES256", kid: KID, typ: "at+jwt", ...header })
    .sign(key);
}

describe("verifyToken", () => {
  test("gives back the claims that were signed", async () => {
    expect(await verify(await mintToken({ kid: KID, key: privateKey }, PARTIES, CLAIMS))).toMatchObject(CLAIMS);
    expect(await verify(await odd({}))).toMatchObject(CLAIMS);
  });

  test("allows clocks 30 s apart, and no more", async () => {
    const token = await odd({});
    expect(await verify(token, NOW + 329_000)).toBeDefined();
    expect(await verify(token, NOW + 331_000)).toBeUndefined();
    expect(await verify(token, NOW - 29_000)).toBeDefined();
    expect(await verify(token, NOW - 31_000)).toBeUndefined();
  });

  test.each<[string, Odd]>([
    ["another issuer", { claims: { iss: "https://evil.example" } }],
    ["no issuer", { claims: { iss: undefined } }],
    ["another audience", { claims: { aud: "other.example" } }],
    ["no audience", { claims: { aud: undefined } }],
    ["another type", { header: { typ: "JWT" } }],
    ["no type", { header: { typ: undefined } }],
    ["an unknown key", { header: { kid: "unknown" } }],
    ["no key id", { header: { kid: undefined } }],
    ["no expiry", { claims: { exp: undefined } }],
    ["no start", { claims: { nbf: undefined } }],
    ["no subject", { claims: { sub: undefined } }],
    ["no id", { claims: { jti: undefined } }],
    ["no credential", { claims: { cid: undefined } }],
    ["no epoch", { claims: { epoch: undefined } }],
    ["an epoch that is no number", { claims: { epoch: "0" } }],
    ["an unknown action", { claims: { access: [{ type: "repository", name: "a", actions: ["admin"] }] } }],
    ["an unknown critical header", { header: { crit: ["x"], x: 1 } }],
    ["a signature of another key", { key: generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey }],
  ])("refuses a token with %s", async (_, change) => {
    const token = await odd(change).catch(() => forged(change));
    expect(await verify(token)).toBeUndefined();
  });

  test("refuses algorithms other than ES256: none, and an HMAC under the public key", async () => {
    const none = new UnsecuredJWT({ ...CLAIMS, iss: PARTIES.issuer, aud: PARTIES.audience }).encode();
    expect(await verify(none)).toBeUndefined();
    const pem = publicKey.export({ type: "spki", format: "pem" });
    expect(await verify(withSignature({ alg: "HS256" }, (input) => createHmac("sha256", pem).update(input).digest()))).toBeUndefined();
  });

  test("refuses a token whose claims were changed", async () => {
    const [header, payload, signature] = (await odd({})).split(".");
    const changed = JSON.stringify({ ...JSON.parse(Buffer.from(payload ?? "", "base64url").toString()), sub: "operator" });
    expect(await verify(`${header}.${Buffer.from(changed).toString("base64url")}.${signature}`)).toBeUndefined();
  });

  test.each(["", "a.b.c", "..", "eyJ.eyJ.x", `eyJ${"a".repeat(20_000)}.b.c`])("refuses %j", async (text) => {
    expect(await verify(text)).toBeUndefined();
  });

  test("lets a failure to read keys through, which says nothing of the token", async () => {
    await expect(verifyToken(await odd({}), PARTIES, NOW, () => Promise.reject(new Error("disk")))).rejects.toThrow("disk");
  });
});

test("keyIdOf is the thumbprint of RFC 7638", async () => {
  const jwk = {
    kty: "EC",
    crv: "P-256",
    x: "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    y: "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
  };
  const canonical = `{"crv":"P-256","kty":"EC","x":"${jwk.x}","y":"${jwk.y}"}`;
  expect(await keyIdOf(createPublicKey({ key: jwk, format: "jwk" }))).toBe(createHash("sha256").update(canonical).digest("base64url"));
});

/** jose does not sign what it would not verify, so that such headers are put together here. */
function forged({ header = {} }: Odd): string {
  return withSignature(header, () => Buffer.alloc(64, 1));
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

function withSignature(header: Record<string, unknown>, sign: (input: string) => Buffer): string {
  const payload = { ...CLAIMS, iss: PARTIES.issuer, aud: PARTIES.audience, nbf: CLAIMS.iat };
  const input = `${encode({ alg: "ES256", kid: KID, typ: "at+jwt", ...header })}.${encode(payload)}`;
  return `${input}.${sign(input).toString("base64url")}`;
}
