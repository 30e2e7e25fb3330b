import { bundleFromJSON } from "@sigstore/bundle";
import type { Signer } from "@sigstore/sign";
import type { Annotations } from "../../src/oci/descriptor.ts";
import { HEX, type Layer } from "./evidence.ts";
import { dsseBundle, messageBundle } from "./sigstore-instance.ts";

export const SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json";
export const ENVELOPE = "application/vnd.dsse.envelope.v1+json";
export const SIGNATURE = "dev.cosignproject.cosign/signature";
export const CERTIFICATE = "dev.sigstore.cosign/certificate";
export const BUNDLE = "dev.sigstore.cosign/bundle";
export const TIMESTAMP = "dev.sigstore.cosign/rfc3161timestamp";

/** What cosign signs. */
export const claim = (digest = `sha256:${HEX}`, type = "cosign container image signature"): Buffer =>
  Buffer.from(
    JSON.stringify({
      critical: { identity: { "docker-reference": "registry.example/models/demo" }, image: { "docker-manifest-digest": digest }, type },
      optional: null,
    }),
  );

type Witnesses = Parameters<typeof messageBundle>[2];
type Proofs = ReturnType<typeof bundleFromJSON>["verificationMaterial"];

/** What cosign puts into the annotations of a layer. */
function proofAnnotations({ content, tlogEntries, timestampVerificationData }: Proofs): Record<string, string> {
  const [entry] = tlogEntries;
  const [timestamp] = timestampVerificationData?.rfc3161Timestamps ?? [];
  const chain = content.$case === "x509CertificateChain" ? content.x509CertificateChain.certificates[0] : undefined;
  const der = content.$case === "certificate" ? content.certificate.rawBytes : chain?.rawBytes;
  return {
    ...(der === undefined ? {} : { [CERTIFICATE]: `-----BEGIN CERTIFICATE-----\n${der.toString("base64")}\n-----END CERTIFICATE-----\n` }),
    ...(timestamp === undefined
      ? {}
      : { [TIMESTAMP]: JSON.stringify({ SignedRFC3161Timestamp: timestamp.signedTimestamp.toString("base64") }) }),
    ...(entry === undefined
      ? {}
      : {
          [BUNDLE]: JSON.stringify({
            SignedEntryTimestamp: entry.inclusionPromise?.signedEntryTimestamp.toString("base64"),
            Payload: {
              body: entry.canonicalizedBody.toString("base64"),
              integratedTime: Number(entry.integratedTime),
              logIndex: Number(entry.logIndex),
              logID: entry.logId.keyId.toString("hex"),
            },
          }),
        }),
  };
}

export async function signatureLayer(
  signer: Signer,
  payload = claim(),
  witnesses: Witnesses = [],
): Promise<Layer & { annotations: Annotations }> {
  const { content, verificationMaterial } = bundleFromJSON(await messageBundle(signer, payload, witnesses));
  const signature = content.$case === "messageSignature" ? content.messageSignature.signature.toString("base64") : "";
  return { bytes: payload, mediaType: SIMPLE_SIGNING, annotations: { [SIGNATURE]: signature, ...proofAnnotations(verificationMaterial) } };
}

export async function attestationLayer(
  signer: Signer,
  about: object,
  witnesses: Witnesses = [],
): Promise<Layer & { annotations: Annotations }> {
  const json = await dsseBundle(signer, about, witnesses);
  const { verificationMaterial } = bundleFromJSON(json);
  const bytes = Buffer.from(JSON.stringify(json.dsseEnvelope));
  return { bytes, mediaType: ENVELOPE, annotations: { [SIGNATURE]: "", ...proofAnnotations(verificationMaterial) } };
}
