import { describe, expect, test } from "vitest";
import { digestOf } from "../../src/oci/digest.ts";
import { evidenceKind } from "../../src/oci/evidence.ts";
import { parseManifest } from "../../src/oci/manifest.ts";
import { OCI_ARTIFACT, OCI_EMPTY, OCI_IMAGE, OCI_INDEX } from "../../src/oci/media-types.ts";
import { referrerRank } from "../../src/oci/referrer.ts";

const BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json";
const NOTATION = "application/vnd.cncf.notary.signature";
const descriptor = (mediaType: string): object => ({ mediaType, digest: digestOf(mediaType), size: mediaType.length });

interface Made {
  readonly layers?: readonly string[];
  readonly config?: string;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}
const image = ({ layers = [], config = OCI_EMPTY, ...rest }: Made): ReturnType<typeof parseManifest> =>
  parseManifest(
    new TextEncoder().encode(JSON.stringify({ schemaVersion: 2, config: descriptor(config), layers: layers.map(descriptor), ...rest })),
    OCI_IMAGE,
  );

describe("evidenceKind", () => {
  test.each<[string, Made, string]>([
    [
      "cosign's bundle without an artifactType",
      {
        layers: [BUNDLE],
        annotations: {
          "dev.sigstore.bundle.content": "dsse-envelope",
          "dev.sigstore.bundle.predicateType": "https://sigstore.dev/cosign/sign/v1",
        },
      },
      "signature",
    ],
    [
      "a bundle around a message signature",
      { layers: [BUNDLE], annotations: { "dev.sigstore.bundle.content": "message-signature" } },
      "signature",
    ],
    ["a bundle without annotations", { layers: [BUNDLE], artifactType: BUNDLE }, "signature"],
    ["a later bundle", { layers: ["application/vnd.dev.sigstore.bundle+json;version=0.4"] }, "signature"],
    [
      "a bundle around provenance",
      { layers: [BUNDLE], annotations: { "dev.sigstore.bundle.predicateType": "https://slsa.dev/provenance/v1" } },
      "attestation",
    ],
    [
      "cosign's older signatures",
      { layers: ["application/vnd.dev.cosign.simplesigning.v1+json"], config: "application/vnd.oci.image.config.v1+json" },
      "signature",
    ],
    ["notation, named by its config", { layers: ["application/jose+json"], config: NOTATION }, "signature"],
    [
      "notation, named by its annotation",
      { layers: ["application/cose"], artifactType: NOTATION, annotations: { "io.cncf.notary.x509chain.thumbprint#S256": "[]" } },
      "signature",
    ],
    ["a DSSE envelope", { layers: ["application/vnd.dsse.envelope.v1+json"] }, "attestation"],
    ["in-toto", { layers: ["application/vnd.in-toto+json"] }, "attestation"],
    ["CycloneDX", { layers: ["application/vnd.cyclonedx+json"] }, "sbom"],
    ["CycloneDX with a version", { layers: ["application/vnd.cyclonedx+xml; version=1.6"] }, "sbom"],
    ["SPDX", { layers: ["application/spdx+json"] }, "sbom"],
    ["syft", { layers: ["application/vnd.syft+json"] }, "sbom"],
    ["SARIF", { layers: ["application/sarif+json"] }, "scan-report"],
  ])("recognises %s", (_, made, kind) => {
    expect(evidenceKind(image(made))).toBe(kind);
  });

  test("recognises the withdrawn artifact manifest by its blobs", () => {
    const bytes = new TextEncoder().encode(JSON.stringify({ mediaType: OCI_ARTIFACT, blobs: [descriptor(BUNDLE)] }));
    expect(evidenceKind(parseManifest(bytes, OCI_ARTIFACT))).toBe("signature");
  });

  test.each<[string, Made]>([
    ["a claim by artifactType alone", { layers: ["text/markdown"], artifactType: BUNDLE }],
    ["a claim by config alone", { layers: ["text/markdown"], config: NOTATION }],
    ["a claim by annotation alone", { layers: ["text/markdown"], annotations: { "dev.sigstore.bundle.content": "dsse-envelope" } }],
    ["nothing at all", { layers: [], artifactType: NOTATION }],
    ["evidence with something else beside it", { layers: ["application/vnd.cyclonedx+json", "text/markdown"] }],
    ["evidence with a model's config", { layers: [BUNDLE], config: "application/vnd.cncf.model.config.v1+json" }],
    ["an envelope that is not notation's", { layers: ["application/jose+json"] }],
    ["a type that only begins like a bundle", { layers: ["application/vnd.dev.sigstore.bundles"] }],
  ])("is not fooled by %s", (_, made) => {
    expect(evidenceKind(image(made))).toBeUndefined();
    expect(referrerRank(image(made), false)).toBe(9);
  });

  test("takes no index for evidence", () => {
    const bytes = new TextEncoder().encode(JSON.stringify({ schemaVersion: 2, artifactType: BUNDLE, manifests: [descriptor(BUNDLE)] }));
    expect(evidenceKind(parseManifest(bytes, OCI_INDEX))).toBeUndefined();
  });
});

describe("referrerRank", () => {
  test("puts the registry's statements first, then signatures and attestations, then reports, then the rest", () => {
    const ranks = [
      referrerRank(image({ layers: ["application/vnd.in-toto+json"] }), true),
      referrerRank(image({ layers: [BUNDLE] }), false),
      referrerRank(image({ layers: ["application/vnd.in-toto+json"] }), false),
      referrerRank(image({ layers: ["application/spdx+json"] }), false),
      referrerRank(image({ layers: ["application/sarif+json"] }), false),
      referrerRank(image({ layers: ["text/markdown"] }), false),
    ];
    expect(ranks).toEqual([0, 1, 1, 2, 2, 9]);
  });
});
