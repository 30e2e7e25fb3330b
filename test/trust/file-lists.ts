import { createHash, sign } from "node:crypto";
import { BUNDLE_V03_MEDIA_TYPE } from "@sigstore/bundle";
import type { Annotations } from "../../src/oci/descriptor.ts";
import { MODEL_SIGNING } from "../../src/trust/oms.ts";
import type { Issued } from "./certificates.ts";
import type { Layer } from "./evidence.ts";
import { preAuthEncoding } from "./transparency-log.ts";

export const TITLE = "org.opencontainers.image.title";
export const FILEPATH = "org.cncf.model.filepath";
export const hash = (bytes: Buffer | string): string => createHash("sha256").update(bytes).digest("hex");

export const FILES: Readonly<Record<string, string>> = { "config.json": "{}", "tokenizer/vocab.txt": "a b c", "weights.safetensors": "W" };

/** A file as a layer, as oras names it. */
export const titled = (name: string, content: string, more: Annotations = {}): Layer => ({
  bytes: Buffer.from(content),
  annotations: { [TITLE]: name, ...more },
});
export const LAYERS = Object.entries(FILES).map(([name, content]) => titled(name, content));

export interface Resource {
  readonly name: string;
  readonly digest: string;
  readonly algorithm: string;
}
export const RESOURCES: readonly Resource[] = Object.entries(FILES).map(([name, content]) => ({
  name,
  digest: hash(content),
  algorithm: "sha256",
}));
const rootOf = (resources: readonly Resource[]): string => hash(Buffer.concat(resources.map(({ digest }) => Buffer.from(digest, "hex"))));

/** A signed list of files; by default that of `FILES`, as it should be. */
export function fileList({ resources = RESOURCES, serialization = {}, root = rootOf(resources) }: ListWish = {}): object {
  return {
    _type: "https://in-toto.io/Statement/v1",
    subject: [{ name: "model", digest: { sha256: root } }],
    predicateType: MODEL_SIGNING,
    predicate: { resources, serialization: { method: "files", hash_type: "sha256", allow_symlinks: false, ...serialization } },
  };
}
export interface ListWish {
  readonly resources?: readonly Resource[];
  readonly serialization?: object;
  readonly root?: string;
}

/** A statement signed by the first certificate of a chain, as `model_signing sign certificate` writes it. */
export function certificateBundle(chain: readonly Issued[], statement: object): object {
  const [leaf] = chain;
  if (leaf === undefined) throw new Error("nobody signs");
  const payload = Buffer.from(JSON.stringify(statement));
  const hashName = leaf.key.asymmetricKeyDetails?.namedCurve === "secp384r1" ? "sha384" : "sha256";
  const sig = sign(hashName, preAuthEncoding({ payloadType: "application/vnd.in-toto+json", payload }), leaf.key);
  return {
    mediaType: BUNDLE_V03_MEDIA_TYPE,
    verificationMaterial: {
      x509CertificateChain: { certificates: chain.map(({ der }) => ({ rawBytes: der.toString("base64") })) },
      tlogEntries: [],
    },
    dsseEnvelope: {
      payload: payload.toString("base64"),
      payloadType: "application/vnd.in-toto+json",
      signatures: [{ sig: sig.toString("base64"), keyid: null }],
    },
  };
}
