import { X509Certificate } from "node:crypto";
import { type TrustedRoot, TrustedRoot as TrustedRootFormat } from "@sigstore/protobuf-specs";
import { type TrustMaterial, toTrustMaterial } from "@sigstore/verify";
import { z } from "zod";
import { type Digest, digestOf } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { JsonError, parseJson } from "../oci/json.ts";
import { PUBLIC_GOOD_ROOT } from "./public-good-root.ts";
import { RememberedCertificate } from "./remembered-certificate.ts";

/** The most bytes that a trusted root may have. */
export const MAX_TRUST_ROOT_BYTES = 1_048_576;
const MAX_INSTANCES = 64;
const MAX_CHAIN = 8;
/** What a checkpoint shows of a log's identifier; shorter ones could not be told apart. */
const LEAST_LOG_ID = 4;

/** The certificate authorities, logs and timestamp authorities of one Sigstore instance, known by the digest of the document they come from. */
export interface TrustRoot {
  readonly digest: Digest;
  readonly material: Omit<TrustMaterial, "publicKey">;
  /** Was it not updated for longer than the policy allows? */
  readonly isStale?: true;
}

/** Trust roots by the names that a policy gives them. */
export type TrustRoots = ReadonlyMap<string, TrustRoot>;

/** Trusts nobody: for keys that no log and no timestamp has to confirm. */
export const NO_TRUST_ROOT: TrustRoot["material"] = { certificateAuthorities: [], timestampAuthorities: [], tlogs: [], ctlogs: [] };

const instancesSchema = z.array(z.looseObject({})).max(MAX_INSTANCES, `must have at most ${MAX_INSTANCES} entries`).nullish();

const documentSchema = z.looseObject({
  mediaType: z
    .string("must be text")
    .regex(
      /^application\/vnd\.dev\.sigstore\.trustedroot(?:\+json;version=0\.[12]|\.v0\.[12]\+json)$/,
      "must be that of a trusted root, version 0.1 or 0.2",
    ),
  tlogs: instancesSchema,
  certificateAuthorities: instancesSchema,
  ctlogs: instancesSchema,
  timestampAuthorities: instancesSchema,
});

/** Reads a Sigstore trusted root, JSON of at most 1 MiB. Throws INVALID with the rule that it breaks. */
export function parseTrustRoot(bytes: Uint8Array): TrustRoot {
  if (bytes.length > MAX_TRUST_ROOT_BYTES) throw invalid(`it has more than ${MAX_TRUST_ROOT_BYTES} bytes`);
  const root = readDocument(bytes);
  for (const { certChain } of [...root.certificateAuthorities, ...root.timestampAuthorities]) checkChain(certChain?.certificates ?? []);
  for (const { logId, checkpointKeyId } of [...root.tlogs, ...root.ctlogs]) {
    if (((checkpointKeyId ?? logId)?.keyId.length ?? 0) < LEAST_LOG_ID) throw invalid("every log must have a logId");
  }
  return { digest: digestOf(bytes), material: materialOf(root) };
}

/** The public-good instance of Sigstore, as this release knows it. */
export function publicGoodRoot(): TrustRoot {
  return parseTrustRoot(Buffer.from(PUBLIC_GOOD_ROOT));
}

function readDocument(bytes: Uint8Array): TrustedRoot {
  const parsed = documentSchema.safeParse(parse(bytes));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw invalid(issue === undefined ? "it has not the form of one" : `${z.core.toDotPath(issue.path)}: ${issue.message}`);
  }
  try {
    return TrustedRootFormat.fromJSON(parsed.data);
  } catch (error) {
    throw invalid("a field has not the form that the format gives it", error);
  }
}

function parse(bytes: Uint8Array): unknown {
  try {
    return parseJson(bytes);
  } catch (error) {
    if (error instanceof JsonError) throw invalid(error.message, error);
    throw error;
  }
}

function checkChain(certificates: readonly { readonly rawBytes: Buffer }[]): void {
  if (certificates.length === 0 || certificates.length > MAX_CHAIN)
    throw invalid(`every authority must have 1 to ${MAX_CHAIN} certificates`);
  for (const { rawBytes } of certificates) {
    try {
      // Node's reader, besides that of the Sigstore library, which takes some certificates that are none.
      if (!new X509Certificate(rawBytes).raw.equals(rawBytes)) throw invalid("a certificate is followed by other bytes");
    } catch (error) {
      if (error instanceof RegistryError) throw error;
      throw invalid("a certificate is not one", error);
    }
  }
}

function materialOf(root: TrustedRoot): TrustRoot["material"] {
  try {
    const { certificateAuthorities, timestampAuthorities, tlogs, ctlogs } = toTrustMaterial(root, {});
    return {
      certificateAuthorities: certificateAuthorities.map(remembered),
      timestampAuthorities: timestampAuthorities.map(remembered),
      tlogs,
      ctlogs,
    };
  } catch (error) {
    throw invalid("a key or certificate cannot be read", error);
  }
}

/** The certificates of an authority last as long as the trust root; what was found out about them, too. */
function remembered<A extends TrustMaterial["certificateAuthorities"][number]>(authority: A): A {
  return { ...authority, certChain: authority.certChain.map((certificate) => RememberedCertificate.of(certificate)) };
}

function invalid(rule: string, cause?: unknown): RegistryError {
  return new RegistryError("INVALID", `the trusted root is invalid: ${rule}`, { cause });
}
