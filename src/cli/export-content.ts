import { z } from "zod";
import { canonicalJson } from "../oci/canonical-json.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { type Digest, algorithmOf, digestOf } from "../oci/digest.ts";
import { parseManifest } from "../oci/manifest.ts";
import type { ExportedStatement } from "../lifecycle/exported-statement.ts";
import { CliError, EXIT } from "./failure.ts";
import { type FilePlace, pullInto } from "./download.ts";
import type { LayoutBlob, LayoutContent } from "./layout-writer.ts";
import type { PulledManifest, Repository } from "./registry-client.ts";
import type { Spool } from "./spool.ts";
import { writeAt } from "./write-at.ts";

const manifestSchema = z.looseObject({ subject: z.unknown() });

/** What is put together for a layout: manifests and other small things at once, in a spool; blobs by name, to be pulled into their place. */
export class ExportContent {
  readonly #repository: Repository;
  readonly #spool: Spool;
  readonly #entries = new Map<Digest, Descriptor>();
  readonly #sizes = new Map<Digest, number>();

  constructor(repository: Repository, spool: Spool) {
    this.#repository = repository;
    this.#spool = spool;
  }

  /** Keeps a manifest that was pulled, and names its blobs. It is listed by the index only where `entry` says so. */
  async addManifest({ descriptor, bytes }: PulledManifest, entry: "listed" | "reached"): Promise<void> {
    await this.#spool.add(bytes, algorithmOf(descriptor.digest));
    this.#addSize(descriptor.digest, bytes.length);
    const manifest = parseManifest(bytes, descriptor.mediaType);
    for (const { digest, size } of manifest.blobReferences) this.#addSize(digest, size);
    if (entry === "listed") this.#list(descriptor, manifest.artifactType);
  }

  /** Keeps a manifest that no registry has, with what it names. */
  async addMade(manifest: Uint8Array, contents: readonly Uint8Array[]): Promise<void> {
    for (const bytes of contents) this.#addSize(await this.#spool.add(bytes), bytes.length);
    const bytes = Buffer.from(manifest);
    const { mediaType } = parseManifest(bytes, undefined);
    await this.addManifest({ descriptor: { mediaType, digest: digestOf(bytes), size: bytes.length }, bytes }, "listed");
  }

  async addStatement({ manifest, config, layer }: ExportedStatement): Promise<void> {
    await this.addMade(manifest, [config, layer]);
  }

  /** Keeps a manifest without its subject, so that no client lists it with what it was attached to (trust.md §7.2). */
  async addDetached({ bytes }: PulledManifest): Promise<void> {
    const { subject: _subject, ...rest } = manifestSchema.parse(JSON.parse(bytes.toString("utf8")));
    await this.addMade(Buffer.from(canonicalJson(rest)), []);
  }

  /** A small blob whole; it is not pulled a second time. */
  async smallBlob(blob: Pick<Descriptor, "digest" | "size">, maxBytes: number): Promise<Buffer> {
    if (this.#spool.sizeOf(blob.digest) !== undefined) return this.#spool.read(blob.digest);
    const bytes = await this.#repository.fetchBlob(blob, maxBytes);
    await this.#spool.add(bytes, algorithmOf(blob.digest));
    return bytes;
  }

  /** The root comes first, by the name that it was asked for; all else by digest. */
  content(root: Digest, name: string | undefined, progress: (bytes: number) => void): LayoutContent {
    const others = [...this.#entries.values()].filter(({ digest }) => digest !== root).toSorted((a, b) => (a.digest < b.digest ? -1 : 1));
    const entry = this.#entries.get(root);
    if (entry === undefined) throw new TypeError("the root is not among the manifests");
    const annotations = name === undefined ? {} : { annotations: { "org.opencontainers.image.ref.name": name } };
    let done = 0;
    const blobs = [...this.#sizes].map(([digest, size]): LayoutBlob => ({
      digest,
      size,
      writeTo: async (place) => {
        await this.#write({ digest, size }, place, (bytes) => progress(done + bytes));
        done += size;
      },
    }));
    return { entries: [{ ...entry, ...annotations }, ...others], blobs };
  }

  /** Bytes of all that the layout will hold. */
  get bytes(): number {
    return [...this.#sizes.values()].reduce((sum, size) => sum + size, 0);
  }

  async #write(
    blob: { readonly digest: Digest; readonly size: number },
    place: FilePlace,
    progress: (bytes: number) => void,
  ): Promise<void> {
    if (this.#spool.sizeOf(blob.digest) === undefined) {
      await pullInto(this.#repository, { mediaType: "application/octet-stream", ...blob }, place, { progress });
      return;
    }
    await writeAt(place.file, await this.#spool.read(blob.digest), place.at);
    progress(blob.size);
  }

  #addSize(digest: Digest, size: number): void {
    const known = this.#sizes.get(digest) ?? size;
    if (known !== size) throw new CliError(EXIT.integrity, `two manifests give different sizes of ${digest}: refused`);
    this.#sizes.set(digest, size);
  }

  #list({ mediaType, digest, size }: PulledManifest["descriptor"], artifactType: string | undefined): void {
    this.#entries.set(digest, { mediaType, digest, size, ...(artifactType === undefined ? {} : { artifactType }) });
  }
}
