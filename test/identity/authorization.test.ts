import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseAuthorization } from "../../src/identity/authorization.ts";

const basic = (text: string): string => `Basic ${Buffer.from(text).toString("base64")}`;

describe("parseAuthorization", () => {
  test("reads a bearer token", () => {
    expect(parseAuthorization("Bearer abc.def")).toEqual({ scheme: "bearer", token: "abc.def" });
    expect(parseAuthorization("bearer  abc")).toEqual({ scheme: "bearer", token: "abc" });
    expect(parseAuthorization("Bearer p!ss,word")).toEqual({ scheme: "bearer", token: "p!ss,word" });
  });

  test("reads name and secret, which may hold colons", () => {
    expect(parseAuthorization(basic("publisher:a:b"))).toEqual({ scheme: "basic", name: "publisher", secret: "a:b" });
    expect(parseAuthorization(basic(":x"))).toEqual({ scheme: "basic", name: "", secret: "x" });
  });

  test("reads back every name and secret", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.string({ unit: "grapheme" }), (name, secret) => {
        fc.pre(!name.includes(":"));
        expect(parseAuthorization(basic(`${name}:${secret}`))).toEqual({ scheme: "basic", name, secret });
      }),
    );
  });

  test.each([
    "",
    "Bearer",
    "Bearer ",
    "Bearer a b",
    "Basic",
    "Basic !!!",
    basic("no colon"),
    "Digest x",
    "Negotiate abc",
    "Bearerabc",
    "Basic\tYTpi",
  ])("reads nothing from %j", (header) => {
    expect(parseAuthorization(header)).toBeUndefined();
  });

  test("reads nothing from a header that is too long", () => {
    expect(parseAuthorization(`Bearer ${"a".repeat(15_100)}`)).toBeUndefined();
  });
});
