import * as x509 from "../../trust/certificates.ts";
import { WORKFLOW, identity } from "../../trust/sigstore-instance.ts";
import { bundleRow, byWorkflow, certified, workflowSigned } from "./signed.ts";
import type { Row } from "./world.ts";

const { codeSigning, serverAuth, any } = x509.PURPOSES;
const signs = x509.keyUsage(0x80);
const forCode = x509.purposes(codeSigning);

type CertificateShort = readonly [what: string, code: Row["code"], extensions: readonly Buffer[]];
const of = (...base: readonly Buffer[]): readonly Buffer[] => identity({ base });
const called = (...san: readonly Buffer[]): readonly Buffer[] => identity({ san });

const purposeRows: readonly CertificateShort[] = [
  ["code signing, among others", "ok", of(signs, x509.purposes(serverAuth, codeSigning))],
  ["no authority, as it says itself", "ok", of(x509.basicConstraints(false), signs, forCode)],
  ["TLS servers", "leaf-key-usage", of(signs, x509.purposes(serverAuth))],
  ["anything", "leaf-key-usage", of(signs, x509.purposes(any))],
  ["nothing that it says", "leaf-key-usage", of(signs)],
  ["agreeing on keys", "leaf-key-usage", of(x509.keyUsage(0x08), forCode)],
  ["signing certificates", "leaf-is-ca", of(x509.basicConstraints(true), x509.keyUsage(0x84), forCode)],
  ["an authority that may not sign certificates", "leaf-is-ca", of(x509.basicConstraints(true), signs, forCode)],
  [
    "something that must be understood",
    "unknown-critical-attribute",
    identity({ more: [x509.extension("1.2.3.4", x509.utf8("?"), true)] }),
  ],
  ["something that need not be understood", "ok", identity({ more: [x509.extension("1.2.3.4", x509.utf8("?"))] })],
  ["two purposes, in two extensions of one kind", "malformed-certificate", identity({ more: [x509.purposes(serverAuth)] })],
];

const nameRows: readonly CertificateShort[] = [
  ["an address besides", "leaf-names", called(x509.uri(WORKFLOW), x509.email("eve@evil.example"))],
  ["an address before", "leaf-names", called(x509.email("eve@evil.example"), x509.uri(WORKFLOW))],
  ["a second URI", "leaf-names", called(x509.uri(WORKFLOW), x509.uri("https://evil.example"))],
  ["the text as a host's name", "leaf-names", called(x509.dns(WORKFLOW))],
  ["the text as an address", "ok", called(x509.email(WORKFLOW))],
  ["no name", "leaf-names", called()],
  // The library drops the eighth bit, and would see the workflow.
  ["an eighth bit", "leaf-names", called(x509.uri(Buffer.from(Buffer.from(WORKFLOW).map((byte, at) => (at === 9 ? byte | 0x80 : byte)))))],
  ["a line end", "leaf-names", called(x509.uri(`${WORKFLOW}\n`))],
];

/** What certificates are for, and which names they have: numbers 5 and 6 of trust.md §2.3. */
export const CERTIFICATE_ROWS: readonly Row[] = [
  ...purposeRows.map(([what, code, extensions]) => row([`5: a certificate for ${what}`, code, extensions])),
  ...nameRows.map(([what, code, extensions]) => row([`6: a certificate with ${what}`, code, extensions])),
];

function row([what, code, extensions]: CertificateShort): Row {
  return bundleRow([what, code, (instances) => certified(instances, { extensions })], byWorkflow(), workflowSigned);
}
