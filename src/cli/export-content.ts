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
  /** Manifests that the index does not list, unless somebody calls them by a name. */
  readonly #reached = new Map<Digest, Descriptor>();
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
    const { mediaType, digest, size } = descriptor;
    const { artifactType } = manifest;
    const listed = { mediaType, digest, size, ...(artifactType === undefined ? {} : { artifactType }) };
    (entry === "listed" ? this.#entries : this.#reached).set(digest, listed);
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

  /** Is it there, listed or not? */
  has(digest: Digest): boolean {
    return this.#sizes.has(digest);
  }

  /** The roots come first, in their order and by the names that they have; then what else has one; all else by digest. */
  content(roots: readonly Digest[], names: ReadonlyMap<Digest, readonly string[]>, progress: (bytes: number) => void): LayoutContent {
    const first = new Set([...roots, ...[...names.keys()].toSorted()]);
    const rest = [...this.#entries.keys()].filter((digest) => !first.has(digest)).toSorted();
    const entries = [...first, ...rest].flatMap((digest) => this.#entriesOf(digest, names.get(digest) ?? []));
    let done = 0;
    const blobs = [...this.#sizes].map(([digest, size]): LayoutBlob => ({
      digest,
      size,
      writeTo: async (place) => {
        await this.#write({ digest, size }, place, (bytes) => progress(done + bytes));
        done += size;
      },
    }));
    return { entries, blobs };
  }

  #entriesOf(digest: Digest, names: readonly string[]): readonly Descriptor[] {
    const entry = this.#entries.get(digest) ?? this.#reached.get(digest);
    if (entry === undefined) return [];
    if (names.length === 0) return [entry];
    return names.map((name) => ({ ...entry, annotations: { "org.opencontainers.image.ref.name": name } }));
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
}
