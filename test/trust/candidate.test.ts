import crypto from "node:crypto";
import { syncBuiltinESMExports } from "node:module";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import type { Annotations } from "../../src/oci/descriptor.ts";
import { MAX_EVIDENCE_BYTES } from "../../src/trust/bundle.ts";
import {
  type Candidate,
  MAX_EVIDENCE_LAYERS,
  MAX_REFERRERS,
  candidatesOf,
  evidenceLayers,
  ownCandidatesOf,
  ownSignatureLayers,
} from "../../src/trust/candidate.ts";
import {
  BUNDLE_TYPE,
  HEX,
  MODEL,
  OTHER_HEX,
  candidateIn,
  grounds,
  judge,
  keyAuthority,
  manifestWith,
  skippedIn,
  workflowAuthority,
} from "./evidence.ts";
import { SigstoreInstance, dsseBundle, identity, keySigner, messageBundle, statement, wholeSecond } from "./sigstore-instance.ts";
import * as x509 from "./certificates.ts";

// The real function, which also counts, whoever calls it.
const verifications = vi.spyOn(crypto, "verify");
syncBuiltinESMExports();
afterAll(() => {
  verifications.mockRestore();
  syncBuiltinESMExports();
});
beforeEach(() => {
  verifications.mockClear();
});

const clock = wholeSecond();
const key = keySigner();
const alone = grounds(clock);
let corp: SigstoreInstance;
let good: Buffer;
beforeAll(async () => {
  corp = await SigstoreInstance.start({ clock });
  good = json(await dsseBundle(key, statement(HEX)));
});
const json = (value: unknown): Buffer<ArrayBuffer> => Buffer.from(JSON.stringify(value));
const title = (name: string): Annotations => ({ "org.opencontainers.image.title": name });

describe("candidatesOf()", () => {
  test("finds a bundle whatever manifest and layer are said to be", () => {
    for (const mediaType of [
      BUNDLE_TYPE,
      "application/octet-stream",
      "application/vnd.dev.cosign.simplesigning.v1+json",
      "application/cose",
    ]) {
      const { candidates, skipped } = candidatesOf(manifestWith([{ bytes: good, mediaType }], { artifactType: "application/x-lie" }));
      expect(candidates).toMatchObject([{ format: "bundle", claim: { type: "bundle", ownFile: undefined } }]);
      expect(skipped).toEqual([]);
    }
  });

  test.each<[string, Buffer, string]>([
    ["nothing", Buffer.alloc(0), "malformed-json"],
    ["what is no JSON", Buffer.from("signature"), "malformed-json"],
    ["bytes that are no text", Buffer.from([0xff, 0xfe]), "malformed-json"],
    ["JSON with a member twice", Buffer.from('{"mediaType":"a","mediaType":"b"}'), "malformed-json"],
    ["JSON that is nested too deep", Buffer.from("[".repeat(40) + "]".repeat(40)), "malformed-json"],
    ["JSON of another kind", json({ hello: "world" }), "unknown-format"],
    ["an unsigned statement", json(statement(HEX)), "unknown-format"],
    ["a bundle that is none", json({ mediaType: BUNDLE_TYPE }), "malformed-bundle"],
    [
      "a JSON Web Signature of another kind",
      json({ protected: "e30", payload: "e30", signature: "AAAA", header: {} }),
      "malformed-notation",
    ],
    ["a CBOR signature that is none", Buffer.from([0xd2, 0x84]), "malformed-notation"],
  ])("skips %s and tells why", (_, bytes, code) => {
    expect(skippedIn({ bytes, mediaType: BUNDLE_TYPE })).toBe(code);
  });

  test("goes on behind what it skips", () => {
    const { candidates, skipped } = candidatesOf(manifestWith([{ bytes: Buffer.from("x") }, { bytes: good }, { bytes: Buffer.from("y") }]));
    expect(candidates).toHaveLength(1);
    expect(skipped.map(({ code }) => code)).toEqual(["malformed-json", "malformed-json"]);
  });

  test("tells of a layer that the repository lacks", () => {
    const found = manifestWith([{ bytes: good }]);
    expect(candidatesOf({ ...found, blobs: new Map() }).skipped).toMatchObject([{ manifest: found.digest, code: "blob-missing" }]);
  });

  test("looks neither at more than a megabyte nor at more than 64 layers", () => {
    const large = manifestWith([{ bytes: Buffer.alloc(MAX_EVIDENCE_BYTES + 1, " ") }, { bytes: good }]);
    expect(evidenceLayers(large.manifest)).toHaveLength(1);
    expect(candidatesOf(large)).toMatchObject({ candidates: [{ format: "bundle" }], skipped: [{ code: "too-large" }] });
    const many = manifestWith(Array.from({ length: MAX_EVIDENCE_LAYERS + 1 }, (_, at) => ({ bytes: Buffer.from(`${at}`) })));
    expect(evidenceLayers(many.manifest)).toHaveLength(MAX_EVIDENCE_LAYERS);
    const { skipped } = candidatesOf(many);
    expect(skipped).toHaveLength(MAX_EVIDENCE_LAYERS + 1);
    expect(skipped.at(-1)).toMatchObject({ blob: undefined, code: "too-many-layers" });
  });
});

describe("the files of an artifact that may be its own signature", () => {
  test("are those with the endings of signatures, at most four", () => {
    const artifact = manifestWith([
      { bytes: Buffer.from("weights"), annotations: title("model.safetensors") },
      ...["model.sig", "a.sigstore", "b.sigstore.json", "c.sig", "d.sig"].map((name) => ({
        bytes: Buffer.from(name),
        annotations: title(name),
      })),
    ]);
    expect(ownSignatureLayers(artifact.manifest).map(({ annotations }) => annotations?.["org.opencontainers.image.title"])).toEqual([
      "model.sig",
      "a.sigstore",
      "b.sigstore.json",
      "c.sig",
    ]);
  });

  test("are candidates with their name when they are bundles, and nothing else is", () => {
    const artifact = manifestWith([
      { bytes: good, annotations: title("model.sig") },
      { bytes: Buffer.from("PGP"), annotations: title("weights.sig") },
      { bytes: Buffer.from("weights"), annotations: title("model.safetensors") },
    ]);
    const { candidates, skipped } = ownCandidatesOf(artifact);
    expect(candidates).toMatchObject([{ format: "bundle", claim: { ownFile: "model.sig" } }]);
    expect(skipped).toMatchObject([{ code: "malformed-json" }]);
  });
});

/** As many referrers as are considered, and more, each with its own bytes. */
async function junk(make: (at: number) => Promise<unknown>): Promise<Candidate[]> {
  const candidates: Candidate[] = [];
  for (let at = 0; at < 300; at += 1) candidates.push(candidateIn({ bytes: json(await make(at)), mediaType: BUNDLE_TYPE }));
  return candidates;
}
const outcomes = (candidates: readonly Candidate[], authority = keyAuthority([key.pem])): string[] => [
  ...new Set(candidates.map((candidate) => judge(candidate, authority, grounds(clock, corp.trustRoot)))),
];

describe("junk", () => {
  test("is read at least as far as referrers are considered", () => {
    expect(MAX_REFERRERS).toBe(256);
  });

  test("about other artifacts costs no look at a signature", async () => {
    const candidates = await junk((at) => dsseBundle(key, statement(OTHER_HEX, `https://example.org/${at}`)));
    verifications.mockClear();
    expect(outcomes(candidates)).toEqual(["subject-mismatch"]);
    expect(verifications).not.toHaveBeenCalled();
  });

  test("of other identities costs no look at a signature", async () => {
    const eve = await corp.identitySigner({ extensions: identity({ san: [x509.uri("https://evil.example")] }) });
    const candidates = await junk((at) => dsseBundle(eve, statement(HEX, `https://example.org/${at}`)));
    verifications.mockClear();
    expect(outcomes(candidates, workflowAuthority())).toEqual(["identity-mismatch"]);
    expect(verifications).not.toHaveBeenCalled();
  });

  test("by strangers about the artifact costs one look each for a key that might have signed", async () => {
    const stranger = keySigner();
    const candidates = await junk((at) => dsseBundle(stranger, statement(HEX, `https://example.org/${at}`)));
    verifications.mockClear();
    expect(outcomes(candidates)).toEqual(["signature-invalid"]);
    expect(verifications).toHaveBeenCalledTimes(candidates.length);
  });

  test("that shows the right certificate costs one look each", async () => {
    const certificate = await corp.certificate();
    const thief = {
      sign: async (): Promise<never> =>
        ({ signature: crypto.randomBytes(71), key: { $case: "x509Certificate", certificate: certificate.pem } }) as never,
    };
    const candidates = await junk(() => messageBundle(thief, MODEL.bytes));
    verifications.mockClear();
    expect(outcomes(candidates, workflowAuthority())).toEqual(["signature-invalid"]);
    expect(verifications).toHaveBeenCalledTimes(candidates.length);
  });

  test("hides nothing: what counts, counts among it as well", async () => {
    const candidates = await junk((at) => dsseBundle(key, statement(OTHER_HEX, `https://example.org/${at}`)));
    const all = [...candidates.slice(0, 150), candidateIn({ bytes: good, mediaType: BUNDLE_TYPE }), ...candidates.slice(150)];
    expect(all.filter((candidate) => judge(candidate, keyAuthority([key.pem]), alone) === "ok")).toHaveLength(1);
  });
});
