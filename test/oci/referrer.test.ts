import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { digestOf } from "../../src/oci/digest.ts";
import { parseManifest } from "../../src/oci/manifest.ts";
import { OCI_IMAGE, OCI_INDEX } from "../../src/oci/media-types.ts";
import { type ReferrerDescriptor, referrerDescriptor } from "../../src/oci/referrer.ts";

const subject = { mediaType: OCI_IMAGE, digest: digestOf("subject"), size: 7 };
const config = { mediaType: "application/vnd.example.config", digest: digestOf("{}"), size: 2 };
const image = { schemaVersion: 2, mediaType: OCI_IMAGE, config, layers: [], subject };
const index = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [], subject };

function describeReferrer(value: object, type: string): ReferrerDescriptor {
  const bytes = new TextEncoder().encode(JSON.stringify(value));
  return referrerDescriptor(parseManifest(bytes, type), digestOf(bytes), bytes.length);
}

describe("referrerDescriptor", () => {
  test("describes an image by its config's type when it has no artifactType", () => {
    const bytes = new TextEncoder().encode(JSON.stringify(image));
    expect(describeReferrer(image, OCI_IMAGE)).toEqual({
      mediaType: OCI_IMAGE,
      digest: digestOf(bytes),
      size: bytes.length,
      artifactType: "application/vnd.example.config",
    });
  });

  test("leaves out the artifactType of an index that has none", () => {
    expect(describeReferrer(index, OCI_INDEX)).not.toHaveProperty("artifactType");
    expect(describeReferrer({ ...index, artifactType: "a/b" }, OCI_INDEX)).toHaveProperty("artifactType", "a/b");
  });

  test("has all annotations of the manifest and none of its own", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ minLength: 1 }), fc.string(), { noNullPrototype: true }), (annotations) => {
        const { annotations: shown } = describeReferrer({ ...image, annotations }, OCI_IMAGE);
        expect(new Map(Object.entries(shown ?? {}))).toEqual(new Map(Object.entries(annotations)));
      }),
    );
  });
});
