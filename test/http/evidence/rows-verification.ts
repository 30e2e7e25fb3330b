import * as x509 from "../../trust/certificates.ts";
import { HEX, type Layer, OTHER_HEX } from "../../trust/evidence.ts";
import { dsseBundle, identity, keySigner, statement } from "../../trust/sigstore-instance.ts";
import {
  KEY,
  STRANGER,
  type Short,
  bundleRow,
  byKey,
  byWorkflow,
  certified,
  dsse,
  keySigned,
  layerOf,
  message,
  tampered,
  tamperedEntry,
  workflowSigned,
} from "./signed.ts";
import { type Instances, type Row, rootWith } from "./world.ts";

const base64 = (text: string | Buffer): string => Buffer.from(text).toString("base64");
const EVIL = "https://evil.example";

const keyRows: readonly Short[] = [
  ["a statement by the key", "ok", () => dsse(KEY)],
  ["a signature over the manifest by the key", "ok", () => message(KEY)],
  ["a signature over another manifest", "signature-invalid", () => message(KEY, [], Buffer.from("other"))],
  ["a statement about another artifact", "subject-mismatch", () => dsse(KEY, [], OTHER_HEX)],
  [
    "a statement of which the payload was changed",
    "signature-invalid",
    () => tampered(dsse(KEY), (copy) => (copy.dsseEnvelope.payload = base64(JSON.stringify(statement(HEX, EVIL))))),
  ],
  ["a payload that is no statement", "payload-type", () => dsseBundle(KEY, statement(HEX), [], "application/json")],
  [
    "a statement of which the payload's type was changed",
    "payload-type",
    () => tampered(dsse(KEY), (copy) => (copy.dsseEnvelope.payloadType = "text/plain")),
  ],
  [
    "a statement of which the signature was changed",
    "signature-invalid",
    () => tampered(dsse(KEY), (copy) => (copy.dsseEnvelope.signatures = [{ sig: base64("junk") }])),
  ],
  ["a statement by a key that nobody named", "signature-invalid", () => dsse(STRANGER)],
  ["a signature by a key that nobody named", "signature-invalid", () => message(STRANGER)],
  ["a statement by an identity", "other-signer-type", async ({ corp }) => dsse(await corp.identitySigner(), [corp.logged()])],
];

const workflowRows: readonly Short[] = [
  ["a statement by the workflow, in the log", "ok", async ({ corp }) => dsse(await corp.identitySigner(), [corp.logged()])],
  ["one that the log keeps in its older form", "ok", async ({ corp }) => dsse(await corp.identitySigner(), [corp.logged("intoto")])],
  [
    "one in the second version of the log, timestamped",
    "ok",
    async ({ corp }) => dsse(await corp.identitySigner(), [corp.logged("v2"), corp.timestamped()]),
  ],
  ["a signature over the manifest by the workflow", "ok", async ({ corp }) => message(await corp.identitySigner(), [corp.logged()])],
  [
    "one over another manifest",
    "signature-invalid",
    async ({ corp }) => message(await corp.identitySigner(), [corp.logged()], Buffer.from("other")),
  ],
  ["one about another artifact", "subject-mismatch", async ({ corp }) => dsse(await corp.identitySigner(), [corp.logged()], OTHER_HEX)],
  [
    "one of which the payload was changed",
    "signature-invalid",
    (instances) => tampered(certified(instances), (copy) => (copy.dsseEnvelope.payload = base64(JSON.stringify(statement(HEX, EVIL))))),
  ],
  [
    "one of which the body of the log entry was changed",
    "log-promise-invalid",
    (instances) => tamperedEntry(certified(instances), () => ({ canonicalizedBody: base64('{"kind":"dsse","apiVersion":"0.0.1"}') })),
  ],
  [
    "one of which the log's promise was changed",
    "log-promise-invalid",
    (instances) => tamperedEntry(certified(instances), () => ({ inclusionPromise: { signedEntryTimestamp: base64("junk") } })),
  ],
  [
    "one of another workflow",
    "identity-mismatch",
    (instances) => certified(instances, { extensions: identity({ san: [x509.uri(`${EVIL}/.ci/release.yml`)] }) }),
  ],
  ["one of another issuer", "identity-mismatch", (instances) => certified(instances, { extensions: identity({ issuer: EVIL }) })],
  [
    "one of a certificate by another authority",
    "certificate-untrusted",
    async ({ corp, other }) => dsse(await other.identitySigner(), [corp.logged()]),
  ],
  ["one without any time", "timestamp-missing", async ({ corp }) => dsse(await corp.identitySigner())],
  [
    "one with a time that its log did not promise",
    "timestamp-missing",
    (instances) => tamperedEntry(certified(instances), () => ({ inclusionPromise: undefined })),
  ],
  ["one that is in no log", "log-entry-missing", async ({ corp }) => dsse(await corp.identitySigner(), [corp.timestamped()])],
  ["a statement by a key", "other-signer-type", () => dsse(KEY)],
];

const limitedKey = (limits: object) =>
  byKey({
    keys: [
      { id: "key", pem: KEY.pem, ...limits },
      { id: "spare", pem: SPARE.pem },
    ],
    timestamps: 1,
  });
const SPARE = keySigner();
const timestamped = async ({ corp }: Instances): Promise<Layer> => layerOf(await dsse(KEY, [corp.timestamped()]));
const bySpare = async ({ corp }: Instances): Promise<Layer> => layerOf(await dsse(SPARE, [corp.timestamped()]));

const timeRows: readonly Row[] = [
  {
    what: "a certificate that has ended meanwhile, timestamped before",
    code: "ok",
    demand: byWorkflow({ tlog: "ignore" }),
    evidence: async ({ corp }) => layerOf(await dsse(await corp.identitySigner(), [corp.timestamped()])),
    good: null,
  },
  {
    what: "a certificate that had ended when it was timestamped",
    code: "certificate-expired",
    demand: ({ corp, late }) =>
      byWorkflow(
        { tlog: "ignore" },
        {
          root: rootWith(corp.document, {
            timestampAuthorities: [...corp.document.timestampAuthorities, ...late.document.timestampAuthorities],
          }),
        },
      )(),
    evidence: async ({ corp, late }) => layerOf(await dsse(await corp.identitySigner(), [late.timestamped()])),
    good: async ({ corp }) => layerOf(await dsse(await corp.identitySigner(), [corp.timestamped()])),
  },
  {
    what: "a key that had ended when it was timestamped",
    code: "key-not-valid-then",
    demand: limitedKey({ validUntil: "2020-01-01T00:00:00Z" }),
    evidence: timestamped,
    good: bySpare,
  },
  {
    what: "a key that had been revoked when it was timestamped",
    code: "key-not-valid-then",
    demand: limitedKey({ revokedAt: "2020-01-01T00:00:00Z" }),
    evidence: timestamped,
    good: bySpare,
  },
  {
    what: "a key that had not begun when it was timestamped",
    code: "key-not-valid-then",
    demand: limitedKey({ validFrom: "2100-01-01T00:00:00Z" }),
    evidence: timestamped,
    good: bySpare,
  },
  {
    what: "a key that has been revoked since",
    code: "ok",
    demand: limitedKey({ revokedAt: "2100-01-01T00:00:00Z" }),
    evidence: timestamped,
    good: null,
  },
  {
    what: "a timestamp of a strange authority",
    code: "timestamp-invalid",
    demand: limitedKey({}),
    evidence: async ({ other }) => layerOf(await dsse(KEY, [other.timestamped()])),
    good: timestamped,
  },
];

/** Every case of trust.md §2.2. */
export const VERIFICATION_ROWS: readonly Row[] = [
  ...keyRows.map((row): Row => bundleRow(row, byKey(), keySigned)),
  ...workflowRows.map((row): Row => bundleRow(row, byWorkflow(), workflowSigned)),
  ...timeRows,
];
