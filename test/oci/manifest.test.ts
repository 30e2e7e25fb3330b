import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { digestOf } from "../../src/oci/digest.ts";
import { RegistryError } from "../../src/oci/errors.ts";
import { MAX_MANIFEST_BYTES, parseManifest } from "../../src/oci/manifest.ts";
import { DOCKER_IMAGE, DOCKER_LIST, MANIFEST_TYPES, OCI_ARTIFACT, OCI_IMAGE, OCI_INDEX } from "../../src/oci/media-types.ts";
import { errorOf } from "../support/error-of.ts";

const descriptor = (content: string, mediaType = "application/octet-stream"): object => ({
  mediaType,
  digest: digestOf(content),
  size: content.length,
});
const config = descriptor("{}", "application/vnd.example.config.v1+json");
const image = { schemaVersion: 2, mediaType: OCI_IMAGE, config, layers: [descriptor("one"), descriptor("two")] };
const index = {
  schemaVersion: 2,
  mediaType: OCI_INDEX,
  manifests: [descriptor("m", OCI_IMAGE), descriptor("other", "application/whatever")],
};
const artifact = { mediaType: OCI_ARTIFACT, artifactType: "application/vnd.example", blobs: [descriptor("one")] };

const bytesOf = (value: unknown): Uint8Array => new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));
const parse = (value: unknown, type: string | undefined = OCI_IMAGE): ReturnType<typeof parseManifest> =>
  parseManifest(bytesOf(value), type);
const refusal = (code: string, message?: RegExp): Error =>
  expect.objectContaining({ name: "RegistryError", code, ...(message && { message: expect.stringMatching(message) as string }) }) as Error;

describe("parseManifest", () => {
  test("reads an image manifest: it reaches its config and layers", () => {
    expect(parse(image)).toEqual({
      mediaType: OCI_IMAGE,
      kind: "image",
      artifactType: "application/vnd.example.config.v1+json",
      config,
      layers: image.layers,
      blobs: [],
      manifests: [],
      subject: undefined,
      annotations: {},
      blobReferences: [config, ...image.layers],
      manifestReferences: [],
    });
  });

  test("reads an index: it reaches its entries as manifests, whatever type they claim", () => {
    const manifest = parse(index, OCI_INDEX);
    expect(manifest).toMatchObject({ kind: "index", artifactType: undefined, blobReferences: [], manifestReferences: index.manifests });
  });

  test("reads an artifact manifest: it reaches its blobs", () => {
    const manifest = parse(artifact, OCI_ARTIFACT);
    expect(manifest).toMatchObject({
      kind: "artifact",
      artifactType: "application/vnd.example",
      blobReferences: artifact.blobs,
      config: undefined,
    });
  });

  test.each([
    [DOCKER_IMAGE, "image", { ...image, mediaType: DOCKER_IMAGE }],
    [DOCKER_LIST, "index", { ...index, mediaType: DOCKER_LIST }],
  ])("reads %s as an %s", (type, kind, value) => {
    expect(parse(value, type)).toMatchObject({ kind, mediaType: type });
  });

  test("keeps subject apart from what the manifest reaches", () => {
    const subject = descriptor("subject", OCI_IMAGE);
    const manifest = parse({ ...image, subject });
    expect(manifest.subject).toEqual(subject);
    expect([...manifest.blobReferences, ...manifest.manifestReferences]).not.toContainEqual(subject);
  });

  test.each([
    ["its own", { artifactType: "application/vnd.own" }, "application/vnd.own"],
    ["that of the config when it has none", {}, "application/vnd.example.config.v1+json"],
    ["that of the config when its own is empty", { artifactType: "" }, "application/vnd.example.config.v1+json"],
    ["that of the config when its own is null", { artifactType: null }, "application/vnd.example.config.v1+json"],
  ])("takes as artifactType %s", (_, over, artifactType) => {
    expect(parse({ ...image, ...over }).artifactType).toBe(artifactType);
  });

  test("accepts empty lists, and null for them as Go writes it", () => {
    expect(parse({ ...image, layers: [] }).blobReferences).toEqual([config]);
    expect(parse({ ...image, layers: null, annotations: null, subject: null }).layers).toEqual([]);
    expect(parse({ ...index, manifests: [] }, OCI_INDEX).manifestReferences).toEqual([]);
    expect(parse({ ...index, manifests: null }, OCI_INDEX).manifestReferences).toEqual([]);
  });

  test("accepts fields that it does not know", () => {
    expect(parse({ ...image, "org.example": { deep: [[]] }, layers: [{ ...descriptor("one"), extra: true }] }).layers).toHaveLength(1);
  });

  test("accepts a manifest full of annotations, as the conformance suite pushes it", () => {
    const annotations = Object.fromEntries(Array.from({ length: 390 }, (_, at) => [`org.example.${at}`, "x".repeat(10_000)]));
    expect(Object.keys(parse({ ...image, annotations, subject: descriptor("s", OCI_IMAGE) }).annotations)).toHaveLength(390);
  });
});

describe("parseManifest, on the type", () => {
  test("takes the pushed type for a manifest that says none, without its parameters and case", () => {
    const { mediaType: _, ...untyped } = image;
    expect(parse(untyped, OCI_IMAGE).mediaType).toBe(OCI_IMAGE);
    expect(parse(untyped, DOCKER_IMAGE).mediaType).toBe(DOCKER_IMAGE);
    expect(parse(untyped, "Application/vnd.OCI.image.manifest.v1+json; charset=utf-8").mediaType).toBe(OCI_IMAGE);
  });

  test("takes the manifest's own type when the push says none", () => {
    expect(parseManifest(bytesOf(index), undefined).mediaType).toBe(OCI_INDEX);
  });

  test("refuses a manifest whose type nobody says", () => {
    const { mediaType: _, ...untyped } = image;
    expect(() => parseManifest(bytesOf(untyped), undefined)).toThrow(refusal("MANIFEST_INVALID", /Content-Type/));
  });

  test("refuses types that disagree", () => {
    expect(() => parse(image, DOCKER_IMAGE)).toThrow(refusal("MANIFEST_INVALID", /mediaType/));
    expect(() => parse({ ...image, mediaType: OCI_INDEX })).toThrow(refusal("MANIFEST_INVALID", /mediaType/));
    expect(() => parse({ ...image, mediaType: 1 })).toThrow(refusal("MANIFEST_INVALID", /mediaType/));
  });

  test.each(["application/json", "application/octet-stream", "text/plain", "", "application/vnd.oci.image.config.v1+json", "__proto__"])(
    "refuses the unknown type %j and says which are known",
    (type) => {
      expect(() => parse(image, type)).toThrow(refusal("MEDIA_TYPE_UNSUPPORTED", /application\/vnd\.oci\.image\.index/));
    },
  );

  test.each(["application/vnd.docker.distribution.manifest.v1+json", "application/vnd.docker.distribution.manifest.v1+prettyjws"])(
    "refuses Docker schema 1 and says what to push instead: %s",
    (type) => {
      expect(() => parse({ schemaVersion: 1 }, type)).toThrow(refusal("MEDIA_TYPE_UNSUPPORTED", /schema 2/));
    },
  );

  test("refuses an unknown type inside of the manifest when the push says none", () => {
    expect(() => parseManifest(bytesOf({ ...image, mediaType: "application/json" }), undefined)).toThrow(refusal("MEDIA_TYPE_UNSUPPORTED"));
  });
});

describe("parseManifest, on the form", () => {
  test.each([
    ["an image with manifests", { ...image, manifests: index.manifests }, OCI_IMAGE],
    ["an image with empty manifests", { ...image, manifests: [] }, OCI_IMAGE],
    ["an image with blobs", { ...image, blobs: artifact.blobs }, OCI_IMAGE],
    ["an image with the layers of schema 1", { ...image, fsLayers: [] }, OCI_IMAGE],
    ["an index with layers", { ...index, layers: [] }, OCI_INDEX],
    ["an index with a config", { ...index, config }, OCI_INDEX],
    ["an artifact with layers", { ...artifact, layers: [] }, OCI_ARTIFACT],
    ["an artifact with manifests", { ...artifact, manifests: [] }, OCI_ARTIFACT],
    ["an image without a config", { ...image, config: undefined }, OCI_IMAGE],
    ["an image whose config is null", { ...image, config: null }, OCI_IMAGE],
    ["an image without layers", { ...image, layers: undefined }, OCI_IMAGE],
    ["an index without manifests", { ...index, manifests: undefined }, OCI_INDEX],
    ["an artifact without blobs", { ...artifact, blobs: undefined }, OCI_ARTIFACT],
    ["layers that are no list", { ...image, layers: {} }, OCI_IMAGE],
    ["a schemaVersion of 1", { ...image, schemaVersion: 1 }, OCI_IMAGE],
    ["a schemaVersion as text", { ...image, schemaVersion: "2" }, OCI_IMAGE],
    ["no schemaVersion", { ...image, schemaVersion: undefined }, OCI_IMAGE],
    ["an index without schemaVersion", { ...index, schemaVersion: undefined }, OCI_INDEX],
    ["a config without a type", { ...image, config: { ...config, mediaType: "" } }, OCI_IMAGE],
    ["a layer without a type", { ...image, layers: [{ ...descriptor("one"), mediaType: undefined }] }, OCI_IMAGE],
    ["a layer with a bad digest", { ...image, layers: [{ ...descriptor("one"), digest: "sha256:baddigeststring" }] }, OCI_IMAGE],
    ["a layer of negative size", { ...image, layers: [{ ...descriptor("one"), size: -1 }] }, OCI_IMAGE],
    ["a subject with a bad digest", { ...image, subject: { ...descriptor("s"), digest: "x" } }, OCI_IMAGE],
    ["annotations that are not text", { ...image, annotations: { a: null } }, OCI_IMAGE],
    ["an artifactType that is not text", { ...image, artifactType: 1 }, OCI_IMAGE],
    ["10001 layers", { ...image, layers: Array.from({ length: 10_001 }, () => descriptor("one")) }, OCI_IMAGE],
    ["10001 manifests", { ...index, manifests: Array.from({ length: 10_001 }, () => descriptor("one")) }, OCI_INDEX],
  ])("refuses %s", (_, value, type) => {
    expect(() => parse(value, type)).toThrow(refusal("MANIFEST_INVALID"));
  });

  test.each([
    "Layers",
    "LAYERS",
    "Manifests",
    "Subject",
    "\u017fubject",
    "MediaType",
    "SchemaVersion",
    "Config",
    "FSLayers",
    "artifacttype",
  ])("refuses the key %s, which a reader that folds case takes for a field", (key) => {
    expect(() => parse({ ...image, [key]: null })).toThrow(refusal("MANIFEST_INVALID", /case/));
  });

  test.each([
    ["a list", "[]"],
    ["null", "null"],
    ["text", '"x"'],
    ["nothing", ""],
    ["half a manifest", JSON.stringify(image).slice(0, -1)],
    ["a key that comes twice", `{"config":{},${JSON.stringify(image).slice(1)}`],
    ["a key that comes twice in a layer", JSON.stringify(image).replace('"size":3', '"size":3,"size":4')],
    ["nesting of 65", JSON.stringify({ ...image, deep: JSON.parse("[".repeat(64) + "]".repeat(64)) as unknown })],
  ])("refuses %s", (_, text) => {
    expect(() => parse(text)).toThrow(refusal("MANIFEST_INVALID"));
  });

  test("names the place of a fault, and not its value", () => {
    const layers = [descriptor("one"), { ...descriptor("two"), digest: "sha256:secret" }];
    expect(() => parse({ ...image, layers })).toThrow(refusal("MANIFEST_INVALID", /layers\[1\]\.digest: must be a digest/));
    expect(() => parse({ ...image, layers })).not.toThrow(refusal("MANIFEST_INVALID", /secret/));
  });

  test("leaves room on a referrers page for every annotation of a manifest with a subject", () => {
    const annotations = Object.fromEntries(Array.from({ length: 4 }, (_, at) => [`k${at}`, "x".repeat(1_048_000)]));
    expect(() => parse({ ...image, annotations })).not.toThrow();
    expect(() => parse({ ...image, annotations, subject: descriptor("s", OCI_IMAGE) })).toThrow(refusal("MANIFEST_INVALID", /annotations/));
  });

  test("throws nothing but a RegistryError, whatever the bytes, types and fields", () => {
    const field = fc.constantFrom(
      "schemaVersion",
      "mediaType",
      "artifactType",
      "config",
      "layers",
      "blobs",
      "manifests",
      "subject",
      "annotations",
    );
    const value = fc.oneof(
      fc.jsonValue(),
      fc
        .tuple(fc.constantFrom(image, index, artifact), fc.dictionary(field, fc.jsonValue()))
        .map(([known, over]): object => Object.assign({}, known, over)),
    );
    fc.assert(
      fc.property(value, fc.option(fc.constantFrom(...MANIFEST_TYPES, "x"), { nil: undefined }), (json, type) => {
        const error = errorOf(() => parseManifest(bytesOf(json), type));
        expect(error === undefined || error instanceof RegistryError).toBe(true);
      }),
      { numRuns: 500 },
    );
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(() => parseManifest(bytes, OCI_IMAGE)).toThrow(RegistryError);
      }),
    );
  });
});

test("a manifest may have 4 MiB", () => {
  expect(MAX_MANIFEST_BYTES).toBe(4 * 1024 * 1024);
});
