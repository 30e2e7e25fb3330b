import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../../src/config.ts";
import { createLogger } from "../../src/log.ts";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { OCI_EMPTY, OCI_IMAGE, OCI_INDEX } from "../../src/oci/media-types.ts";
import { type Tag, isTag } from "../../src/oci/reference.ts";
import { NO_SCAN_EVIDENCE } from "../../src/policy/scan-evidence.ts";
import { deleteArtifact } from "../../src/registry/delete-artifact.ts";
import { deleteBlob } from "../../src/registry/delete-blob.ts";
import { deleteTag } from "../../src/registry/delete-tag.ts";
import { type FoundArtifact, findArtifact } from "../../src/registry/find-artifact.ts";
import { uploadAtOnce } from "../../src/registry/finish-upload.ts";
import type { Caller } from "../../src/registry/ports.ts";
import { type Promotion, promote } from "../../src/registry/promote.ts";
import { setPromotedTag } from "../../src/registry/promoted-tag.ts";
import { pushManifest } from "../../src/registry/push-manifest.ts";
import { quarantine } from "../../src/registry/quarantine.ts";
import { type Revocation, revoke } from "../../src/registry/revoke.ts";
import { UploadHashes } from "../../src/registry/upload-hashes.ts";
import { type Registry, openRegistry } from "../../src/services.ts";
import { openDataDirectory } from "../../src/storage/data-directory.ts";
import type { ManifestRecord } from "../../src/storage/records.ts";
import { repository } from "./principal.ts";

/** A registry without its edge: the use cases over real stores, which can be closed and opened again. */
export class Transitions implements AsyncDisposable {
  readonly directory: string;
  #services: Registry;
  readonly #release: () => Promise<void>;

  private constructor(directory: string, services: Registry, release: () => Promise<void>) {
    this.directory = directory;
    this.#services = services;
    this.#release = release;
  }

  static async start(): Promise<Transitions> {
    const directory = await mkdtemp(join(tmpdir(), "amr-transitions-"));
    const data = await openDataDirectory(directory);
    return new Transitions(directory, await openAt(directory), () => data.release());
  }

  /** Over a directory and services that somebody else opened, and closes. */
  static over(directory: string, services: Registry): Transitions {
    return new Transitions(directory, services, async () => {});
  }

  get services(): Registry {
    return this.#services;
  }

  /** The same registry through other services, such as those that a test comes in between of. */
  through(services: Registry): Transitions {
    return Transitions.over(this.directory, services);
  }

  /** As another worker has it: the same directory, nothing else in common. */
  another(): Promise<Registry> {
    return openAt(this.directory);
  }

  async restart(): Promise<void> {
    await this.#services.close();
    this.#services = await openAt(this.directory);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#services.close();
    await this.#release();
    await rm(this.directory, { recursive: true, force: true });
  }

  /** Pushes a blob without saying how long it is, so that it becomes a file. */
  async blob(caller: Caller, at: string, bytes: string | Uint8Array, algorithm: "sha256" | "sha512" = "sha256"): Promise<Digest> {
    return this.#push(caller, at, { bytes, algorithm, contentLength: undefined });
  }

  /** Pushes a blob and says how long it is, so that a small one becomes a row. */
  async saidBlob(caller: Caller, at: string, bytes: string | Uint8Array, algorithm: "sha256" | "sha512" = "sha256"): Promise<Digest> {
    return this.#push(caller, at, { bytes, algorithm, contentLength: Buffer.byteLength(bytes) });
  }

  async #push(
    caller: Caller,
    at: string,
    { bytes, algorithm, contentLength }: { bytes: string | Uint8Array; algorithm: "sha256" | "sha512"; contentLength: number | undefined },
  ): Promise<Digest> {
    const digest = digestOf(bytes, algorithm);
    const chunk = { bytes: oneChunk(Buffer.from(bytes)), contentRange: undefined, contentLength, stateOffset: undefined, closing: true };
    const hashes = new UploadHashes(this.services.blobs);
    await uploadAtOnce({ ...this.services, hashes }, caller, { repository: repository(at), digest, chunk });
    return digest;
  }

  async manifest(caller: Caller, at: string, manifest: object, ...tags: string[]): Promise<Digest> {
    const bytes = Buffer.from(JSON.stringify(manifest));
    const push = { repository: repository(at), digest: undefined, tags: tags.map(tag), contentType: undefined, bytes };
    return (await pushManifest(this.services, caller, push)).digest;
  }

  async find(
    caller: Caller,
    at: string,
    reference: string,
    meaning: Parameters<typeof findArtifact>[3] = "pushed",
  ): Promise<FoundArtifact> {
    const named = isTag(reference) ? { tag: reference } : { digest: reference as Digest };
    return findArtifact(this.services, caller, { repository: repository(at), reference: named }, meaning);
  }

  async promote(caller: Caller, at: string, reference: string, over: Partial<Promotion> = {}): Promise<ManifestRecord> {
    const artifact = await this.find(caller, at, reference);
    const plain = {
      refTag: artifact.refTag,
      tags: [],
      covers: [],
      evidence: [],
      scan: NO_SCAN_EVIDENCE,
      reason: null,
      expected: undefined,
    };
    return (await promote(this.services, caller, artifact, { ...plain, ...over })).record;
  }

  async revoke(caller: Caller, at: string, digest: Digest, over: Partial<Revocation> = {}): Promise<ManifestRecord> {
    return revoke(this.services, caller, await this.find(caller, at, digest), {
      reason: "bad",
      permanent: false,
      everywhere: false,
      ...over,
    });
  }

  async quarantine(caller: Caller, at: string, digest: Digest): Promise<ManifestRecord> {
    return quarantine(this.services, caller, await this.find(caller, at, digest), null);
  }

  async rollBack(caller: Caller, at: string, name: string, digest: Digest | null): Promise<void> {
    await setPromotedTag(this.services, caller, { repository: repository(at), tag: tag(name) }, { digest, reason: null });
  }

  async deleteTag(caller: Caller, at: string, name: string): Promise<void> {
    await deleteTag(this.services, caller, repository(at), tag(name));
  }

  async deleteBlob(caller: Caller, at: string, digest: Digest): Promise<void> {
    await deleteBlob(this.services, caller, repository(at), digest);
  }

  async delete(caller: Caller, at: string, digest: Digest): Promise<ManifestRecord> {
    return deleteArtifact(this.services, caller, await this.find(caller, at, digest), null);
  }
}

async function openAt(directory: string): Promise<Registry> {
  return openRegistry(loadConfig({ REGISTRY_DIR: directory }), 8470, createLogger("silent"));
}

async function* oneChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** A text that must be a tag. */
export function tag(text: string): Tag {
  if (!isTag(text)) throw new TypeError(`not a tag: ${text}`);
  return text;
}

/** A descriptor of some content. */
export function descriptorOf(content: string, mediaType = "application/octet-stream"): { mediaType: string; digest: Digest; size: number } {
  return { mediaType, digest: digestOf(content), size: Buffer.byteLength(content) };
}

/** An image of a config and layers with these contents; what is added tells it apart from others. */
export function imageOf(layers: readonly string[], over: object = {}): object {
  return {
    schemaVersion: 2,
    mediaType: OCI_IMAGE,
    config: descriptorOf("{}", OCI_EMPTY),
    layers: layers.map((layer) => descriptorOf(layer)),
    ...over,
  };
}

/** An index of these manifests. */
export function indexOf(manifests: readonly object[], over: object = {}): object {
  const entries = manifests.map((manifest) => descriptorOf(JSON.stringify(manifest), typeOf(manifest)));
  return { schemaVersion: 2, mediaType: OCI_INDEX, manifests: entries, ...over };
}

function typeOf(manifest: object): string {
  return "mediaType" in manifest && typeof manifest.mediaType === "string" ? manifest.mediaType : OCI_IMAGE;
}

/** A manifest, and so many indexes, each of which holds the one before. */
export function nested(manifest: object, indexes: number): readonly object[] {
  const all = [manifest];
  for (const _ of Array.from({ length: indexes })) all.push(indexOf(all.slice(-1)));
  return all;
}

/** A signature of a manifest: evidence that a promotion covers by default. */
export function signatureOf(subject: object, content: string): object {
  return imageOf([], {
    subject: descriptorOf(JSON.stringify(subject), OCI_IMAGE),
    layers: [descriptorOf(content, "application/vnd.dev.cosign.simplesigning.v1+json")],
  });
}

/** The digest of a manifest as it is pushed. */
export function digestIn(manifest: object): Digest {
  return digestOf(JSON.stringify(manifest));
}
