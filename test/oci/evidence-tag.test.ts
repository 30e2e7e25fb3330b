import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Annotations } from "../../src/oci/descriptor.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { appendsTo, evidenceTags, isEvidenceTag } from "../../src/oci/evidence-tag.ts";
import { type Manifest, parseManifest } from "../../src/oci/manifest.ts";
import { OCI_IMAGE } from "../../src/oci/media-types.ts";
import { tagSchema } from "../../src/oci/reference.ts";

interface Layer {
  readonly content: string;
  readonly annotations?: Annotations;
}
const manifestOf = (layers: readonly Layer[]): Manifest => {
  const descriptors = layers.map(({ content, annotations }) => ({
    mediaType: "application/vnd.dev.cosign.simplesigning.v1+json",
    digest: digestOf(content),
    size: content.length,
    ...(annotations !== undefined && { annotations }),
  }));
  const config = { mediaType: "application/vnd.oci.image.config.v1+json", digest: digestOf("{}"), size: 2 };
  return parseManifest(Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: OCI_IMAGE, config, layers: descriptors })), OCI_IMAGE);
};

describe("the tags of older signatures", () => {
  test("are made of the artifact's digest, and known again", () => {
    const tags = evidenceTags(digestOf("model"));
    const hex = digestOf("model").replace("sha256:", "");
    expect(tags).toEqual([`sha256-${hex}.sig`, `sha256-${hex}.att`]);
    expect(tags.map(isEvidenceTag)).toEqual([true, true]);
  });

  test.each([
    "v1.sig",
    "sha256-abc.sig",
    `sha256-${"A".repeat(64)}.sig`,
    `sha256-${"a".repeat(64)}.sbom`,
    `x-sha256-${"a".repeat(64)}.sig`,
  ])("are not like %s", (tag) => {
    expect(isEvidenceTag(tagSchema.parse(tag))).toBe(false);
  });
});

const layer = fc.record({
  content: fc.constantFrom("a", "b", "c"),
  annotations: fc.dictionary(fc.constantFrom("signature", "certificate"), fc.constantFrom("1", "2")),
});

describe("appendsTo()", () => {
  test("holds for every manifest and what is added to it, with more annotations too, and for nothing that took one away", () => {
    fc.assert(
      fc.property(fc.array(layer, { maxLength: 4 }), fc.array(layer, { maxLength: 3 }), fc.nat(), (before, added, place) => {
        const old = manifestOf(before);
        expect(appendsTo(manifestOf([...before, ...added]), old)).toBe(true);
        const more = before.map((each) => ({ ...each, annotations: { ...each.annotations, more: "x" } }));
        expect(appendsTo(manifestOf(more), old)).toBe(true);
        expect(appendsTo(old, manifestOf(more))).toBe(before.length === 0);
        const without = before.toSpliced(place % Math.max(1, before.length), 1);
        expect(appendsTo(manifestOf(without), old)).toBe(before.length === 0);
      }),
    );
  });

  test("is about the order as well: what is put before hides what is behind it from a reader who stops", () => {
    const [one, other] = [{ content: "a" }, { content: "b" }];
    expect(appendsTo(manifestOf([other, one]), manifestOf([one]))).toBe(false);
    expect(appendsTo(manifestOf([one, other]), manifestOf([one]))).toBe(true);
  });
});
