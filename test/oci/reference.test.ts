import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { digestOf } from "../../src/oci/digest.ts";
import {
  type RepositoryName,
  hasDigestLikeComponent,
  isRepositoryName,
  isTag,
  namespaceOf,
  parseReference,
  repositoryNameSchema,
  tagSchema,
} from "../../src/oci/reference.ts";

/** The expressions of distribution-spec §Pulling manifests, as printed there. */
const SPEC_NAME = /^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$/;
const SPEC_TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;

describe("isRepositoryName", () => {
  test.each(["a", "0", "models/demo", "a/b/c/d", "a.b", "a_b", "a__b", "a-b", "a---b", "a1/b-2.c_3", "a".repeat(255)])(
    "accepts %s",
    (name) => {
      expect(isRepositoryName(name)).toBe(true);
    },
  );

  test.each([
    "",
    "/",
    "/a",
    "a/",
    "a//b",
    "A",
    "a/B",
    "a..b",
    "a___b",
    "a._b",
    "-a",
    "a-",
    ".",
    "..",
    "a/../b",
    "a b",
    "a%2fb",
    "é",
    "a\n",
    "_catalog",
    "a".repeat(256),
  ])("refuses %j", (name) => {
    expect(isRepositoryName(name)).toBe(false);
    expect(repositoryNameSchema.safeParse(name).success).toBe(false);
  });

  test("is the expression of the specification, bounded at 255 characters", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[a-z0-9._/-]*$/)), (name) => {
        expect(isRepositoryName(name)).toBe(name.length <= 255 && SPEC_NAME.test(name));
      }),
      { numRuns: 1000 },
    );
  });
});

describe("isTag", () => {
  test("is the expression of the specification", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[\w.-]*$/)), (tag) => {
        expect(isTag(tag)).toBe(SPEC_TAG.test(tag));
        expect(tagSchema.safeParse(tag).success).toBe(isTag(tag));
      }),
    );
  });

  test.each(["", ".a", "-a", "a:b", "a/b", "a b", "é", "a\n", "a".repeat(129)])("refuses %j", (tag) => {
    expect(isTag(tag)).toBe(false);
  });
});

describe("parseReference", () => {
  test("reads a digest as a digest and all else as a tag", () => {
    const digest = digestOf("x");
    expect(parseReference(digest)).toEqual({ digest });
    expect(parseReference("latest")).toEqual({ tag: "latest" });
    expect(parseReference(digest.replace(":", "-"))).toEqual({ tag: digest.replace(":", "-") });
  });

  test.each(["sha256:baddigeststring", "a:b", "", "../x", "a/b"])("reads nothing in %j", (text) => {
    expect(parseReference(text)).toBeUndefined();
  });
});

test.each([
  ["models/demo", "models"],
  ["a/b/c", "a"],
  ["alone", "alone"],
])("the namespace of %s is %s", (name, namespace) => {
  expect(namespaceOf(name as RepositoryName)).toBe(namespace);
});

test.each([
  ["a/sha256-0a", true],
  ["sha512-ff", true],
  ["sha256-ff/b", true],
  ["a/sha256-xyz", false],
  ["a/xsha256-0a", false],
  ["a/sha256", false],
])("a component of %s that looks like a digest: %s", (name, like) => {
  expect(isRepositoryName(name)).toBe(true);
  expect(hasDigestLikeComponent(name as RepositoryName)).toBe(like);
});
