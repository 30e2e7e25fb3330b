import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isIdentityName, isNamespaceName, isReservedIdentity, isReservedNamespace, skeletonOf } from "../../src/identity/name.ts";
import { isRepositoryName } from "../../src/oci/reference.ts";

describe("isIdentityName", () => {
  test.each(["publisher", "ci-1", "a.b_c", "0"])("takes %j", (name) => expect(isIdentityName(name)).toBe(true));
  test.each(["", "A", "a b", "-a", "a-", "a..b", "a:b", "a/b", "a".repeat(65), "a\n"])("refuses %j", (name) =>
    expect(isIdentityName(name)).toBe(false),
  );
});

test("isReservedIdentity keeps the principals that are built in", () => {
  expect(["anonymous", "service-token", "local-reader", "system", "publisher"].map(isReservedIdentity)).toEqual([
    true,
    true,
    true,
    true,
    false,
  ]);
});

describe("isNamespaceName", () => {
  test("takes one component of a repository's name, up to 64 characters", () => {
    expect(isNamespaceName("team-a")).toBe(true);
    expect(isNamespaceName("a/b")).toBe(false);
    expect(isNamespaceName("a".repeat(65))).toBe(false);
    expect(isNamespaceName("")).toBe(false);
  });

  test("refuses what the folders of trusted/ are called", () => {
    expect(isNamespaceName("sha256-abc")).toBe(false);
    expect(isNamespaceName("sha512-0")).toBe(false);
  });

  test("takes nothing that is no repository's name", () => {
    fc.assert(fc.property(fc.string({ maxLength: 8 }), (text) => !isNamespaceName(text) || isRepositoryName(text)));
  });
});

test("isReservedNamespace keeps the registry's own paths", () => {
  expect(["v1", "v2", "auth", "health", "system", "models"].map(isReservedNamespace)).toEqual([true, true, true, true, true, false]);
});

describe("skeletonOf", () => {
  test.each([
    ["team-a", "team_a"],
    ["team.a", "teama"],
    ["models", "m0dels"],
    ["llama", "1lama"],
    ["ai", "al"],
    ["modern", "modem"],
    ["vvork", "work"],
  ])("is the same for %s and %s", (one, other) => expect(skeletonOf(one)).toBe(skeletonOf(other)));

  test.each([
    ["models", "model"],
    ["team-a", "team-b"],
    ["a", "b"],
  ])("differs for %s and %s", (one, other) => expect(skeletonOf(one)).not.toBe(skeletonOf(other)));
});
