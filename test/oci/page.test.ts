import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ERRORS, RegistryError } from "../../src/oci/errors.ts";
import { errorOf } from "../support/error-of.ts";
import { nextLink, parsePage } from "../../src/oci/page.ts";

describe("parsePage", () => {
  test("gives a default page of 1000 and reads what was asked for", () => {
    expect(parsePage(undefined, undefined)).toEqual({ n: 1000, last: undefined });
    expect(parsePage("25", "v1")).toEqual({ n: 25, last: "v1" });
    expect(parsePage(undefined, "v1")).toEqual({ n: 1000, last: "v1" });
    expect(parsePage("0", "")).toEqual({ n: 0, last: undefined });
  });

  test("cuts a page at 10000", () => {
    expect(parsePage("10001", undefined).n).toBe(10_000);
    expect(parsePage("9".repeat(32), undefined).n).toBe(10_000);
  });

  test.each(["", "-1", "+1", "1.5", "1e3", "0x10", "ten", " 1", "9".repeat(33)])("refuses n=%j", (n) => {
    expect(() => parsePage(n, undefined)).toThrow(expect.objectContaining({ code: "PAGE_INVALID" }) as Error);
  });

  test.each(["\u0000", "a\nb", "größe", "x".repeat(256)])("refuses last=%j", (last) => {
    expect(() => parsePage(undefined, last)).toThrow(expect.objectContaining({ code: "PAGE_INVALID" }) as Error);
  });

  test("answers an invalid page with 400", () => {
    expect(ERRORS.PAGE_INVALID.status).toBe(400);
  });

  test("stays within its bounds or throws its error, whatever the query", () => {
    const value = fc.option(fc.oneof(fc.string(), fc.nat().map(String)), { nil: undefined });
    fc.assert(
      fc.property(value, value, (n, last) => {
        const error = errorOf(() => {
          const page = parsePage(n, last);
          expect(page.n).toBeGreaterThanOrEqual(0);
          expect(page.n).toBeLessThanOrEqual(10_000);
          expect(page.last?.length ?? 1).toBeGreaterThan(0);
        });
        expect(error === undefined || error instanceof RegistryError).toBe(true);
      }),
    );
  });
});

describe("nextLink", () => {
  test("names the next page relative to the registry", () => {
    expect(nextLink("/v2/a/b/tags/list", { n: 2, last: "v1" })).toBe('</v2/a/b/tags/list?n=2&last=v1>; rel="next"');
  });

  test("leaves out what has no value", () => {
    expect(nextLink("/p", { artifactType: undefined, last: "x" })).toBe('</p?last=x>; rel="next"');
  });

  test("encodes values so that the reader gets them back and nothing else", () => {
    fc.assert(
      fc.property(
        fc.string({
          unit: fc.constantFrom("a", " ", "%", "&", "=", "?", "#", "/", "<", ">", ";", ",", '"', "+", "\n", "é", "😀"),
        }),
        (last) => {
          const link = nextLink("/v2/a/tags/list", { n: 1, last });
          const target = /^<([^<>]*)>; rel="next"$/.exec(link)?.[1] ?? "";
          const url = new URL(target, "http://registry.test");
          expect(url.searchParams.get("last")).toBe(last);
          expect([...url.searchParams.keys()]).toEqual(["n", "last"]);
        },
      ),
    );
  });
});
