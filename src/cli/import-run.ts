import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import { MAX_MANIFEST_BYTES } from "../oci/manifest.ts";
import type { Tag } from "../oci/reference.ts";
import { type ArtifactRecord, type NativeClient, artifactPath, recordSchema } from "./client.ts";
import { CliError, EXIT } from "./failure.ts";
import type { ImportPlan } from "./import-plan.ts";
import type { LayoutManifest } from "./layout-manifests.ts";
import type { Layout } from "./layout.ts";
import type { Repository } from "./registry-client.ts";
import { type UploadOptions, pushBlob } from "./upload.ts";

const REASON = "imported from an OCI image layout";

/** Where an import goes. */
export interface ImportTarget {
  readonly repository: Repository;
  readonly native: NativeClient;
  /** How the upload of a blob is told; `done` ends it. */
  readonly telling: (blob: Pick<Descriptor, "digest" | "size">) => UploadOptions & { readonly done: () => void };
  /** Gets what a person should know. */
  readonly say: (text: string) => void;
}

/** What was sent; all else was there before. */
export interface Sent {
  blobs: number;
  /** Of blobs. */
  bytes: number;
  manifests: number;
  tags: number;
}

type Place = Pick<Descriptor, "digest" | "size">;

/** What of an import is not there yet. */
interface Missing {
  readonly blobs: readonly Place[];
  readonly manifests: ReadonlySet<LayoutManifest>;
  /** Attached, and revoked or hidden here: they are not pushed again. */
  readonly refused: ReadonlySet<LayoutManifest>;
}

/** Pushes what a plan says and holds its artifacts in quarantine. Whatever is there is not sent again, so that an import which was cut off can be repeated. */
export class ImportRun {
  readonly sent: Sent = { blobs: 0, bytes: 0, manifests: 0, tags: 0 };
  readonly refused: { readonly digest: Digest; readonly because: string }[] = [];
  readonly #layout: Layout;
  readonly #target: ImportTarget;

  constructor(layout: Layout, target: ImportTarget) {
    this.#layout = layout;
    this.#target = target;
  }

  /** The state of each artifact in the end, in the order of the plan. */
  async run({ artifacts, content, attached, tags, blobs }: ImportPlan): Promise<readonly string[]> {
    for (const artifact of artifacts) refuseRevoked(artifact, await this.#record(artifact));
    const missing = await this.#missing(content, attached, blobs);
    for (const blob of missing.blobs) await this.#pushBlob(blob);
    await this.#pushManifests(content, missing);
    const states: string[] = [];
    for (const artifact of artifacts) states.push(await this.#quarantine(artifact));
    await this.#pushManifests(attached, missing);
    for (const { tag, manifest } of tags) if (!missing.refused.has(manifest)) await this.#setTag(tag, manifest);
    return states;
  }

  /** Asks for everything before the first push, so that what is refused here is refused as a whole. */
  async #missing(content: ImportPlan["content"], attached: ImportPlan["attached"], all: ImportPlan["blobs"]): Promise<Missing> {
    const [manifests, refused] = [new Set<LayoutManifest>(), new Set<LayoutManifest>()];
    for (const manifest of content) if ((await this.#find(manifest.descriptor.digest)) === undefined) manifests.add(manifest);
    for (const manifest of attached) {
      const found = await this.#find(manifest.descriptor.digest).catch(ifDenied);
      if (found instanceof CliError) refused.add(manifest);
      else if (found === undefined) manifests.add(manifest);
    }
    for (const { descriptor } of refused) this.refused.push({ digest: descriptor.digest, because: "this registry denies it" });
    const needed = new Set([...content, ...attached].flatMap((manifest) => (refused.has(manifest) ? [] : manifest.blobs.map(nameOf))));
    const blobs: Place[] = [];
    for (const blob of all) if (needed.has(blob.digest) && !(await this.#target.repository.hasBlob(blob.digest))) blobs.push(blob);
    return { blobs, manifests, refused };
  }

  async #find(reference: Digest | Tag): Promise<Digest | undefined> {
    try {
      return await this.#target.repository.resolve(reference);
    } catch (error) {
      if (error instanceof CliError && error.answer?.status === 404) return undefined;
      throw error;
    }
  }

  async #pushBlob(blob: Place): Promise<void> {
    const { done, ...options } = this.#target.telling(blob);
    try {
      if (!(await pushBlob(this.#target.repository, this.#layout.source(blob), options))) return;
      this.sent.blobs += 1;
      this.sent.bytes += blob.size;
    } finally {
      done();
    }
  }

  async #pushManifests(manifests: readonly LayoutManifest[], missing: Missing): Promise<void> {
    for (const manifest of manifests) {
      if (!missing.manifests.has(manifest)) continue;
      await this.#pushManifest(manifest.descriptor.digest, manifest);
      this.sent.manifests += 1;
    }
  }

  async #pushManifest(reference: Digest | Tag, { descriptor }: LayoutManifest): Promise<void> {
    const bytes = await this.#layout.read(descriptor, MAX_MANIFEST_BYTES);
    await this.#target.repository.pushManifest(reference, bytes, descriptor.mediaType);
  }

  async #setTag(tag: Tag, manifest: LayoutManifest): Promise<void> {
    const now = await this.#find(tag);
    if (now === manifest.descriptor.digest || now === manifest.sha256) return;
    await this.#pushManifest(tag, manifest);
    this.sent.tags += 1;
  }

  async #quarantine(artifact: LayoutManifest): Promise<string> {
    const { digest } = artifact.descriptor;
    const before = await this.#record(artifact);
    if (before?.state === "trusted") this.#target.say(`${digest} is trusted here already, and stays so`);
    if (before?.state === "trusted" || before?.state === "quarantined") return before.state;
    try {
      const path = artifactPath(this.#ref(artifact), "quarantine");
      return (await this.#target.native.request({ method: "POST", path, body: { reason: REASON } }, recordSchema)).state;
    } catch (error) {
      if (!(error instanceof CliError) || error.exit !== EXIT.conflict) throw error;
      return this.#stays(artifact, error);
    }
  }

  /** Somebody promoted it meanwhile, or a trusted artifact contains it: what is served is not quarantined (DESIGN §2). */
  async #stays(artifact: LayoutManifest, conflict: CliError): Promise<string> {
    const { state } = (await this.#record(artifact)) ?? {};
    if (state !== "trusted" && state !== "acquired") throw conflict;
    this.#target.say(`${artifact.descriptor.digest} stays ${state}: ${conflict.message}`);
    return state;
  }

  /** What the registry knows of an artifact; undefined when it never had it. */
  async #record(artifact: LayoutManifest): Promise<ArtifactRecord | undefined> {
    try {
      return await this.#target.native.request({ method: "GET", path: artifactPath(this.#ref(artifact)) }, recordSchema);
    } catch (error) {
      if (error instanceof CliError && error.exit === EXIT.notFound) return undefined;
      throw error;
    }
  }

  #ref({ descriptor }: LayoutManifest): Parameters<typeof artifactPath>[0] {
    return { repository: this.#target.repository.name, tag: undefined, digest: descriptor.digest };
  }
}

function refuseRevoked({ descriptor }: LayoutManifest, record: ArtifactRecord | undefined): void {
  if (record?.state !== "revoked") return;
  throw new CliError(EXIT.denied, `${descriptor.digest} is revoked in ${record.repository}: nothing was pushed`);
}

function nameOf({ digest }: Place): Digest {
  return digest;
}

/** What a reader is denied. */
function ifDenied(error: unknown): CliError {
  if (error instanceof CliError && error.exit === EXIT.denied) return error;
  throw error;
}
