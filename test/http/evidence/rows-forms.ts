import { generateKeyPairSync } from "node:crypto";
import { BUNDLE_V01_MEDIA_TYPE, BUNDLE_V03_MEDIA_TYPE } from "@sigstore/bundle";
import type { KeyPair } from "../../trust/certificates.ts";
import { type BundleJson, type Layer, keyAuthority } from "../../trust/evidence.ts";
import { keySigner } from "../../trust/sigstore-instance.ts";
import {
  KEY,
  STRANGER,
  bundleRow,
  byKey,
  byWorkflow,
  certified,
  dsse,
  jsonLayer,
  keySigned,
  layerOf,
  message,
  tampered,
  tamperedEntry,
  workflowSigned,
} from "./signed.ts";
import type { Row } from "./world.ts";

const ec = (namedCurve: string): KeyPair => generateKeyPairSync("ec", { namedCurve });
const rsa = generateKeyPairSync("rsa", { modulusLength: 2_048 });
const p256 = ec("P-256");
const p384 = ec("P-384");

type AlgorithmShort = readonly [what: string, code: Row["code"], keys: KeyPair, hash: string | null];
const algorithms: readonly AlgorithmShort[] = [
  ["P-256 with SHA-384", "signature-invalid", p256, "sha384"],
  ["P-384 with SHA-384", "ok", p384, "sha384"],
  ["P-384 with SHA-256, as cosign did", "ok", p384, "sha256"],
  ["P-384 with SHA-1", "signature-invalid", p384, "sha1"],
  ["P-521 with SHA-512", "ok", ec("P-521"), "sha512"],
  ["Ed25519", "ok", generateKeyPairSync("ed25519"), null],
  ["RSA with SHA-256", "ok", rsa, "sha256"],
  ["RSA with SHA-1", "signature-invalid", rsa, "sha1"],
];

const algorithmRows: readonly Row[] = algorithms.flatMap(([what, code, keys, hash]) =>
  [dsse, message].map((sign) => ({
    what: `11: ${what}, over ${sign === dsse ? "a statement" : "the manifest"}`,
    code,
    demand: () => ({ authorities: [keyAuthority([keySigner(keys).pem])] }),
    evidence: async () => layerOf(await sign(keySigner(keys, { hash }))),
    good: async () => layerOf(await sign(keySigner(keys, { hash: "sha256" }))),
  })),
);

const chained: Row = {
  what: "12: a bundle of version 0.3 with a chain, of which only the signer's certificate is believed",
  code: "ok",
  demand: byWorkflow(),
  evidence: async (instances) => {
    const stranger = (await instances.other.certificate()).der.toString("base64");
    return layerOf(await tampered(certified(instances), ({ verificationMaterial }) => chain(verificationMaterial, stranger)));
  },
  good: null,
};

/** Bytes that are no evidence, and what is said of them. */
const unread: readonly (readonly [what: string, code: Row["code"], layer: Layer])[] = [
  ["null", "unknown-format", jsonLayer(null)],
  ["a list", "unknown-format", jsonLayer([])],
  ["a number", "unknown-format", jsonLayer(1)],
  ["an empty object", "unknown-format", jsonLayer({})],
  ["nothing at all", "malformed-json", { bytes: Buffer.alloc(0) }],
  ["what is no JSON", "malformed-json", { bytes: Buffer.from("signature") }],
  ["what is no text", "malformed-json", { bytes: Buffer.from([0xff, 0xfe]) }],
  ["a member twice", "malformed-json", { bytes: Buffer.from('{"mediaType":"a","mediaType":"b"}') }],
  ["nesting of forty", "malformed-json", { bytes: Buffer.from("[".repeat(40) + "]".repeat(40)) }],
  ["only the type of a bundle", "malformed-bundle", jsonLayer({ mediaType: BUNDLE_V03_MEDIA_TYPE })],
  ["material that is none", "malformed-bundle", jsonLayer({ mediaType: BUNDLE_V03_MEDIA_TYPE, verificationMaterial: 7 })],
  [
    "an unknown version",
    "malformed-bundle",
    jsonLayer({ mediaType: "application/vnd.dev.sigstore.bundle.v0.9+json", verificationMaterial: {} }),
  ],
];

const repeat = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value);
const bundles: readonly (readonly [what: string, change: (copy: BundleJson) => unknown, code?: Row["code"]])[] = [
  ["two contents", (copy) => (copy.messageSignature = { messageDigest: { algorithm: "SHA2_256", digest: "AAAA" }, signature: "AAAA" })],
  ["two kinds of key", (copy) => (copy.verificationMaterial.certificate = { rawBytes: "AAAA" })],
  ["no key", (copy) => delete copy.verificationMaterial.publicKey],
  ["two signatures", ({ dsseEnvelope: { signatures } }) => signatures.push(...signatures)],
  ["no signature", (copy) => (copy.dsseEnvelope.signatures = [])],
  ["an empty payload", (copy) => (copy.dsseEnvelope.payload = "")],
  ["a proof of inclusion that lacks the checkpoint, in the oldest version", withoutCheckpoint],
  [
    "nine timestamps",
    ({ verificationMaterial }) =>
      (verificationMaterial.timestampVerificationData = { rfc3161Timestamps: repeat(9, { signedTimestamp: "AAAA" }) }),
  ],
];

type Change = readonly [what: string, code: Row["code"], change: (copy: BundleJson) => unknown];
const ENVELOPE =
  (note: string) =>
  (copy: BundleJson): void => {
    for (const { inclusionProof } of copy.verificationMaterial.tlogEntries)
      if (inclusionProof) inclusionProof.checkpoint = { envelope: note };
  };
const broken: readonly Change[] = [
  ["a certificate that is none", "malformed-certificate", (copy) => (copy.verificationMaterial.certificate = { rawBytes: "AAAA" })],
  ["a checkpoint that is none", "log-proof-invalid", ENVELOPE("x\nnotanumber\nAA==\n\n\u2014 rekor.corp.example AAAAAAAA\n")],
  ["a checkpoint by a name that is a pattern", "log-proof-invalid", renameCheckpoint],
  [
    "a timestamp that is none",
    "timestamp-malformed",
    (copy) => (copy.verificationMaterial.timestampVerificationData = { rfc3161Timestamps: [{ signedTimestamp: "AAAA" }] }),
  ],
];

const hints: readonly string[] = ["", "key-0", "__proto__", "x".repeat(10_000)];

/** What evidence is made of: numbers 11 to 14 and 17 of trust.md §2.3. */
export const FORM_ROWS: readonly Row[] = [
  ...algorithmRows,
  chained,
  ...unread.map(([what, code, layer]): Row => ({
    what: `13: ${what}`,
    code,
    demand: byKey(),
    evidence: async () => layer,
    good: keySigned,
  })),
  ...bundles.map(([what, change]) =>
    bundleRow([`13: a bundle with ${what}`, "malformed-bundle", () => tampered(dsse(KEY), change)], byKey(), keySigned),
  ),
  bundleRow(
    [
      "13: a bundle with nine log entries",
      "too-many-log-entries",
      ({ corp }) =>
        tampered(dsse(KEY, [corp.logged()]), ({ verificationMaterial }) => {
          verificationMaterial.tlogEntries = verificationMaterial.tlogEntries.flatMap((entry) => repeat(9, entry));
        }),
    ],
    byKey(),
    keySigned,
  ),
  ...broken.map(([what, code, change]) =>
    bundleRow([`13: a bundle with ${what}`, code, (instances) => tampered(certified(instances), change)], byWorkflow(), workflowSigned),
  ),
  bundleRow(
    [
      "13: a log entry whose place is no number",
      "log-proof-invalid",
      (instances) =>
        tamperedEntry(certified(instances), ({ inclusionProof }) => ({ inclusionProof: { ...inclusionProof, logIndex: "seven" } })),
    ],
    byWorkflow(),
    workflowSigned,
  ),
  bundleRow(
    [
      "13: a log entry whose time is no number",
      "certificate-untrusted",
      (instances) => tamperedEntry(certified(instances), () => ({ integratedTime: "then" })),
    ],
    byWorkflow(),
    workflowSigned,
  ),
  ...hints.map((hint) =>
    bundleRow(
      [`14: the hint ${JSON.stringify(hint.slice(0, 12))} of another key`, "signature-invalid", () => hinted(STRANGER.pem, hint)],
      byKey(),
      keySigned,
    ),
  ),
  ...hints.map((hint) =>
    bundleRow([`14: the hint ${JSON.stringify(hint.slice(0, 12))} of the right key`, "ok", () => hinted(KEY.pem, hint)], byKey(), null),
  ),
  bundleRow(["17: a signature over the manifest in a bundle of version 0.2", "ok", () => message(KEY)], byKey(), null),
];

async function hinted(pem: string, hint: string): Promise<object> {
  return tampered(dsse(pem === KEY.pem ? KEY : STRANGER), ({ verificationMaterial }) => {
    verificationMaterial.publicKey = { hint };
  });
}

function withoutCheckpoint(copy: BundleJson): void {
  const entry = {
    logIndex: "0",
    logId: { keyId: "AAAA" },
    kindVersion: { kind: "dsse", version: "0.0.1" },
    inclusionPromise: { signedEntryTimestamp: "AAAA" },
    inclusionProof: { logIndex: "0", hashes: [] },
    canonicalizedBody: "AAAA",
  };
  copy.mediaType = BUNDLE_V01_MEDIA_TYPE;
  copy.verificationMaterial.tlogEntries = [entry as never];
}

function chain(material: BundleJson["verificationMaterial"], stranger: string): void {
  material.x509CertificateChain = { certificates: [{ rawBytes: material.certificate?.rawBytes ?? "" }, { rawBytes: stranger }] };
  delete material.certificate;
}

function renameCheckpoint({ verificationMaterial: { tlogEntries } }: BundleJson): void {
  for (const { inclusionProof } of tlogEntries) {
    const envelope = inclusionProof?.checkpoint.envelope.replace("\u2014 rekor.corp.example", "\u2014 .*") ?? "";
    if (inclusionProof) inclusionProof.checkpoint = { envelope };
  }
}
