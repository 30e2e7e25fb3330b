import { createCipheriv, createHash } from "node:crypto";
import type { Digest } from "../src/oci/digest.ts";
import { digestOf } from "../src/oci/digest.ts";
import type { Definition } from "../test/support/reference-model.ts";

/** Bytes that a client pushes as a blob. */
export interface Content {
  readonly digest: Digest;
  readonly bytes: Buffer;
}

const KEEP = 64;
const kept = new Map<string, Content>();

/** The content of a name and size: the same whenever it is asked for, and incompressible. */
export function contentNamed(name: string, size: number): Content {
  const id = `${size} ${name}`;
  const known = kept.get(id);
  if (known !== undefined) return known;
  const key = createHash("sha256").update(id).digest();
  const bytes = createCipheriv("aes-256-ctr", key, Buffer.alloc(16)).update(Buffer.alloc(size));
  const content = { digest: digestOf(bytes), bytes };
  if (kept.size >= KEEP) kept.delete(kept.keys().next().value ?? "");
  kept.set(id, content);
  return content;
}

/** A model as a client pushes it: its blobs, and the manifest that names them. */
export interface Model {
  readonly definition: Definition;
  readonly manifest: string;
  readonly type: string;
  readonly blobs: readonly Content[];
  /** What a runtime finds in its folder of `trusted/`, by file name. */
  readonly files: ReadonlyMap<string, Digest>;
}

const TYPE = "application/vnd.oci.image.manifest.v1+json";
const WEIGHTS = "application/vnd.cncf.model.weight.v1.raw";

/** The model of a config and some layers. */
export function modelOf(config: Content, layers: readonly Content[]): Model {
  const files = new Map(layers.map(({ digest }, at) => [`part-${at}.bin`, digest]));
  const manifest = {
    schemaVersion: 2,
    mediaType: TYPE,
    artifactType: "application/vnd.cncf.model.manifest.v1+json",
    config: { mediaType: "application/vnd.cncf.model.config.v1+json", digest: config.digest, size: config.bytes.length },
    layers: layers.map(({ digest, bytes }, at) => ({
      mediaType: WEIGHTS,
      digest,
      size: bytes.length,
      annotations: { "org.opencontainers.image.title": `part-${at}.bin` },
    })),
  };
  const text = JSON.stringify(manifest);
  const blobs = [config, ...layers];
  const definition: Definition = {
    manifest,
    digest: digestOf(text),
    sha512: digestOf(text, "sha512"),
    children: [],
    blobs: blobs.map(({ digest }) => digest),
    subject: undefined,
    evidence: undefined,
  };
  return { definition, manifest: text, type: TYPE, blobs, files };
}
