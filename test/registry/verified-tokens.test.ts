import { describe, expect, test } from "vitest";
import type { TokenClaims } from "../../src/identity/token.ts";
import { VerifiedTokens } from "../../src/registry/verified-tokens.ts";

const NOW = 1_000_000_000_000;
const claims = (jti: string, exp = NOW / 1000 + 300): TokenClaims => ({
  sub: "s",
  access: [],
  cid: "c",
  amr: [],
  epoch: 0,
  jti,
  iat: NOW / 1000,
  exp,
});

describe("VerifiedTokens", () => {
  test("remembers the claims of a token for half a minute", () => {
    const tokens = new VerifiedTokens();
    tokens.set("a", claims("a"), NOW);
    expect(tokens.get("a", NOW + 29_999)).toEqual(claims("a"));
    expect(tokens.get("a", NOW + 30_000)).toBeUndefined();
    expect(tokens.get("a", NOW)).toBeUndefined();
  });

  test("counts from the check, however often it is asked", () => {
    const tokens = new VerifiedTokens();
    tokens.set("a", claims("a"), NOW);
    expect(tokens.get("a", NOW + 20_000)).toBeDefined();
    expect(tokens.get("a", NOW + 31_000)).toBeUndefined();
  });

  test("forgets a token that runs out before", () => {
    const tokens = new VerifiedTokens();
    tokens.set("a", claims("a", NOW / 1000 + 1), NOW);
    expect(tokens.get("a", NOW + 999)).toBeDefined();
    expect(tokens.get("a", NOW + 1000)).toBeUndefined();
  });

  test("holds so many, and lets the one go that was not used for longest", () => {
    const tokens = new VerifiedTokens(2);
    tokens.set("a", claims("a"), NOW);
    tokens.set("b", claims("b"), NOW);
    expect(tokens.get("a", NOW)).toBeDefined();
    tokens.set("c", claims("c"), NOW);
    expect([tokens.get("a", NOW)?.jti, tokens.get("b", NOW), tokens.get("c", NOW)?.jti]).toEqual(["a", undefined, "c"]);
  });

  test("knows no other token", () => {
    const tokens = new VerifiedTokens();
    tokens.set("a", claims("a"), NOW);
    expect(tokens.get("b", NOW)).toBeUndefined();
  });
});
