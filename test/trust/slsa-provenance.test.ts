import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { digestOf, encodedOf } from "../../src/oci/digest.ts";
import { readProvenance } from "../../src/trust/slsa-provenance.ts";
import { subjectOf } from "../../src/trust/subject.ts";

const IMAGE = "application/vnd.oci.image.manifest.v1+json";
const EMPTY = { mediaType: "application/vnd.oci.empty.v1+json", digest: digestOf("{}"), size: 2 };
const MANIFEST = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: IMAGE, config: EMPTY, layers: [] }));
const SUBJECT = subjectOf(MANIFEST, IMAGE);

const V1 = {
  buildDefinition: {
    buildType: "https://example.org/build/v1",
    externalParameters: {},
    resolvedDependencies: [{ uri: "git+https://example.org/repo", digest: { gitCommit: "abc" } }, { name: "dataset" }, {}],
  },
  runDetails: { builder: { id: "https://example.org/builder" } },
};
const V02 = { builder: { id: "https://old.example/builder" }, buildType: "make", materials: [{ uri: "git+https://old.example/repo" }] };

interface Said {
  readonly predicate: unknown;
  readonly type?: string;
  readonly digest?: string;
}

function envelope({ predicate, type = "https://slsa.dev/provenance/v1", digest = encodedOf(digestOf(MANIFEST)) }: Said): object {
  const statement = {
    _type: "https://in-toto.io/Statement/v1",
    subject: [{ name: "a", digest: { sha256: digest } }],
    predicateType: type,
    predicate,
  };
  const payload = Buffer.from(JSON.stringify(statement)).toString("base64");
  return { payloadType: "application/vnd.in-toto+json", payload, signatures: [{ sig: "AAAA" }] };
}

const read = (value: unknown): ReturnType<typeof readProvenance> => readProvenance(Buffer.from(JSON.stringify(value)), SUBJECT);

describe("an SLSA provenance", () => {
  test("says who built it, how, and of what, in a bundle or an envelope alone", () => {
    const said = {
      builder: "https://example.org/builder",
      buildType: "https://example.org/build/v1",
      sources: [
        { uri: "git+https://example.org/repo", digest: "gitCommit:abc" },
        { uri: "dataset", digest: undefined },
      ],
    };
    expect(read(envelope({ predicate: V1 }))).toEqual(said);
    expect(read({ mediaType: "application/vnd.dev.sigstore.bundle.v0.3+json", dsseEnvelope: envelope({ predicate: V1 }) })).toEqual(said);
  });

  test("of version 0.2 is read, too", () => {
    expect(read(envelope({ predicate: V02, type: "https://slsa.dev/provenance/v0.2" }))).toEqual({
      builder: "https://old.example/builder",
      buildType: "make",
      sources: [{ uri: "git+https://old.example/repo", digest: undefined }],
    });
  });

  test("of another artifact, or another kind of statement, is none", () => {
    expect(read(envelope({ predicate: V1, digest: "0".repeat(64) }))).toBeUndefined();
    expect(read(envelope({ predicate: V1, type: "https://example.org/scan/v1" }))).toBeUndefined();
    expect(read(envelope({ predicate: { other: 1 } }))).toBeUndefined();
  });

  test("is what the signature is over, and nothing that stands beside that", () => {
    const forged = envelope({ predicate: V1 });
    const signed = envelope({ predicate: {}, type: "https://example.org/scan/v1" });
    const bundle = { mediaType: "application/vnd.dev.sigstore.bundle.v0.3+json", verificationMaterial: {} };
    for (const value of [
      { ...signed, dsseEnvelope: forged },
      { ...bundle, messageSignature: {}, ...forged },
      { ...bundle, messageSignature: {}, dsseEnvelope: forged },
      { ...bundle, dsseEnvelope: signed, ...forged },
      { protected: "e30", signature: "AA", ...forged, dsseEnvelope: forged },
      { protected: "e30", signature: "AA", ...forged },
      { critical: {}, ...forged },
    ]) {
      expect(read(value)).toBeUndefined();
    }
  });

  test("is bounded in what it says", () => {
    const many = Array.from({ length: 5_000 }, () => ({ uri: "x".repeat(100) }));
    const found = read(envelope({ predicate: { ...V1, buildDefinition: { buildType: "y".repeat(5_000), resolvedDependencies: many } } }));
    expect([found?.sources.length, found?.buildType?.length]).toEqual([16, 512]);
  });

  test("whatever the bytes are, is one or none, and never an error", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.json(),
          fc.json().map((json) => JSON.stringify(envelope({ predicate: JSON.parse(json) as unknown }))),
        ),
        (json) => {
          expect(readProvenance(Buffer.from(json), SUBJECT)?.sources.length ?? 0).toBeLessThanOrEqual(16);
        },
      ),
    );
  });
});
