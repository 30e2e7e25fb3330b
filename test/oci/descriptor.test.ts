import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { annotationsSchema, descriptorSchema } from "../../src/oci/descriptor.ts";
import { digestOf } from "../../src/oci/digest.ts";

const base = { mediaType: "application/octet-stream", digest: digestOf("content"), size: 7 };
const many = (count: number): object => Object.fromEntries(Array.from({ length: count }, (_, at) => [`k${at}`, ""]));
const accepts = (over: object): boolean => descriptorSchema.safeParse({ ...base, ...over }).success;

describe("descriptorSchema", () => {
  test("keeps what it does not know", () => {
    const platform = { os: "linux", architecture: "amd64" };
    expect(descriptorSchema.parse({ ...base, platform, "org.example": [1] })).toEqual({ ...base, platform, "org.example": [1] });
  });

  test.each([
    ["sha512", { digest: digestOf("content", "sha512") }],
    ["an empty blob", { size: 0 }],
    ["the largest safe size", { size: Number.MAX_SAFE_INTEGER }],
    ["null where Go writes an empty list", { urls: null, annotations: null, data: null }],
    ["urls", { urls: ["https://example.test/layer"] }],
  ])("accepts %s", (_, over) => {
    expect(accepts(over)).toBe(true);
  });

  test.each([
    ["no media type", { mediaType: undefined }],
    ["an empty media type", { mediaType: "" }],
    ["a media type of two lines", { mediaType: "a/b\nX: y" }],
    ["a media type that is too long", { mediaType: `a/${"b".repeat(254)}` }],
    ["no digest", { digest: undefined }],
    ["a malformed digest", { digest: "sha256:baddigeststring" }],
    ["a digest in upper case", { digest: base.digest.toUpperCase() }],
    ["an algorithm that is not supported", { digest: `sha384:${"a".repeat(96)}` }],
    ["no size", { size: undefined }],
    ["a negative size", { size: -1 }],
    ["a broken size", { size: 1.5 }],
    ["a size as text", { size: "7" }],
    ["a size that is not exact", { size: Number.MAX_SAFE_INTEGER + 1 }],
    ["an endless size", { size: Infinity }],
    ["too many urls", { urls: Array.from({ length: 17 }, () => "https://example.test") }],
    ["a long url", { urls: [`https://example.test/${"x".repeat(2048)}`] }],
    ["annotations that are not text", { annotations: { a: 1 } }],
    ["annotations in a list", { annotations: ["a"] }],
  ])("refuses %s", (_, over) => {
    expect(accepts(over)).toBe(false);
  });

  test.each(["Digest", "DIGEST", "mediatype", "\u017fize", "URLs", "Annotations", "DATA"])(
    "refuses the key %s, which a reader that folds case takes for a field",
    (key) => {
      expect(accepts({ [key]: "x" })).toBe(false);
    },
  );

  test("accepts inline data only when it is the content that digest and size describe", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 100 }),
        fc.constantFrom("sha256" as const, "sha512" as const),
        fc.nat(200),
        (bytes, algorithm, flip) => {
          const data = Buffer.from(bytes).toString("base64");
          const right = { digest: digestOf(bytes, algorithm), size: bytes.length, data };
          expect(accepts(right)).toBe(true);
          expect(accepts({ ...right, size: bytes.length + 1 })).toBe(false);
          const other = Uint8Array.from(bytes);
          if (other.length === 0) return;
          other[flip % other.length] = (other[flip % other.length] ?? 0) ^ 1;
          expect(accepts({ ...right, data: Buffer.from(other).toString("base64") })).toBe(false);
        },
      ),
    );
  });

  test.each(["Y29udGVudA", "Y29udGVudA==\n", "Y29udGVudA-=", "!"])("refuses data that is not base64: %j", (data) => {
    expect(accepts({ data })).toBe(false);
  });

  test("never throws, whatever the value", () => {
    fc.assert(
      fc.property(
        fc.jsonValue(),
        fc.constantFrom("mediaType", "digest", "size", "urls", "annotations", "data", "artifactType"),
        (value, field) => {
          expect(() => descriptorSchema.safeParse(value)).not.toThrow();
          expect(() => descriptorSchema.safeParse({ ...base, [field]: value })).not.toThrow();
        },
      ),
    );
  });
});

describe("annotationsSchema", () => {
  test("keeps every annotation, whatever its key", () => {
    const annotations: unknown = JSON.parse('{"__proto__":"a","constructor":"b","c":""}');
    expect(Object.entries(annotationsSchema.parse(annotations))).toEqual([
      ["__proto__", "a"],
      ["constructor", "b"],
      ["c", ""],
    ]);
  });

  test("bounds number, keys and values", () => {
    expect(annotationsSchema.safeParse(many(1024)).success).toBe(true);
    expect(annotationsSchema.safeParse(many(1025)).success).toBe(false);
    expect(annotationsSchema.safeParse({ "": "x" }).success).toBe(false);
    expect(annotationsSchema.safeParse({ ["k".repeat(1025)]: "x" }).success).toBe(false);
    expect(annotationsSchema.safeParse({ k: "x".repeat(1_048_577) }).success).toBe(false);
  });
});
