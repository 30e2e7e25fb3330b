import { bundleFromJSON, bundleToJSON } from "@sigstore/bundle";
import { COSIGN_SIGN } from "../../../src/trust/signed-claim.ts";
import * as x509 from "../../trust/certificates.ts";
import { type BundleJson, HEX, MODEL, OTHER_HEX, changed } from "../../trust/evidence.ts";
import { ISSUER, ISSUER_V2, WORKFLOW, dsseBundle, identity, messageBundle, statement } from "../../trust/sigstore-instance.ts";
import { entryBody } from "../../trust/transparency-log.ts";
import { KEY, type Short, bundleRow, byKey, byWorkflow, certified, keySigned, layerOf, message, workflowSigned } from "./signed.ts";
import type { Instances, Row } from "./world.ts";

const stated = (change: object) => (): Promise<object> => dsseBundle(KEY, { ...statement(HEX, COSIGN_SIGN), ...change });

const statementRows: readonly Short[] = [
  ["of version 0.1", "ok", stated({ _type: "https://in-toto.io/Statement/v0.1" })],
  ["of another type", "statement-type", stated({ _type: "https://in-toto.io/Statement/v2" })],
  ["without a type", "malformed-payload", stated({ _type: undefined })],
  ["without a predicate type", "malformed-payload", stated({ predicateType: undefined })],
  ["that is no JSON", "malformed-payload", () => dsseBundle(KEY, Buffer.from("yes"))],
  ["with a member twice", "malformed-payload", () => dsseBundle(KEY, Buffer.from('{"_type":"a","_type":"b"}'))],
  ["without subjects", "subject-mismatch", stated({ subject: [] })],
  ["with the artifact as second subject", "ok", stated({ subject: [{ digest: { sha256: OTHER_HEX } }, { digest: { sha256: HEX } }] })],
  ["with a digest in upper case", "subject-mismatch", stated({ subject: [{ digest: { sha256: HEX.toUpperCase() } }] })],
  ["with the digest under another algorithm's name", "subject-mismatch", stated({ subject: [{ digest: { sha3_256: HEX } }] })],
  [
    "with digests that contradict each other",
    "subject-mismatch",
    stated({ subject: [{ digest: { sha256: HEX, sha512: "0".repeat(128) } }] }),
  ],
  ["with the digest as a prototype's member", "subject-mismatch", stated({ subject: [{ digest: { ["__proto__"]: { sha256: HEX } } }] })],
  ["of another predicate type", "other-kind", stated({ predicateType: "https://slsa.dev/verification_summary/v1" })],
  ["whose predicate type begins like cosign's", "other-kind", stated({ predicateType: `${COSIGN_SIGN}/` })],
];

const lie = ({ messageSignature }: BundleJson): unknown => (messageSignature.messageDigest.digest = Buffer.alloc(32, 7).toString("base64"));

const digestRows: readonly Row[] = [
  bundleRow(
    ["a message's digest that is another one, as nobody reads it", "ok", async () => changed(await message(KEY), lie)],
    byKey(),
    null,
  ),
  bundleRow(
    ["a message's digest that fits a log entry about other bytes", "log-entry-mismatch", async (instances) => lyingEntry(instances)],
    byWorkflow(),
    workflowSigned,
  ),
];

/** A signature over the manifest, with a log entry about the digest that the bundle states instead. */
async function lyingEntry({ corp }: Instances): Promise<object> {
  const certificate = await corp.certificate();
  const signer = await corp.identitySigner({ keys: { publicKey: certificate.publicKey, privateKey: certificate.key } });
  const lying = bundleFromJSON(changed(await messageBundle(signer, MODEL.bytes), lie));
  const { content } = lying.verificationMaterial;
  const der = content.$case === "x509CertificateChain" ? content.x509CertificateChain.certificates[0]?.rawBytes : undefined;
  lying.verificationMaterial.tlogEntries = [corp.log.entry(entryBody("v1", lying.content, x509.pemOf(der ?? Buffer.alloc(0))))];
  return bundleToJSON(lying);
}

/** A demand for an identity, a certificate for the workflow, and the name that would have met it. */
type IdentityShort = readonly [what: string, code: Row["code"], subject: object, meeting: string];
const LONG = `${"a".repeat(1_900)}c`;

const identityRows: readonly IdentityShort[] = [
  ["a pattern for all of it", "ok", { glob: "https://git.corp.example/*/demo/.ci/release.yml@refs/heads/*" }, WORKFLOW],
  ["a part of it", "identity-mismatch", { exact: "git.corp.example" }, "git.corp.example"],
  ["a regular expression", "identity-mismatch", { exact: ".*" }, ".*"],
  ["a pattern for its beginning", "identity-mismatch", { glob: "https://git.corp.example/*" }, "https://git.corp.example/x"],
  ["a pattern with dots for anything", "identity-mismatch", { glob: WORKFLOW.replaceAll(".", "?") }, WORKFLOW.replaceAll(".", "?")],
];

const REPOSITORY = "1.3.6.1.4.1.57264.1.12";
const demanding = (subject: object, more: object = {}): Row["demand"] =>
  byWorkflow({ identities: [{ issuer: { exact: ISSUER }, subject, ...more }] });
const named =
  (name: string, more: readonly Buffer[] = []): NonNullable<Row["good"]> =>
  async (instances) =>
    layerOf(await certified(instances, { extensions: [...identity({ san: [x509.uri(name)] }), ...more] }));

const extensionRows: readonly Row[] = [
  {
    what: "3: the certificate lacks an extension that is asked for",
    code: "identity-mismatch",
    demand: demanding({ exact: WORKFLOW }, { extensions: { [REPOSITORY]: "ml/demo" } }),
    evidence: named(WORKFLOW),
    good: named(WORKFLOW, [x509.extension(REPOSITORY, x509.utf8("ml/demo"))]),
  },
  {
    what: "3: the certificate has the extension with another text",
    code: "identity-mismatch",
    demand: demanding({ exact: WORKFLOW }, { extensions: { [REPOSITORY]: "ml/demo" } }),
    evidence: named(WORKFLOW, [x509.extension(REPOSITORY, x509.utf8("ml/other"))]),
    good: named(WORKFLOW, [x509.extension(REPOSITORY, x509.utf8("ml/demo"))]),
  },
  {
    what: "3: the certificate's newer extension for the issuer cannot be read",
    code: "leaf-names",
    demand: byWorkflow(),
    evidence: async (instances) => {
      const unreadable = x509.extension(ISSUER_V2, x509.der(0x13, Buffer.from(ISSUER)));
      return layerOf(await certified(instances, { extensions: [...x509.SIGNER, x509.names(x509.uri(WORKFLOW)), unreadable] }));
    },
    good: workflowSigned,
  },
  {
    what: "4: a pattern over which a regular expression would run for ever",
    code: "identity-mismatch",
    demand: demanding({ glob: "**a**a**a**a**a**a**a**b" }),
    evidence: named(LONG),
    good: named("aaaaaaaaaaab"),
  },
];

/** What statements say, and who certificates are of: numbers 1 to 4 of trust.md §2.3. */
export const STATEMENT_ROWS: readonly Row[] = [
  ...statementRows.map(([what, code, evidence]) => bundleRow([`1: a statement ${what}`, code, evidence], byKey(), keySigned)),
  ...digestRows.map((row) => ({ ...row, what: `2: ${row.what}` })),
  ...identityRows.map(([what, code, subject, meeting]) => ({
    what: `3: an identity that is ${what}`,
    code,
    demand: demanding(subject),
    evidence: named(WORKFLOW),
    good: named(meeting),
  })),
  ...extensionRows,
];
