import { generateKeyPairSync } from "node:crypto";
import { BUNDLE_V02_MEDIA_TYPE, BUNDLE_V03_MEDIA_TYPE, bundleFromJSON, bundleToJSON } from "@sigstore/bundle";
import { TrustedRoot } from "@sigstore/protobuf-specs";
import { Verifier, toSignedEntity, toTrustMaterial } from "@sigstore/verify";
import { beforeAll, describe, expect, test } from "vitest";
import { authoritySchema } from "../../src/trust/authority.ts";
import { parseTrustRoot } from "../../src/trust/trust-root.ts";
import { verifyCandidate } from "../../src/trust/verify.ts";
import * as x509 from "./certificates.ts";
import {
  type BundleJson,
  EMPTY_ROOT,
  HEX,
  MODEL,
  OTHER_HEX,
  bundled,
  changed,
  grounds,
  judge,
  keyAuthority,
  skippedIn,
  workflowAuthority,
} from "./evidence.ts";
import {
  ISSUER,
  ISSUER_V1,
  ISSUER_V2,
  SigstoreInstance,
  WORKFLOW,
  certificateSigner,
  dsseBundle,
  identity,
  keySigner,
  messageBundle,
  statement,
  wholeSecond,
} from "./sigstore-instance.ts";
import { entryBody } from "./transparency-log.ts";

// What the Sigstore library leaves to its callers, by the numbers of the list in trust.md §2.3.

const clock = wholeSecond();
const key = keySigner();
const authority = keyAuthority([key.pem]);
const alone = grounds(clock, EMPTY_ROOT);
let corp: SigstoreInstance;
let other: SigstoreInstance;
beforeAll(async () => {
  corp = await SigstoreInstance.start({ clock });
  other = await SigstoreInstance.start({ clock, host: "rekor.other.example" });
});

/** A trust root that knows the logs of both instances, and all else of the first. */
const bothLogs = (): ReturnType<typeof parseTrustRoot> => rootWith({ tlogs: [...corp.document.tlogs, ...other.document.tlogs] });
const rootWith = (change: object): ReturnType<typeof parseTrustRoot> =>
  parseTrustRoot(Buffer.from(JSON.stringify({ ...corp.document, ...change })));
/** The outcome of a statement signed with a certificate of these extensions. */
async function judgeCertificate(extensions: readonly Buffer[], wish: object = {}): Promise<string> {
  const bundle = await dsseBundle(await corp.identitySigner({ extensions }), statement(HEX), [corp.logged()]);
  return judge(bundled(bundle), workflowAuthority(wish), grounds(clock, corp.trustRoot));
}

const kindOf = async (type: string): Promise<unknown> => {
  const verdict = verifyCandidate(bundled(await dsseBundle(key, statement(HEX, type))), authority, alone);
  return verdict.ok ? verdict.kind : verdict.code;
};

describe("1: the subject, and the types of payload, statement and predicate", () => {
  test("are compared here, where the library takes a statement about anything", async () => {
    const bundle = await dsseBundle(key, statement(OTHER_HEX));
    const material = toTrustMaterial(TrustedRoot.fromJSON({}), () => ({ publicKey: key.publicKey, validFor: () => true }));
    const library = new Verifier(material, { tlogThreshold: 0, ctlogThreshold: 0, timestampThreshold: 0 });
    expect(() => library.verify(toSignedEntity(bundleFromJSON(bundle)))).not.toThrow();
    expect(judge(bundled(bundle), authority, alone)).toBe("subject-mismatch");
  });

  test.each<[string, object, string]>([
    ["of version 0.1", { _type: "https://in-toto.io/Statement/v0.1" }, "ok"],
    ["of another type", { _type: "https://in-toto.io/Statement/v2" }, "statement-type"],
    ["without a type", { _type: undefined }, "malformed-payload"],
    ["without a predicate type", { predicateType: undefined }, "malformed-payload"],
    ["without subjects", { subject: [] }, "subject-mismatch"],
    ["with the artifact as second subject", { subject: [{ digest: { sha256: OTHER_HEX } }, { digest: { sha256: HEX } }] }, "ok"],
    ["with a subject in upper case", { subject: [{ digest: { sha256: HEX.toUpperCase() } }] }, "subject-mismatch"],
    ["with the digest under another algorithm's name", { subject: [{ digest: { sha3_256: HEX } }] }, "subject-mismatch"],
    ["with digests that contradict each other", { subject: [{ digest: { sha256: HEX, sha512: "0".repeat(128) } }] }, "subject-mismatch"],
    ["with a digest that is no text", { subject: [{ digest: { sha256: [HEX] } }] }, "subject-mismatch"],
  ])("a statement %s", async (_, change, result) => {
    const bundle = await dsseBundle(key, { ...statement(HEX), ...change });
    expect(judge(bundled(bundle), authority, alone)).toBe(result);
  });

  test("only cosign's own predicate type makes a statement a signature", async () => {
    expect(await kindOf("https://sigstore.dev/cosign/sign/v1")).toBe("signature");
    expect(await kindOf("https://sigstore.dev/cosign/sign/v1/")).toBe("attestation");
    expect(await kindOf("https://slsa.dev/verification_summary/v1")).toBe("attestation");
  });
});

const lie = ({ messageSignature }: BundleJson): unknown => (messageSignature.messageDigest.digest = Buffer.alloc(32, 7).toString("base64"));

describe("2: the digest that a bundle states of the message", () => {
  test("is of no interest", async () => {
    expect(judge(bundled(changed(await messageBundle(key, MODEL.bytes), lie)), authority, alone)).toBe("ok");
  });

  test("cannot make a log entry fit that is about other bytes", async () => {
    const signer = await corp.identitySigner();
    const honest = bundleFromJSON(await messageBundle(signer, MODEL.bytes));
    const lying = bundleFromJSON(changed(bundleToJSON(honest), lie));
    const certificate = lying.verificationMaterial.content;
    const der = certificate.$case === "x509CertificateChain" ? certificate.x509CertificateChain.certificates[0]?.rawBytes : undefined;
    lying.verificationMaterial.tlogEntries = [corp.log.entry(entryBody("v1", lying.content, x509.pemOf(der ?? Buffer.alloc(0))))];
    expect(judge(bundled(bundleToJSON(lying)), workflowAuthority(), grounds(clock, corp.trustRoot))).toBe("log-entry-mismatch");
  });
});

describe("3: identities", () => {
  test.each<[string, object, string]>([
    ["the whole text", { exact: WORKFLOW }, "ok"],
    ["a part of it", { exact: "git.corp.example" }, "identity-mismatch"],
    ["a pattern for all of it", { glob: "https://git.corp.example/*/demo/.ci/release.yml@refs/heads/*" }, "ok"],
    ["a pattern for its beginning", { glob: "https://git.corp.example/*" }, "identity-mismatch"],
    ["a regular expression", { exact: ".*" }, "identity-mismatch"],
    ["dots that stand for anything", { glob: WORKFLOW.replaceAll(".", "?") }, "identity-mismatch"],
  ])("match %s", async (_, subject, result) => {
    const identities = [{ issuer: { exact: ISSUER }, subject }];
    expect(await judgeCertificate(identity(), { identities })).toBe(result);
  });

  test.each([
    ["no identity at all", []],
    ["an empty subject", [{ issuer: { exact: ISSUER }, subject: { exact: "" } }]],
    ["an empty pattern", [{ issuer: { exact: ISSUER }, subject: { glob: "" } }]],
    ["a pattern for issuers", [{ issuer: { glob: "https://*" }, subject: { exact: WORKFLOW } }]],
    ["no issuer", [{ subject: { exact: WORKFLOW } }]],
  ])("an authority with %s is refused", (_, identities) => {
    expect(authoritySchema.safeParse({ type: "keyless", name: "any", trustRoot: "corp", identities }).success).toBe(false);
  });

  test("an extension must be there with the text that is asked for, in the encoding of its number", async () => {
    const REPOSITORY = "1.3.6.1.4.1.57264.1.12";
    const TRIGGER = "1.3.6.1.4.1.57264.1.2";
    const more = [x509.extension(REPOSITORY, x509.utf8("ml/demo")), x509.extension(TRIGGER, Buffer.from("push"))];
    const judgeWith = (extensions: object): Promise<string> =>
      judgeCertificate(identity({ more }), { identities: [{ issuer: { exact: ISSUER }, subject: { exact: WORKFLOW }, extensions }] });
    expect(await judgeWith({ [REPOSITORY]: "ml/demo", [TRIGGER]: "push" })).toBe("ok");
    expect(await judgeWith({ [REPOSITORY]: "ml/demo", [TRIGGER]: "pull_request" })).toBe("identity-mismatch");
    expect(await judgeWith({ "1.3.6.1.4.1.57264.1.13": "ml/demo" })).toBe("identity-mismatch");
  });
});

describe("5: what the certificate is for", () => {
  const { codeSigning, serverAuth, any } = x509.PURPOSES;
  const digitalSignature = x509.keyUsage(0x80);
  test.each<[string, readonly Buffer[], string]>([
    ["code signing, among others", [digitalSignature, x509.purposes(serverAuth, codeSigning)], "ok"],
    ["TLS servers", [digitalSignature, x509.purposes(serverAuth)], "leaf-key-usage"],
    ["anything", [digitalSignature, x509.purposes(any)], "leaf-key-usage"],
    ["nothing that it says", [digitalSignature], "leaf-key-usage"],
    ["agreeing on keys", [x509.keyUsage(0x08), x509.purposes(codeSigning)], "leaf-key-usage"],
    [
      "an authority that may sign certificates",
      [x509.basicConstraints(true), x509.keyUsage(0x84), x509.purposes(codeSigning)],
      "leaf-is-ca",
    ],
    ["an authority that may not", [x509.basicConstraints(true), digitalSignature, x509.purposes(codeSigning)], "leaf-is-ca"],
    ["no authority, as it says", [x509.basicConstraints(false), digitalSignature, x509.purposes(codeSigning)], "ok"],
  ])("is %s", async (_, base, result) => {
    expect(await judgeCertificate(identity({ base }))).toBe(result);
  });

  test("is not known when an extension that must be understood is not", async () => {
    const more = [x509.extension("1.2.3.4", x509.utf8("?"), true)];
    expect(await judgeCertificate(identity({ more }))).toBe("unknown-critical-attribute");
    expect(await judgeCertificate(identity({ more: [x509.extension("1.2.3.4", x509.utf8("?"))] }))).toBe("ok");
  });

  test("is not known when an extension is there twice", async () => {
    expect(await judgeCertificate(identity({ more: [x509.purposes(serverAuth)] }))).toBe("malformed-certificate");
  });
});

const withBoth = (newer: Buffer, older: string): readonly Buffer[] => [
  ...x509.SIGNER,
  x509.names(x509.uri(WORKFLOW)),
  x509.extension(ISSUER_V2, newer),
  x509.extension(ISSUER_V1, Buffer.from(older)),
];

describe("6: names of the certificate", () => {
  test.each<[string, readonly Buffer[], string]>([
    ["the one URI", [x509.uri(WORKFLOW)], "ok"],
    ["an address besides", [x509.uri(WORKFLOW), x509.email("eve@evil.example")], "leaf-names"],
    ["a second URI", [x509.uri(WORKFLOW), x509.uri("https://evil.example")], "leaf-names"],
    ["the text as a host", [x509.dns(WORKFLOW)], "leaf-names"],
    ["the text as an address", [x509.email(WORKFLOW)], "ok"],
    ["none", [], "leaf-names"],
    // The library would drop the eighth bit, and see the workflow.
    ["an eighth bit", [x509.uri(Buffer.from(WORKFLOW).map((byte, at) => (at === 9 ? byte | 0x80 : byte)) as Buffer)], "leaf-names"],
    ["a line end", [x509.uri(`${WORKFLOW}\n`)], "leaf-names"],
  ])("with %s", async (_, san, result) => {
    expect(await judgeCertificate(identity({ san }))).toBe(result);
  });

  test("the newer extension tells the issuer, also when it cannot be read", async () => {
    expect(await judgeCertificate(withBoth(x509.utf8(ISSUER), "https://older.example"))).toBe("ok");
    expect(await judgeCertificate(withBoth(x509.utf8("https://newer.example"), ISSUER))).toBe("identity-mismatch");
    expect(await judgeCertificate(withBoth(x509.der(0x13, Buffer.from("https://newer.example")), ISSUER))).toBe("leaf-names");
    expect(await judgeCertificate([...x509.SIGNER, x509.names(x509.uri(WORKFLOW)), x509.extension(ISSUER_V1, Buffer.from(ISSUER))])).toBe(
      "ok",
    );
    expect(await judgeCertificate([...x509.SIGNER, x509.names(x509.uri(WORKFLOW))])).toBe("leaf-names");
  });
});

describe("7: the validity of a key", () => {
  test.each(["validFrom", "validUntil", "revokedAt"])("%s is refused where no timestamp is asked for", (limit) => {
    const keys = [{ id: "key", pem: key.pem, [limit]: "2026-01-01T00:00:00Z" }];
    const form = { type: "key", name: "team", trustRoot: "corp", keys };
    expect(authoritySchema.safeParse(form).error?.issues[0]?.path).toEqual(["timestamps"]);
    expect(authoritySchema.safeParse({ ...form, timestamps: 1 }).success).toBe(true);
  });

  test("is that of all its entries, when one key is listed twice", async () => {
    const keys = [
      { id: "revoked", pem: key.pem, revokedAt: "2020-01-01T00:00:00Z" },
      { id: "again", pem: key.pem },
    ];
    const bundle = bundled(await dsseBundle(key, statement(HEX), [corp.timestamped()]));
    expect(judge(bundle, keyAuthority([], { keys, timestamps: 1 }), grounds(clock, corp.trustRoot))).toBe("key-not-valid-then");
  });
});

describe("8: log entries that nobody asked for", () => {
  test("are not looked at when they are to be ignored, and refuse the bundle else", async () => {
    const bundle = bundled(await dsseBundle(key, statement(HEX), [other.logged()]));
    expect(judge(bundle, authority, grounds(clock, corp.trustRoot))).toBe("ok");
    expect(judge(bundle, keyAuthority([key.pem], { tlog: 1 }), grounds(clock, corp.trustRoot))).toBe("log-promise-invalid");
    expect(judge(bundle, keyAuthority([key.pem], { tlog: 1 }), grounds(clock, other.trustRoot))).toBe("ok");
  });

  test("nor are timestamps that nobody asked for", async () => {
    const bundle = bundled(await dsseBundle(key, statement(HEX), [other.timestamped()]));
    expect(judge(bundle, authority, grounds(clock, corp.trustRoot))).toBe("ok");
    expect(judge(bundle, keyAuthority([key.pem], { timestamps: 1 }), grounds(clock, corp.trustRoot))).toBe("timestamp-invalid");
  });
});

const rootUntil = (end: string): ReturnType<typeof parseTrustRoot> => {
  const [log] = corp.document.tlogs;
  return rootWith({ tlogs: [{ ...log, publicKey: { ...log?.publicKey, validFor: { start: "2020-01-01T00:00:00Z", end } } }] });
};

describe("9: the validity of a log's key", () => {
  test.each(["v1", "v2"] as const)("holds for entries of %s, too", async (kind) => {
    const bundle = bundled(await dsseBundle(await corp.identitySigner(), statement(HEX), [corp.logged(kind), corp.timestamped()]));
    expect(judge(bundle, workflowAuthority(), grounds(clock, rootUntil("2100-01-01T00:00:00Z")))).toBe("ok");
    const code = kind === "v1" ? "log-promise-invalid" : "log-key-expired";
    expect(judge(bundle, workflowAuthority(), grounds(clock, rootUntil("2021-01-01T00:00:00Z")))).toBe(code);
  });

  test("is that of now, when nothing tells when it was signed", async () => {
    const bundle = bundled(await dsseBundle(key, statement(HEX), [corp.logged("v2")]));
    const logged = keyAuthority([key.pem], { tlog: 1 });
    expect(judge(bundle, logged, grounds(clock, rootUntil("2100-01-01T00:00:00Z")))).toBe("ok");
    expect(judge(bundle, logged, grounds(new Date("2101-01-01T00:00:00Z"), rootUntil("2100-01-01T00:00:00Z")))).toBe("log-key-expired");
  });
});

test("10: an authority of identities without a trusted time is refused", () => {
  const form = {
    type: "keyless",
    name: "any",
    trustRoot: "corp",
    identities: [{ issuer: { exact: ISSUER }, subject: { exact: WORKFLOW } }],
  };
  expect(authoritySchema.safeParse({ ...form, timestamps: 0 }).error?.issues[0]?.path).toEqual(["timestamps"]);
  expect(authoritySchema.parse(form)).toMatchObject({ tlog: 1, ctlog: 1, timestamps: 1 });
});

const ec = (namedCurve: string): x509.KeyPair => generateKeyPairSync("ec", { namedCurve });
const rsa = (modulusLength: number): x509.KeyPair => generateKeyPairSync("rsa", { modulusLength });

describe("11: the algorithm goes with the key", () => {
  test.each<[string, x509.KeyPair, string | null, string]>([
    ["P-256 with SHA-256", ec("P-256"), "sha256", "ok"],
    ["P-256 with SHA-384", ec("P-256"), "sha384", "signature-invalid"],
    ["P-384 with SHA-384", ec("P-384"), "sha384", "ok"],
    ["P-384 with SHA-256, as cosign did", ec("P-384"), "sha256", "ok"],
    ["P-384 with SHA-1", ec("P-384"), "sha1", "signature-invalid"],
    ["P-521 with SHA-512", ec("P-521"), "sha512", "ok"],
    ["Ed25519", generateKeyPairSync("ed25519"), null, "ok"],
    ["RSA with SHA-256", rsa(2_048), "sha256", "ok"],
    ["RSA with SHA-1", rsa(2_048), "sha1", "signature-invalid"],
  ])("%s", async (_, keys, hash, result) => {
    const signer = keySigner(keys, { hash });
    const holder = keyAuthority([signer.pem]);
    expect(judge(bundled(await dsseBundle(signer, statement(HEX))), holder, alone)).toBe(result);
    expect(judge(bundled(await messageBundle(signer, MODEL.bytes)), holder, alone)).toBe(result);
  });

  test.each<[string, string]>([
    ["RSA of 1024 bits", rsa(1_024).publicKey.export({ format: "pem", type: "spki" })],
    ["a curve of another kind", ec("secp256k1").publicKey.export({ format: "pem", type: "spki" })],
    ["a private key", ec("P-256").privateKey.export({ format: "pem", type: "pkcs8" })],
    ["two keys", key.pem + key.pem],
    ["a key behind other text", `Key: \n${key.pem}`],
  ])("no authority has %s", (_, pem) => {
    expect(authoritySchema.safeParse({ type: "key", name: "team", keys: [{ id: "key", pem }] }).success).toBe(false);
  });
});

test("12: a bundle of version 0.3 may have a chain, of which only the signer's certificate is believed", async () => {
  const stranger = await other.certificate();
  const bundle = changed(await dsseBundle(await corp.identitySigner(), statement(HEX), [corp.logged()]), (copy) => {
    const { certificate } = copy.verificationMaterial;
    delete copy.verificationMaterial.certificate;
    copy.verificationMaterial.x509CertificateChain = {
      certificates: [{ rawBytes: certificate?.rawBytes ?? "" }, { rawBytes: stranger.der.toString("base64") }],
    };
  });
  expect(bundle.mediaType).toBe(BUNDLE_V03_MEDIA_TYPE);
  expect(judge(bundled(bundle), workflowAuthority(), grounds(clock, corp.trustRoot))).toBe("ok");
});

const skipped = (json: unknown): string | undefined => skippedIn({ bytes: Buffer.from(JSON.stringify(json)) });

describe("13: nothing but our own reasons comes out", () => {
  test.each<[string, unknown, string]>([
    ["null", null, "unknown-format"],
    ["a list", [], "unknown-format"],
    ["a text", "x", "unknown-format"],
    ["a number", 1, "unknown-format"],
    ["nothing", {}, "unknown-format"],
    ["only the type of a bundle", { mediaType: BUNDLE_V03_MEDIA_TYPE }, "malformed-bundle"],
    ["material that is none", { mediaType: BUNDLE_V03_MEDIA_TYPE, verificationMaterial: 7 }, "malformed-bundle"],
    ["an unknown version", { mediaType: "application/vnd.dev.sigstore.bundle.v0.9+json", verificationMaterial: {} }, "malformed-bundle"],
  ])("for %s", (_, json, code) => {
    expect(skipped(json)).toBe(code);
  });

  test.each<[string, (copy: BundleJson) => unknown]>([
    ["two contents", (copy) => (copy.messageSignature = { messageDigest: { algorithm: "SHA2_256", digest: "AAAA" }, signature: "AAAA" })],
    ["two kinds of key", (copy) => (copy.verificationMaterial.certificate = { rawBytes: "AAAA" })],
    ["no key", (copy) => delete copy.verificationMaterial.publicKey],
    ["two signatures", ({ dsseEnvelope: { signatures } }) => signatures.push(...signatures)],
    ["no signature", (copy) => (copy.dsseEnvelope.signatures = [])],
    ["an empty payload", (copy) => (copy.dsseEnvelope.payload = "")],
    [
      "nine timestamps",
      (copy) =>
        (copy.verificationMaterial.timestampVerificationData = {
          rfc3161Timestamps: Array.from({ length: 9 }, () => ({ signedTimestamp: "AAAA" })),
        }),
    ],
  ])("for a bundle with %s", async (_, change) => {
    expect(skipped(changed(await dsseBundle(key, statement(HEX)), change))).toBe("malformed-bundle");
  });

  test("for a bundle with nine log entries", async () => {
    const bundle = await dsseBundle(key, statement(HEX), [corp.logged()]);
    const many = changed(
      bundle,
      (copy) =>
        (copy.verificationMaterial.tlogEntries = Array.from({ length: 9 }, () => copy.verificationMaterial.tlogEntries[0] as never)),
    );
    expect(skipped(many)).toBe("too-many-log-entries");
  });

  test.each<[string, (copy: BundleJson) => unknown, string]>([
    ["a certificate that is none", (copy) => (copy.verificationMaterial.certificate = { rawBytes: "AAAA" }), "malformed-certificate"],
    [
      "a checkpoint that is none",
      (copy) => changeEntry(copy, (entry) => entryCheckpoint(entry, "x\nnotanumber\nAA==\n\n\u2014 rekor.corp.example AAAAAAAA\n")),
      "log-proof-invalid",
    ],
    [
      "a checkpoint signed by any name",
      (copy) =>
        changeEntry(copy, (entry) =>
          entryCheckpoint(entry, entry.inclusionProof?.checkpoint.envelope.replace("\u2014 rekor.corp.example", "\u2014 .*") ?? ""),
        ),
      "log-proof-invalid",
    ],
    [
      "a place in the log that is no number",
      (copy) => changeEntry(copy, (entry) => ({ ...entry, inclusionProof: { ...entry.inclusionProof, logIndex: "seven" } as never })),
      "log-proof-invalid",
    ],
    [
      "neither promise nor proof",
      (copy) => changeEntry(copy, (entry) => withoutPromise({ ...entry, inclusionProof: { checkpoint: { envelope: "" } } })),
      "timestamp-missing",
    ],
    ["a time that is no number", (copy) => changeEntry(copy, (entry) => ({ ...entry, integratedTime: "then" })), "certificate-untrusted"],
    [
      "a timestamp that is none",
      (copy) => (copy.verificationMaterial.timestampVerificationData = { rfc3161Timestamps: [{ signedTimestamp: "AAAA" }] }),
      "timestamp-malformed",
    ],
  ])("for %s", async (_, change, code) => {
    const bundle = await dsseBundle(await corp.identitySigner(), statement(HEX), [corp.logged()]);
    expect(judge(bundled(changed(bundle, change)), workflowAuthority(), grounds(clock, corp.trustRoot))).toBe(code);
  });
});

type Entry = BundleJson["verificationMaterial"]["tlogEntries"][number];
function changeEntry(copy: BundleJson, change: (entry: Entry) => Entry): void {
  copy.verificationMaterial.tlogEntries = copy.verificationMaterial.tlogEntries.map(change);
}
function withoutPromise(entry: Entry): Entry {
  const bare = { ...entry };
  delete bare.inclusionPromise;
  return bare;
}
function entryCheckpoint(entry: Entry, envelope: string): Entry {
  return { ...entry, inclusionProof: { ...entry.inclusionProof, checkpoint: { envelope } } };
}

test.each(["", "key-0", "__proto__", "constructor", "x".repeat(10_000)])("14: the hint %j of the sender changes nothing", async (hint) => {
  const keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const hinted = await dsseBundle(keySigner(keys, { hint }), statement(HEX));
  const known = keyAuthority([key.pem, keySigner(keys).pem]);
  expect(judge(bundled(hinted), known, alone)).toBe("ok");
  expect(judge(bundled(hinted), authority, alone)).toBe("signature-invalid");
});

test("15: a timestamp with a tenth of a second is refused as what the library cannot read", async () => {
  const instance = await SigstoreInstance.start({ clock, timestampClock: new Date(clock.getTime() + 500) });
  const bundle = bundled(await dsseBundle(key, statement(HEX), [instance.timestamped()]));
  expect(judge(bundle, keyAuthority([key.pem], { timestamps: 1 }), grounds(clock, instance.trustRoot))).toBe("timestamp-malformed");
});

test("16: the first entry of a log counts, though JSON drops its place and its empty proof", async () => {
  const bundle = changed(await dsseBundle(key, statement(HEX), [corp.logged()]), (copy) =>
    changeEntry(copy, (entry) => {
      const sparse = { ...entry, inclusionProof: { checkpoint: entry.inclusionProof?.checkpoint ?? { envelope: "" } } };
      delete sparse.logIndex;
      return sparse;
    }),
  );
  expect(judge(bundled(bundle), keyAuthority([key.pem], { tlog: 1 }), grounds(clock, corp.trustRoot))).toBe("ok");
});

test("17: signatures over messages come in bundles of version 0.2", async () => {
  const bundle = await messageBundle(await corp.identitySigner(), MODEL.bytes, [corp.logged()]);
  expect(bundle.mediaType).toBe(BUNDLE_V02_MEDIA_TYPE);
  expect(judge(bundled(bundle), workflowAuthority(), grounds(clock, corp.trustRoot))).toBe("ok");
});

describe("18: thresholds count logs and authorities, not entries and timestamps", () => {
  test("two entries of one log are one", async () => {
    const signer = await corp.identitySigner();
    const twice = bundled(await dsseBundle(signer, statement(HEX), [corp.logged("v1"), corp.logged("v2"), corp.timestamped()]));
    expect(judge(twice, workflowAuthority({ tlog: 2 }), grounds(clock, bothLogs()))).toBe("log-entry-missing");
    expect(judge(twice, workflowAuthority({ tlog: 1 }), grounds(clock, bothLogs()))).toBe("ok");
    const both = bundled(await dsseBundle(signer, statement(HEX), [corp.logged("v1"), other.logged("v2"), corp.timestamped()]));
    expect(judge(both, workflowAuthority({ tlog: 2 }), grounds(clock, bothLogs()))).toBe("ok");
  });

  test("one entry twice is refused", async () => {
    const bundle = changed(await dsseBundle(await corp.identitySigner(), statement(HEX), [corp.logged()]), (copy) =>
      copy.verificationMaterial.tlogEntries.push({ ...copy.verificationMaterial.tlogEntries[0], inclusionPromise: undefined } as never),
    );
    expect(judge(bundled(bundle), workflowAuthority({ tlog: 2 }), grounds(clock, corp.trustRoot))).toBe("log-entry-duplicate");
  });

  test("a log and a timestamp authority are two who tell the time; one timestamp twice is refused", async () => {
    const signer = await corp.identitySigner();
    const twoTimes = workflowAuthority({ timestamps: 2 });
    const on = grounds(clock, corp.trustRoot);
    expect(judge(bundled(await dsseBundle(signer, statement(HEX), [corp.logged(), corp.timestamped()])), twoTimes, on)).toBe("ok");
    expect(judge(bundled(await dsseBundle(signer, statement(HEX), [corp.logged()])), twoTimes, on)).toBe("timestamp-missing");
    const twice = await dsseBundle(signer, statement(HEX), [corp.timestamped(), corp.timestamped(), corp.logged()]);
    expect(judge(bundled(twice), twoTimes, on)).toBe("timestamp-duplicate");
  });

  test("two timestamps of one authority, at different times, are one", async () => {
    const timestampClock = new Date(clock);
    const later = await SigstoreInstance.start({ clock, timestampClock });
    const once = await dsseBundle(await later.identitySigner(), statement(HEX), [later.timestamped()]);
    timestampClock.setTime(clock.getTime() + 60_000);
    const { dsseEnvelope } = changed(once, () => undefined);
    const second = await later.timestamp(Buffer.from(dsseEnvelope.signatures[0]?.sig ?? "", "base64"));
    const bundle = changed(once, ({ verificationMaterial: { timestampVerificationData } }) =>
      timestampVerificationData.rfc3161Timestamps.push({ signedTimestamp: second.toString("base64") }),
    );
    const on = grounds(clock, later.trustRoot);
    expect(judge(bundled(bundle), workflowAuthority({ tlog: "ignore", timestamps: 2 }), on)).toBe("timestamp-missing");
    expect(judge(bundled(bundle), workflowAuthority({ tlog: "ignore", timestamps: 1 }), on)).toBe("ok");
  });
});

/** The outcome of a key's statement with a log entry of this body. */
async function judgeEntry(bodyOf: (content: Content) => Body): Promise<string> {
  const bundle = bundleFromJSON(await dsseBundle(key, statement(HEX)));
  bundle.verificationMaterial.tlogEntries = [corp.log.entry(bodyOf(bundle.content))];
  return judge(bundled(bundleToJSON(bundle)), keyAuthority([key.pem], { tlog: 1 }), grounds(clock, corp.trustRoot));
}
type Body = ReturnType<typeof entryBody>;
type Content = Parameters<typeof entryBody>[1];

describe("a log entry that is about something else", () => {
  test("another payload", async () => {
    const elsewhere = bundleFromJSON(await dsseBundle(key, statement(OTHER_HEX))).content;
    expect(await judgeEntry(() => entryBody("v1", elsewhere, key.pem))).toBe("log-entry-mismatch");
  });

  test("another kind of entry", async () => {
    expect(await judgeEntry(() => ({ apiVersion: "0.0.1", kind: "rpm", spec: {} }))).toBe("log-entry-mismatch");
  });

  test("another key, for which whoever watches the log would look in vain", async () => {
    expect(await judgeEntry((content) => entryBody("v1", content, key.pem))).toBe("ok");
    expect(await judgeEntry((content) => entryBody("v1", content, keySigner().pem))).toBe("log-entry-other-signer");
    expect(await judgeEntry((content) => entryBody("v1", content, "no key"))).toBe("log-entry-mismatch");
  });

  test.each(["v1", "intoto", "v2"] as const)("the bare key of a certificate, in the log as %s", async (kind) => {
    const certificate = await corp.certificate();
    const signer = certificateSigner(certificate);
    const bundle = bundleFromJSON(await dsseBundle(signer, statement(HEX), [corp.timestamped()]));
    const named = certificate.publicKey.export({ format: "pem", type: "spki" });
    bundle.verificationMaterial.tlogEntries = [corp.log.entry(entryBody(kind, bundle.content, named))];
    expect(judge(bundled(bundleToJSON(bundle)), workflowAuthority(), grounds(clock, corp.trustRoot))).toBe("log-entry-other-signer");
  });
});
