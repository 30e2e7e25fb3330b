import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { digestOf } from "../../src/oci/digest.ts";
import {
  type AuthorityRevocation,
  type RevokedAuthority,
  authorityDigest,
  isAsWide,
  isRevokedSigner,
  onlySigner,
  revocationOf,
  revokedAuthoritySchema,
} from "../../src/trust/revoked-authority.ts";
import { type SignerIdentity, signerId } from "../../src/trust/verdict.ts";

const KEY = { type: "key", fingerprint: digestOf("key") } as const;
const ISSUER = "https://issuer.example";
const CI = "https://git.example/ml/demo/.ci/release.yml@refs/heads/main";
const identity = (subject: string, issuer = ISSUER): SignerIdentity => ({ type: "identity", issuer, subject });
const identities = (glob: string): RevokedAuthority => ({ type: "identity", issuer: { exact: ISSUER }, subject: { glob } });
const revocation = (authority: RevokedAuthority, from: number | null = null): AuthorityRevocation => ({
  authority,
  from,
  statement: digestOf("s"),
});

const isRevoked = (authority: RevokedAuthority, signer: SignerIdentity): boolean => isRevokedSigner(authority, { signer });

describe("a revoked authority", () => {
  test("is a key by its fingerprint, whatever a policy calls it", () => {
    expect(isRevoked(KEY, { ...KEY, id: "prod-2026" } as SignerIdentity)).toBe(true);
    expect(isRevoked(KEY, { type: "key", fingerprint: digestOf("other") })).toBe(false);
    expect(isRevoked(KEY, identity(CI))).toBe(false);
  });

  test("is a key in a certificate as well, and no other name for it", () => {
    const signer = { type: "certificate", subject: "CN=release", root: digestOf("root") } as const;
    expect(isRevokedSigner(KEY, { signer, key: KEY.fingerprint })).toBe(true);
    expect(isRevokedSigner(KEY, { signer, key: digestOf("other") })).toBe(false);
  });

  test("is identities of exactly one issuer, by a subject or a pattern that covers all of it", () => {
    expect(isRevoked(identities("https://git.example/ml/**"), identity(CI))).toBe(true);
    expect(isRevoked(identities("https://git.example/ml/*"), identity(CI))).toBe(false);
    expect(isRevoked(identities("git.example/**"), identity(CI))).toBe(false);
    expect(isRevoked(identities("**"), identity(CI, `${ISSUER}.evil`))).toBe(false);
    expect(isRevoked({ type: "identity", issuer: { exact: ISSUER }, subject: { exact: CI } }, identity(CI))).toBe(true);
    expect(isRevoked({ type: "identity", issuer: { exact: ISSUER }, subject: { exact: "https://git.example" } }, identity(CI))).toBe(false);
  });

  test("is holders of certificates below one root", () => {
    const holder = { type: "certificate", subject: "CN=release,O=Corp", root: digestOf("root") } as const;
    const authority = { type: "certificate", root: digestOf("root"), subject: { glob: "**,O=Corp" } } as const;
    expect(isRevoked(authority, holder)).toBe(true);
    expect(isRevoked(authority, { ...holder, root: digestOf("other") })).toBe(false);
  });

  test("is holders of certificates below whichever root, where none is named", () => {
    const holder = { type: "certificate", subject: "CN=release,O=Corp", root: digestOf("root") } as const;
    const authority = { type: "certificate", subject: { exact: "CN=release,O=Corp" } } as const;
    expect([holder, { ...holder, root: digestOf("intermediate") }].map((signer) => isRevoked(authority, signer))).toEqual([true, true]);
    expect(isRevoked(authority, { ...holder, subject: "CN=release,O=Other" })).toBe(false);
    expect(onlySigner(authority)).toBeUndefined();
  });

  test.each([
    ["a key without its algorithm", { type: "key", fingerprint: "a".repeat(64) }],
    ["a key by sha512", { type: "key", fingerprint: digestOf("key", "sha512") }],
    ["no issuer", { type: "identity", subject: { exact: CI } }],
    ["a pattern of issuers", { type: "identity", issuer: { glob: "**" }, subject: { exact: CI } }],
    ["a pattern that is none", { type: "identity", issuer: { exact: ISSUER }, subject: { glob: "***" } }],
    ["more than that", { ...KEY, name: "prod" }],
    ["another kind", { type: "person", name: "ann" }],
  ])("is not %s", (_, authority) => {
    expect(revokedAuthoritySchema.safeParse(authority).success).toBe(false);
  });

  test("has a digest that tells it from others: that of the key, or of what is written of it", () => {
    expect(authorityDigest(KEY)).toBe(KEY.fingerprint);
    expect(authorityDigest(identities("**"))).not.toBe(authorityDigest(identities("*")));
  });
});

describe("a revocation from some time on", () => {
  const from = Date.parse("2026-03-01T00:00:00Z");
  const signedAt = fc.option(fc.integer({ min: from - 100_000, max: from + 100_000 }).map((time) => new Date(time).toISOString()));

  test("lets count what a trusted time shows to be from before, and nothing else", () => {
    fc.assert(
      fc.property(signedAt, (at) => {
        const counts = revocationOf([revocation(KEY, from)], { signer: KEY }, at) === undefined;
        expect(counts).toBe(at !== null && Date.parse(at) < from);
      }),
    );
    expect(revocationOf([revocation(KEY, from)], { signer: KEY }, "no time at all")).toBeDefined();
  });

  test("takes nothing away from one that holds for all time, whichever comes first", () => {
    fc.assert(
      fc.property(signedAt, fc.boolean(), (at, isFirst) => {
        const both = [revocation(KEY, from), revocation(KEY)];
        expect(revocationOf(isFirst ? both : both.toReversed(), { signer: KEY }, at)).toBeDefined();
      }),
    );
  });

  test("is as wide as a later one of the same authority alone", () => {
    expect(isAsWide(revocation(KEY, from), revocation(KEY, from + 1))).toBe(true);
    expect(isAsWide(revocation(KEY, from), revocation(KEY, from))).toBe(true);
    expect(isAsWide(revocation(KEY, from + 1), revocation(KEY, from))).toBe(false);
    expect(isAsWide(revocation(KEY), revocation(KEY, from))).toBe(true);
    expect(isAsWide(revocation(KEY, from), revocation(KEY))).toBe(false);
    expect(isAsWide(revocation(KEY), revocation(identities("**")))).toBe(false);
  });
});

test("an authority that is one signer is found by what tells that signer from others", () => {
  const authorities: readonly RevokedAuthority[] = [
    KEY,
    { type: "identity", issuer: { exact: ISSUER }, subject: { exact: CI } },
    { type: "certificate", root: digestOf("root"), subject: { exact: "CN=x" } },
  ];
  const signers = authorities.map((authority) => onlySigner(authority));
  for (const [at, signer] of signers.entries()) expect(signer && isRevoked(authorities[at] as RevokedAuthority, signer)).toBe(true);
  expect(new Set(signers.map((signer) => signer && signerId(signer))).size).toBe(3);
  expect(onlySigner(identities("https://git.example/**"))).toBeUndefined();
});
