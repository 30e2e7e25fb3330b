import { X509Certificate, createPublicKey } from "node:crypto";
import type { Bundle } from "@sigstore/bundle";
import type { TrustMaterial } from "@sigstore/verify";
import { z } from "zod";
import { JsonError, parseJson } from "../oci/json.ts";
import { Refusal } from "./reason.ts";

/** An entry of a transparency log, as bundles carry it. */
export type LogEntry = Bundle["verificationMaterial"]["tlogEntries"][number];

/** What entries that the Sigstore verifier has accepted must be besides. */
export interface LogDemands {
  readonly logs: TrustMaterial["tlogs"];
  /** In how many different logs the signature must be. */
  readonly threshold: number;
  /** When it was signed at the latest, as far as anything trusted tells; else now. */
  readonly at: Date;
  /** The signer's certificate, or its key as SubjectPublicKeyInfo, in DER; asked for only when there are entries. */
  readonly signer: () => Buffer;
}

/** What the Sigstore verifier leaves to its callers of entries that it has accepted; throws a `Refusal`. */
export function checkLogEntries(entries: readonly LogEntry[], { logs, threshold, at, signer }: LogDemands): void {
  // Two entries of one log, of different kinds, prove no more than one (trust.md §2.3, 18).
  if (new Set(entries.map(({ logId }) => logId.keyId.toString("hex"))).size < threshold) throw new Refusal("log-entry-missing");
  for (const entry of entries) {
    if (!signerOf(entry).equals(signer())) throw new Refusal("log-entry-other-signer");
    // The verifier has looked at the log's key where a promise tells the time, and only there (trust.md §2.3, 9).
    if (entry.inclusionPromise === undefined && !isInUse(entry, logs, at)) throw new Refusal("log-key-expired");
  }
}

function isInUse({ logId }: LogEntry, logs: TrustMaterial["tlogs"], at: Date): boolean {
  return logs.some(({ logID, validFor }) => logID.equals(logId.keyId) && validFor.start <= at && at <= validFor.end);
}

const pemSchema = z.string().transform((base64) => Buffer.from(base64, "base64").toString("latin1"));
const verifierSchema = z.looseObject({
  x509Certificate: z.looseObject({ rawBytes: z.string() }).nullish(),
  publicKey: z.looseObject({ rawBytes: z.string() }).nullish(),
});
/** Where the entries of each kind and version name the signer: in PEM in the first version of the log, in DER in the second. */
const SIGNER_IN = {
  "hashedrekord/0.0.1": z
    .looseObject({ signature: z.looseObject({ publicKey: z.looseObject({ content: pemSchema }) }) })
    .transform(({ signature }) => derOf(signature.publicKey.content)),
  "dsse/0.0.1": z
    .looseObject({ signatures: z.tuple([z.looseObject({ verifier: pemSchema })]) })
    .transform(({ signatures }) => derOf(signatures[0].verifier)),
  "intoto/0.0.2": z
    .looseObject({
      content: z.looseObject({ envelope: z.looseObject({ signatures: z.tuple([z.looseObject({ publicKey: pemSchema })]) }) }),
    })
    .transform(({ content }) => derOf(content.envelope.signatures[0].publicKey)),
  "hashedrekord/0.0.2": z
    .looseObject({ hashedRekordV002: z.looseObject({ signature: z.looseObject({ verifier: verifierSchema }) }) })
    .transform(({ hashedRekordV002 }) => rawBytesOf(hashedRekordV002.signature.verifier)),
  "dsse/0.0.2": z
    .looseObject({ dsseV002: z.looseObject({ signatures: z.tuple([z.looseObject({ verifier: verifierSchema })]) }) })
    .transform(({ dsseV002 }) => rawBytesOf(dsseV002.signatures[0].verifier)),
};
const bodySchema = z.looseObject({ spec: z.unknown() });

/**
 * Who signed, as the log has it. Whoever watches the log for misuse of a key or identity sees only this: a thief could have the signature
 * logged under a key made to fit it, which no other check would notice.
 */
function signerOf({ kindVersion: { kind, version }, canonicalizedBody }: LogEntry): Buffer {
  const schema: z.ZodType<Buffer> | undefined = Object.entries(SIGNER_IN).find(([name]) => name === `${kind}/${version}`)?.[1];
  const body = bodySchema.safeParse(parse(canonicalizedBody));
  const signer = schema?.safeParse(body.data?.spec);
  if (signer?.data === undefined) throw new Refusal("log-entry-mismatch");
  return signer.data;
}

function parse(body: Buffer): unknown {
  try {
    return parseJson(body);
  } catch (error) {
    if (error instanceof JsonError) throw new Refusal("log-entry-mismatch");
    throw error;
  }
}

function rawBytesOf({ x509Certificate, publicKey }: z.infer<typeof verifierSchema>): Buffer {
  return Buffer.from((x509Certificate ?? publicKey)?.rawBytes ?? "", "base64");
}

function derOf(pem: string): Buffer {
  try {
    return pem.includes("-----BEGIN CERTIFICATE-----")
      ? new X509Certificate(pem).raw
      : createPublicKey(pem).export({ format: "der", type: "spki" });
  } catch {
    throw new Refusal("log-entry-mismatch");
  }
}
