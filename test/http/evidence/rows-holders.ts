import { OCI_INDEX } from "../../../src/oci/media-types.ts";
import * as x509 from "../../trust/certificates.ts";
import { type Layer, OTHER_HEX, SUBJECT } from "../../trust/evidence.ts";
import {
  ENVELOPES,
  EXPIRY,
  NOTARY_ROOT,
  type NotationWish,
  SCHEME,
  TARGET,
  VALIDITY,
  cbor,
  holder,
  holderOf,
  tokenIn,
} from "../../trust/notation-envelopes.ts";
import { wholeSecond } from "../../trust/sigstore-instance.ts";
import { byKey, jsonLayer, keySigned } from "./signed.ts";
import { HOLDERS } from "./rows-files.ts";
import type { Demand, Instances, Row } from "./world.ts";

const NOTATION = { kind: "signature", formats: ["notation"] };
const byHolder =
  (more: object = {}) =>
  (): Demand => ({ authorities: [{ ...HOLDERS, ...more }], evidence: NOTATION });

/** After the signatures of the instances, and hours before the registry's clock. */
const SINCE = new Date(wholeSecond().getTime() + 3_600_000);
const PAST = new Date("2021-01-01T00:00:00Z");
const FUTURE = new Date("2099-01-01T00:00:00Z");
const issued = (form: Partial<x509.CertificateForm>, issuer?: x509.Issued): x509.Issued => x509.issue({ ...VALIDITY, ...form }, issuer);
const authority = (form: Partial<x509.CertificateForm> = {}, issuer?: x509.Issued): x509.Issued =>
  issued({ subject: [[x509.CN, "notary root"]], extensions: x509.AUTHORITY, ...form }, issuer);
const stranger = authority();
const SUBJECT_NAME = [
  [x509.CN, "release"],
  [x509.O, "Corp"],
] as const;
/** A signer below an authority of a kind that is below the pinned one. */
const below = (form: Partial<x509.CertificateForm>): NotationWish => {
  const between = authority({ subject: [[x509.CN, "between"]], ...form }, NOTARY_ROOT);
  const by = issued({ subject: SUBJECT_NAME, extensions: x509.SIGNER }, between);
  return { by, chain: [by, between, NOTARY_ROOT] };
};
const by = (form: Partial<x509.CertificateForm>, more: NotationWish = {}): NotationWish => ({ by: holderOf(form), ...more });

const { codeSigning, serverAuth } = x509.PURPOSES;
const wishes: readonly (readonly [what: string, code: Row["code"], wish: NotationWish])[] = [
  ["as it should be", "ok", {}],
  ["with ES384", "ok", by({ curve: "P-384" }, { algorithm: "ES384" })],
  ["with PS256", "ok", by({ rsaBits: 2_048 }, { algorithm: "PS256" })],
  ["with the algorithm of another key", "signature-invalid", { algorithm: "ES384" }],
  ["with PS512 by a key of 2048 bits", "signature-invalid", by({ rsaBits: 2_048 }, { algorithm: "PS512" })],
  ["with the chain of another signer", "signature-invalid", { chain: [holderOf(), NOTARY_ROOT] }],

  ["with its SHA-512", "ok", { target: { ...TARGET, digest: `sha512:${SUBJECT.digests.sha512}` } }],
  ["with another digest", "subject-mismatch", { target: { ...TARGET, digest: `sha256:${OTHER_HEX}` } }],
  ["with another size", "subject-mismatch", { target: { ...TARGET, size: TARGET.size + 1 } }],
  ["with another type", "subject-mismatch", { target: { ...TARGET, mediaType: OCI_INDEX } }],
  ["with no digest", "malformed-payload", { target: { mediaType: TARGET.mediaType, size: TARGET.size } }],

  ["until a time that has come", "signature-expired", { attributes: { [EXPIRY]: PAST.toISOString() }, critical: [SCHEME, EXPIRY] }],
  ["until a time that has not come", "ok", { attributes: { [EXPIRY]: FUTURE.toISOString() }, critical: [SCHEME, EXPIRY] }],
  ["until a time that others may overlook", "malformed-notation", { attributes: { [EXPIRY]: FUTURE.toISOString() } }],
  ["with a critical time that is not there", "malformed-notation", { critical: [SCHEME, EXPIRY] }],
  ["with a scheme that others may overlook", "malformed-notation", { attributes: { [EXPIRY]: FUTURE.toISOString() }, critical: [EXPIRY] }],
  ["with a plug-in that must look at it", "unknown-critical-attribute", { attributes: { plugin: "x" }, critical: [SCHEME, "plugin"] }],
  ["with an attribute that need not be understood", "ok", { attributes: { "org.example.note": "x" } }],
  ["in a scheme that tells its own time", "unsupported-format", { attributes: { [SCHEME]: "notary.x509.signingAuthority" } }],
  ["with a payload of another type", "payload-type", { attributes: { cty: "application/json" } }],

  ["below somebody else", "certificate-untrusted", { chain: [holder, stranger] }],
  ["below another root of the same name", "certificate-untrusted", byStranger()],
  ["below an authority that is none", "certificate-untrusted", below({ extensions: [x509.basicConstraints(false), x509.keyUsage(0x04)] })],
  [
    "below an authority for some names only",
    "certificate-untrusted",
    below({ extensions: [...x509.AUTHORITY, x509.extension("2.5.29.30", x509.sequence(), true)] }),
  ],
  ["below an authority", "ok", below({})],
  ["below an authority that has ended", "certificate-expired", below({ notAfter: PAST })],
  ["by a certificate that has ended", "certificate-expired", by({ notAfter: SINCE })],
  ["by a certificate that has not begun", "certificate-expired", by({ notBefore: FUTURE })],
  [
    "by a certificate of somebody else",
    "identity-mismatch",
    by({
      subject: [
        [x509.CN, "release"],
        [x509.O, "Other"],
      ],
    }),
  ],
  ["by a certificate with the name twice", "identity-mismatch", by({ subject: [...SUBJECT_NAME, [x509.O, "Corp"]] })],
  ["by a certificate for TLS servers", "leaf-key-usage", by({ extensions: [x509.keyUsage(0x80), x509.purposes(serverAuth)] })],
  ["by an authority itself", "leaf-is-ca", by({ extensions: [x509.keyUsage(0x84), x509.purposes(codeSigning)] })],
  [
    "by a certificate that must be understood",
    "unknown-critical-attribute",
    by({ extensions: [...x509.SIGNER, x509.extension("1.2.3.4", x509.utf8("?"), true)] }),
  ],
  ["by a certificate with a weak key", "unsupported-key", by({ rsaBits: 1_024 }, { algorithm: "PS256" })],
];

const timed = (): Demand => ({ authorities: [{ ...HOLDERS, trustRoot: "corp", timestamps: 1 }], evidence: NOTATION });
const timestamp =
  ({ corp }: Instances): NonNullable<NotationWish["timestamp"]> =>
  async (signature) =>
    tokenIn(await corp.timestamp(signature));
const times: readonly (readonly [what: string, code: Row["code"], wish: (instances: Instances) => NotationWish])[] = [
  ["by a certificate that has ended since", "ok", (instances) => by({ notAfter: SINCE }, { timestamp: timestamp(instances) })],
  ["by a certificate that had ended", "certificate-expired", (instances) => by({ notAfter: PAST }, { timestamp: timestamp(instances) })],
  ["without a timestamp", "timestamp-missing", () => ({})],
  ["with a timestamp that is none", "timestamp-malformed", () => ({ timestamp: async () => Buffer.alloc(200, 7) })],
  [
    "with a timestamp of another signature",
    "timestamp-invalid",
    ({ corp }) => ({ timestamp: async () => tokenIn(await corp.timestamp(Buffer.from("other"))) }),
  ],
];

/** What is said of Notation signatures, in both envelopes, and of the certificates that they need. */
export const HOLDER_ROWS: readonly Row[] = ENVELOPES.flatMap(([envelope, mediaType, make]) => {
  const layer = async (wish: NotationWish = {}): Promise<Layer> => ({ bytes: await make(wish), mediaType });
  const row = (what: string, code: Row["code"], more: Pick<Row, "demand" | "evidence" | "good">): Row => ({
    what: `${envelope} ${what}`,
    code,
    ...more,
  });
  return [
    ...wishes.map(([what, code, wish]) => row(what, code, { demand: byHolder(), evidence: () => layer(wish), good: () => layer() })),
    ...times.map(([what, code, wish]) =>
      row(what, code, {
        demand: timed,
        evidence: (instances) => layer(wish(instances)),
        good: (instances) => layer({ timestamp: timestamp(instances) }),
      }),
    ),
    row("where a key is asked for", "unsupported-format", {
      demand: byKey({}, { evidence: { kind: "signature", formats: ["notation", "bundle"] } }),
      evidence: () => layer(),
      good: keySigned,
    }),
  ];
});

const HEAD = { cty: "application/vnd.cncf.notary.payload.v1+json", crit: [SCHEME], [SCHEME]: "notary.x509" };
const base64Url = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
const jwsWith = (head: object, more: object = {}): Layer =>
  jsonLayer({
    payload: base64Url({}),
    protected: base64Url(head),
    header: { x5c: [holder.der.toString("base64")] },
    signature: "AAAA",
    ...more,
  });
const signature1 = (head: Parameters<typeof cbor>[0], ...rest: Parameters<typeof cbor>[0][]): Layer => ({
  bytes: cbor({ tag: 18, value: [cbor(head), new Map([[33, holder.der]]), Buffer.from("{}"), Buffer.from("x"), ...rest] }),
});

/** What is no Notation signature although it looks like one. */
const broken: readonly (readonly [what: string, code: Row["code"], layer: Layer])[] = [
  ["a JSON Web Signature without an algorithm", "malformed-notation", jwsWith(HEAD)],
  ["a JSON Web Signature by no algorithm", "malformed-notation", jwsWith({ ...HEAD, alg: "none" })],
  ["a JSON Web Signature by a shared secret", "malformed-notation", jwsWith({ ...HEAD, alg: "HS256" })],
  ["a JSON Web Signature without critical attributes", "malformed-notation", jwsWith({ ...HEAD, alg: "ES256", crit: undefined })],
  ["a JSON Web Signature without certificates", "malformed-notation", jwsWith({ ...HEAD, alg: "ES256" }, { header: {} })],
  ["a JSON Web Signature with more than one", "malformed-notation", jwsWith({ ...HEAD, alg: "ES256" }, { signatures: [] })],
  ["a CBOR signature by an algorithm that is not known", "unsupported-key", signature1(new Map([[1, -8]]))],
  ["a CBOR signature without an algorithm", "unsupported-key", signature1(new Map())],
  ["a CBOR signature without critical attributes", "malformed-notation", signature1(new Map([[1, -7]]))],
  ["a CBOR signature with five parts", "malformed-notation", signature1(new Map([[1, -7]]), 1)],
  ["a CBOR signature that is cut off", "malformed-notation", { bytes: Buffer.from([0xd2, 0x84]) }],
];

export const BROKEN_ENVELOPE_ROWS: readonly Row[] = broken.map(([what, code, layer]) => ({
  what,
  code,
  demand: byHolder(),
  evidence: async () => layer,
  good: async () => ({ bytes: await ENVELOPES[0][2](), mediaType: ENVELOPES[0][1] }),
}));

/** A chain to a root that has the pinned one's name and not its key. */
function byStranger(): NotationWish {
  const leaf = issued({ subject: SUBJECT_NAME, extensions: x509.SIGNER }, stranger);
  return { by: leaf, chain: [leaf, stranger] };
}
