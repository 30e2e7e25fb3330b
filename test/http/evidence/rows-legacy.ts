import type { Annotations } from "../../../src/oci/descriptor.ts";
import { HEX, type Layer, OTHER_HEX, SUBJECT, keyAuthority, workflowAuthority } from "../../trust/evidence.ts";
import {
  BUNDLE,
  CERTIFICATE,
  SIGNATURE,
  SIMPLE_SIGNING,
  TIMESTAMP,
  attestationLayer,
  claim,
  signatureLayer,
} from "../../trust/legacy-layers.ts";
import { statement } from "../../trust/sigstore-instance.ts";
import { KEY, STRANGER, jsonLayer } from "./signed.ts";
import type { Demand, Instances, Row } from "./world.ts";

const FORMATS = { formats: ["cosign-legacy"] };
const SCAN = "https://example.org/modelscan/v1";
const byKey = (): Demand => ({ authorities: [keyAuthority([KEY.pem])], evidence: { kind: "signature", ...FORMATS } });
const byWorkflow = (): Demand => ({ authorities: [workflowAuthority()], evidence: { kind: "signature", ...FORMATS } });
const scanned = (): Demand => ({
  authorities: [keyAuthority([KEY.pem])],
  evidence: { kind: "attestation", predicateType: SCAN, where: [{ path: "/result", op: "eq", value: "clean" }], ...FORMATS },
});

/** Under the tags by which cosign attached signatures and attestations before there were referrers. */
const sig = (...layers: readonly Layer[]): { layers: readonly Layer[]; tag: string } => ({ layers, tag: `sha256-${HEX}.sig` });
const att = (...layers: readonly Layer[]): { layers: readonly Layer[]; tag: string } => ({ layers, tag: `sha256-${HEX}.att` });
const without = ({ annotations, ...layer }: Layer, change: Annotations): Layer => ({
  ...layer,
  annotations: { ...annotations, ...change },
});

type LegacyShort = readonly [what: string, code: Row["code"], layer: (instances: Instances) => Promise<Layer>];
const annotated = (annotations: Annotations) => async (): Promise<Layer> => ({ bytes: claim(), mediaType: SIMPLE_SIGNING, annotations });

const signatures: readonly LegacyShort[] = [
  ["by the key", "ok", () => signatureLayer(KEY)],
  ["by the key, whatever its layer's type", "ok", async () => ({ ...(await signatureLayer(KEY)), mediaType: "application/octet-stream" })],
  ["about the artifact's SHA-512", "ok", () => signatureLayer(KEY, claim(`sha512:${SUBJECT.digests.sha512}`))],
  ["with null for what there is not", "ok", async () => without(await signatureLayer(KEY), { [BUNDLE]: "null", [TIMESTAMP]: "null" })],
  ["by a key that nobody named", "signature-invalid", () => signatureLayer(STRANGER)],
  ["about another artifact", "subject-mismatch", () => signatureLayer(KEY, claim(`sha256:${OTHER_HEX}`))],
  ["about a digest without an algorithm", "subject-mismatch", () => signatureLayer(KEY, claim(HEX))],
  ["about a digest with more behind it", "subject-mismatch", () => signatureLayer(KEY, claim(`sha256:${HEX}:x`))],
  ["of another type", "legacy-claim", () => signatureLayer(KEY, claim(undefined, "atomic container signature"))],
  ["about no image", "legacy-claim", () => signatureLayer(KEY, Buffer.from('{"critical":{"type":"cosign container image signature"}}'))],
  [
    "over another claim",
    "signature-invalid",
    async () => ({ ...(await signatureLayer(KEY)), bytes: Buffer.from(claim().toString().replace("models/demo", "models/else")) }),
  ],
  ["without a signature", "malformed-legacy-signature", annotated({})],
  ["with a certificate that is none", "malformed-legacy-signature", annotated({ [SIGNATURE]: "AAAA", [CERTIFICATE]: "-----BEGIN-----" })],
  ["with a log entry that is none", "malformed-legacy-signature", annotated({ [SIGNATURE]: "AAAA", [BUNDLE]: "{" })],
  ["with a timestamp that is none", "malformed-legacy-signature", annotated({ [SIGNATURE]: "AAAA", [TIMESTAMP]: "[]" })],
];

const workflowSignatures: readonly LegacyShort[] = [
  ["by the workflow, in the log", "ok", async ({ corp }) => signatureLayer(await corp.identitySigner(), claim(), [corp.logged()])],
  [
    "by the workflow, out of the log",
    "timestamp-missing",
    async ({ corp }) => without(await signatureLayer(await corp.identitySigner(), claim(), [corp.logged()]), { [BUNDLE]: "" }),
  ],
  [
    "by the workflow, with another's log entry",
    "log-entry-mismatch",
    async ({ corp }) => {
      const signer = await corp.identitySigner();
      const other = await signatureLayer(signer, claim(`sha256:${OTHER_HEX}`), [corp.logged()]);
      return without(await signatureLayer(signer, claim(), [corp.logged()]), { [BUNDLE]: other.annotations[BUNDLE] ?? "" });
    },
  ],
  [
    "by the workflow, without its certificate",
    "other-signer-type",
    async ({ corp }) => without(await signatureLayer(await corp.identitySigner(), claim(), [corp.logged()]), { [CERTIFICATE]: "" }),
  ],
];

const clean = statement(HEX, SCAN, { result: "clean" });
const attestations: readonly LegacyShort[] = [
  ["of a clean scan", "ok", () => attestationLayer(KEY, clean)],
  ["of a scan that found something", "condition-not-met", () => attestationLayer(KEY, statement(HEX, SCAN, { result: "infected" }))],
  [
    "of something else",
    "other-predicate-type",
    () => attestationLayer(KEY, statement(HEX, "https://example.org/other/v1", { result: "clean" })),
  ],
  ["about another artifact", "subject-mismatch", () => attestationLayer(KEY, statement(OTHER_HEX, SCAN, { result: "clean" }))],
  ["by a key that nobody named", "signature-invalid", () => attestationLayer(STRANGER, clean)],
  [
    "without a signature",
    "malformed-legacy-signature",
    async () => jsonLayer({ payloadType: "application/vnd.in-toto+json", payload: "e30=", signatures: [] }),
  ],
  [
    "with two signatures",
    "malformed-legacy-signature",
    async () => jsonLayer({ payloadType: "application/vnd.in-toto+json", payload: "e30=", signatures: [{ sig: "AAAA" }, { sig: "AAAA" }] }),
  ],
];

/** What is said of cosign's older signatures and attestations (trust.md §3, 3); what is good comes as a referrer of the same layers. */
export const LEGACY_ROWS: readonly Row[] = [
  ...signatures.map((row) => rowOf(row, byKey, sig, async () => signatureLayer(KEY))),
  ...workflowSignatures.map((row) =>
    rowOf(row, byWorkflow, sig, async ({ corp }) => signatureLayer(await corp.identitySigner(), claim(), [corp.logged()])),
  ),
  ...attestations.map((row) => rowOf(row, scanned, att, async () => attestationLayer(KEY, clean))),
];

function rowOf([what, code, layer]: LegacyShort, demand: () => Demand, under: typeof sig, good: NonNullable<Row["good"]>): Row {
  const kind = under === att ? "an older attestation" : "an older signature";
  return { what: `${kind} ${what}`, code, demand, evidence: async (instances) => under(await layer(instances)), good };
}
