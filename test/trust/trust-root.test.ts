import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import { digestOf } from "../../src/oci/digest.ts";
import { RegistryError } from "../../src/oci/errors.ts";
import { authoritySchema } from "../../src/trust/authority.ts";
import { PUBLIC_GOOD_ROOT } from "../../src/trust/public-good-root.ts";
import { MAX_TRUST_ROOT_BYTES, parseTrustRoot, publicGoodRoot } from "../../src/trust/trust-root.ts";
import { verifyCandidate } from "../../src/trust/verify.ts";
import { SUBJECT, bundled, grounds, outcome } from "./evidence.ts";
import { SigstoreInstance, type TrustedRootDocument } from "./sigstore-instance.ts";

let document: TrustedRootDocument;
beforeAll(async () => {
  ({ document } = await SigstoreInstance.start());
});

function ruleBrokenBy(bytes: Uint8Array | string | object): string {
  try {
    parseTrustRoot(Buffer.from(typeof bytes === "string" || bytes instanceof Uint8Array ? bytes : JSON.stringify(bytes)));
    return "none";
  } catch (error) {
    if (error instanceof RegistryError && error.code === "INVALID") return error.message;
    throw error;
  }
}

describe("parseTrustRoot()", () => {
  test("knows a trusted root by the digest of its bytes", () => {
    const bytes = Buffer.from(JSON.stringify(document, null, 2));
    const { digest, material } = parseTrustRoot(bytes);
    expect(digest).toBe(digestOf(bytes));
    expect(material).toMatchObject({
      tlogs: [{ baseURL: "https://rekor.corp.example" }],
      certificateAuthorities: [{}],
      ctlogs: [{}],
      timestampAuthorities: [{}],
    });
    expect(material.timestampAuthorities[0]?.certChain).toHaveLength(2);
  });

  test("takes one that trusts nobody", () => {
    expect(ruleBrokenBy({ mediaType: document.mediaType })).toBe("none");
  });

  test.each<[string, (root: TrustedRootDocument) => unknown, RegExp]>([
    ["what is no JSON", () => "{", /the text is not JSON/],
    ["a member twice", () => '{"mediaType":"x","mediaType":"y"}', /the same key twice/],
    ["another document", () => ({ mediaType: "application/json" }), /mediaType: must be that of a trusted root/],
    ["no document", () => [], /it has not the form|expected object/],
    ["lists that are none", (root) => ({ ...root, tlogs: {} }), /tlogs/],
    ["entries that are none", (root) => ({ ...root, tlogs: ["x"] }), /tlogs\[0\]/],
    ["65 logs", (root) => ({ ...root, tlogs: Array.from({ length: 65 }, () => root.tlogs[0]) }), /tlogs: must have at most 64 entries/],
    [
      "a log without a key",
      (root) => ({ ...root, tlogs: [{ ...root.tlogs[0], publicKey: undefined }] }),
      /a key or certificate cannot be read/,
    ],
    [
      "a log whose key is none",
      (root) => ({ ...root, tlogs: [{ ...root.tlogs[0], publicKey: { rawBytes: "AAAA", keyDetails: "PKIX_ED25519" } }] }),
      /a key or certificate cannot be read/,
    ],
    [
      "a log without an identifier",
      (root) => ({ ...root, tlogs: [{ ...root.tlogs[0], logId: undefined }] }),
      /every log must have a logId/,
    ],
    [
      "a log with a short identifier",
      (root) => ({ ...root, ctlogs: [{ ...root.ctlogs[0], logId: { keyId: "AAAA" } }] }),
      /every log must have a logId/,
    ],
    [
      "an authority without certificates",
      (root) => ({ ...root, certificateAuthorities: [{ uri: "x" }] }),
      /every authority must have 1 to 8 certificates/,
    ],
    [
      "an authority whose certificate is none",
      (root) => ({ ...root, certificateAuthorities: [{ certChain: { certificates: [{ rawBytes: "AAAA" }] } }] }),
      /a certificate is not one/,
    ],
    ["a number for a text", (root) => ({ ...root, tlogs: [{ ...root.tlogs[0], publicKey: { rawBytes: 7 } }] }), /./],
  ])("refuses %s", (_, change, rule) => {
    const broken = change(document);
    expect(ruleBrokenBy(broken as object)).toMatch(rule);
  });

  test("refuses more than a megabyte before it looks at it", () => {
    expect(ruleBrokenBy(Buffer.alloc(MAX_TRUST_ROOT_BYTES + 1))).toMatch(/more than 1048576 bytes/);
  });
});

describe("the public-good instance", () => {
  test("is shipped byte for byte as its TUF repository has it", () => {
    expect(publicGoodRoot().digest).toBe("sha256:6494e21ea73fa7ee769f85f57d5a3e6a08725eae1e38c755fc3517c9e6bc0b66");
    expect(digestOf(PUBLIC_GOOD_ROOT)).toBe(publicGoodRoot().digest);
  });

  // The provenance of the npm package sigstore 2.0.0, as npm's registry publishes it and the Go module sigstore-go 1.4.0 carries it.
  const bundle: unknown = JSON.parse(readFileSync(new URL("public-good/sigstore-2.0.0-provenance.json", import.meta.url), "utf8"));
  const tarball =
    "46d4e2f74c4877316640000a6fdf8a8b59f1e0847667973e9859f774dd31b8f1e0937813b777fb66a2ac67d50540fe34640966eee9fc2ccca387082b4c85cd3c";
  const judgeFor = (subject: object, sha512 = tarball): ReturnType<typeof verifyCandidate> => {
    const identities = [{ issuer: { exact: "https://token.actions.githubusercontent.com" }, subject }];
    const authority = authoritySchema.parse({ type: "keyless", name: "npm", trustRoot: "corp", identities });
    const on = grounds(new Date("2026-03-01T00:00:00Z"), publicGoodRoot(), {
      ...SUBJECT,
      digests: { sha256: SUBJECT.digests.sha256, sha512 },
    });
    return verifyCandidate(bundled(bundle), authority, on);
  };
  const workflow = { glob: "https://github.com/sigstore/sigstore-js/.github/workflows/release.yml@refs/heads/*" };

  test("vouches for a bundle that was made with it", () => {
    expect(judgeFor(workflow)).toMatchObject({
      ok: true,
      kind: "attestation",
      predicateType: "https://slsa.dev/provenance/v1",
      signer: { type: "identity" },
      at: expect.stringMatching(/^2023-/) as string,
    });
  });

  test("vouches for nobody and nothing else", () => {
    expect(outcome(judgeFor({ glob: "https://github.com/sigstore/cosign/**" }))).toBe("identity-mismatch");
    expect(outcome(judgeFor(workflow, "0".repeat(128)))).toBe("subject-mismatch");
  });
});
