import { expect, test } from "vitest";
import { SIGSTORE_BUNDLE, sigstoreBundle } from "../../src/lifecycle/dsse.ts";
import {
  type StatementFacts,
  lifecycleLabel,
  statementConfig,
  statementManifest,
  statementPayload,
} from "../../src/lifecycle/statement.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { parseManifest } from "../../src/oci/manifest.ts";

const SUBJECT = { sha256: digestOf("model"), sha512: digestOf("model", "sha512") };
const FACTS: StatementFacts = {
  registry: "https://registry.example",
  repository: "models/demo",
  subject: SUBJECT,
  state: "trusted",
  sequence: 3,
  previous: digestOf("the statement before"),
  everywhere: false,
  at: Date.UTC(2026, 10, 22, 10, 5, 0, 123),
  actor: "operator",
  reason: "release 1.4",
  permanent: false,
  policy: "built-in/closure@1",
  inputs: [digestOf("decision")],
};

test("statementPayload() is an in-toto statement about the artifact, under both of its digests, chained to the one before", () => {
  expect(JSON.parse(statementPayload(FACTS))).toEqual({
    _type: "https://in-toto.io/Statement/v1",
    subject: [{ name: "registry.example/models/demo", digest: { sha256: SUBJECT.sha256.slice(7), sha512: SUBJECT.sha512.slice(7) } }],
    predicateType: "https://ai-model-registry.dev/attestations/lifecycle/v1",
    predicate: {
      registry: "https://registry.example",
      repository: "models/demo",
      state: "trusted",
      seq: 3,
      prev: { sha256: digestOf("the statement before").slice(7) },
      scope: "repository",
      effectiveAt: "2026-11-22T10:05:00Z",
      actor: "operator",
      reason: "release 1.4",
      policy: { uri: "built-in/closure@1" },
      inputs: [{ digest: { sha256: digestOf("decision").slice(7) } }],
    },
  });
});

test("statementPayload() says `permanent` in every revocation and in nothing else", () => {
  expect(statementPayload({ ...FACTS, state: "revoked" })).toContain('"permanent":false');
  expect(statementPayload({ ...FACTS, state: "revoked", permanent: true })).toContain('"permanent":true');
  expect(statementPayload(FACTS)).not.toContain("permanent");
});

test("statementPayload() begins a chain with prev null", () => {
  expect(statementPayload({ ...FACTS, sequence: 1, previous: null })).toContain('"prev":null');
});

const ARTIFACT = { repository: "models/demo", mediaType: "a/b", digest: SUBJECT.sha256, size: 5 };
const BUNDLE = sigstoreBundle(statementPayload(FACTS), new Uint8Array([1, 2, 3]), "a key");

test("statementManifest() is a referrer of the artifact that people and cosign can read, with a config of its own", () => {
  const { manifest, config, bundle } = statementManifest(BUNDLE, ARTIFACT, lifecycleLabel(FACTS));
  const parsed = parseManifest(manifest, undefined);
  expect(parsed.artifactType).toBe(SIGSTORE_BUNDLE);
  expect(parsed.subject?.digest).toBe(SUBJECT.sha256);
  expect(parsed.annotations).toEqual({
    "org.opencontainers.image.created": "2026-11-22T10:05:00Z",
    "dev.sigstore.bundle.content": "dsse-envelope",
    "dev.sigstore.bundle.predicateType": "https://ai-model-registry.dev/attestations/lifecycle/v1",
    "dev.ai-model-registry.lifecycle.state": "trusted",
    "dev.ai-model-registry.lifecycle.seq": "3",
    "dev.ai-model-registry.lifecycle.actor": "operator",
  });
  expect(parsed.config?.mediaType).toBe("application/vnd.ai-model-registry.lifecycle.config.v1+json");
  expect(parsed.layers.map(({ mediaType }) => mediaType)).toEqual([SIGSTORE_BUNDLE]);
  expect([digestOf(config), digestOf(bundle)]).toEqual([digestOf(statementConfig("models/demo")), parsed.layers[0]?.digest]);
  expect(new TextDecoder().decode(config)).not.toBe("{}");
});

test("statementManifest() is the same bytes for the same bundle and subject", () => {
  const once = statementManifest(BUNDLE, ARTIFACT, lifecycleLabel(FACTS));
  const twice = statementManifest(BUNDLE, ARTIFACT, lifecycleLabel(FACTS));
  expect(digestOf(once.manifest)).toBe(digestOf(twice.manifest));
});
