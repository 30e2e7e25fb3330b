import { type Digest } from "../oci/digest.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { type Manifest, parseManifest } from "../oci/manifest.ts";
import { essenceOf } from "../oci/media-types.ts";
import { CliError, EXIT } from "./failure.ts";
import type { PulledManifest, Repository } from "./registry-client.ts";
import { statementLayers } from "./statement-layers.ts";

/** As for promotions (RULES 2). */
export const MAX_DEPTH = 8;
export const MAX_MANIFESTS = 10_000;

/** Something that cannot be exported with all that it contains, so that no layout would hold together with it. */
export class NotWhole extends CliError {
  constructor(because: string) {
    super(EXIT.failure, `it cannot be exported: ${because}`);
  }
}

/** What a manifest takes of a layout with all that it contains; bytes are those of manifests, and of layers that may be statements. */
interface TreeSize {
  readonly manifests: number;
  readonly manifestBytes: number;
  readonly statementBytes: number;
}

const MIB = 1_048_576;
/** Far less than `verify-layout` reads, which has to hold all that is trusted as well. */
const ROOM: TreeSize = { manifests: 5_000, manifestBytes: 32 * MIB, statementBytes: 128 * MIB };

/** The room that a layout has for what nobody promoted: whoever may push makes as much of that as they like. */
export class ExportRoom {
  #taken: TreeSize = { manifests: 0, manifestBytes: 0, statementBytes: 0 };

  get isFull(): boolean {
    return this.#taken.manifests >= ROOM.manifests;
  }

  /** Takes the room that something needs; false where there is not as much left. */
  take({ manifests, manifestBytes, statementBytes }: TreeSize): boolean {
    const taken = {
      manifests: this.#taken.manifests + manifests,
      manifestBytes: this.#taken.manifestBytes + manifestBytes,
      statementBytes: this.#taken.statementBytes + statementBytes,
    };
    if (taken.manifests > ROOM.manifests || taken.manifestBytes > ROOM.manifestBytes || taken.statementBytes > ROOM.statementBytes)
      return false;
    this.#taken = taken;
    return true;
  }
}

/** Looks at manifests that nobody promoted, of which nothing says that what they name is there. */
export class TreeLook {
  readonly #repository: Repository;
  readonly #isRevoked: (digest: Digest) => boolean;
  /** Sizes of blobs that were asked for; undefined for what is not there. */
  readonly #blobs = new Map<Digest, number | undefined>();

  constructor(repository: Repository, isRevoked: (digest: Digest) => boolean) {
    this.#repository = repository;
    this.#isRevoked = isRevoked;
  }

  /** What a manifest takes with all that it contains, but for revoked parts. Throws `NotWhole` where something of it is not to be had. */
  async sizeOf(root: Digest): Promise<TreeSize> {
    const seen = new Set<Digest>([root]);
    let size: TreeSize = { manifests: 0, manifestBytes: 0, statementBytes: 0 };
    let level: readonly Named[] = [{ digest: root }];
    for (let depth = 0; level.length > 0; depth += 1) {
      const next: Descriptor[] = [];
      for (const named of level) {
        const pulled = await this.#pull(named);
        if (pulled === undefined) continue;
        const manifest = parseManifest(pulled.bytes, pulled.descriptor.mediaType);
        await this.#demandBlobs(manifest);
        size = sum(size, pulled, manifest);
        const unseen = manifest.manifestReferences.filter(({ digest }) => !seen.has(digest));
        for (const { digest } of unseen) seen.add(digest);
        next.push(...unseen);
      }
      if (seen.size > MAX_MANIFESTS || (depth === MAX_DEPTH && next.length > 0)) throw tooLarge();
      level = next;
    }
    return size;
  }

  async #pull(named: Named): Promise<PulledManifest | undefined> {
    const { digest } = named;
    try {
      const pulled = await this.#repository.fetchManifest(digest);
      if (isAsNamed(pulled, named)) return pulled;
    } catch (error) {
      if (!(error instanceof CliError) || (error.exit !== EXIT.notFound && error.exit !== EXIT.denied)) throw error;
      if (error.exit === EXIT.denied && this.#isRevoked(digest)) return undefined;
    }
    throw notThere(digest);
  }

  async #demandBlobs({ blobReferences }: Manifest): Promise<void> {
    for (const { digest, size } of blobReferences) {
      if (!this.#blobs.has(digest)) this.#blobs.set(digest, await this.#repository.blobSize(digest));
      if (this.#blobs.get(digest) !== size) throw notThere(digest);
    }
  }
}

/** A root is named by its digest alone. */
type Named = Pick<Descriptor, "digest"> & Partial<Pick<Descriptor, "size" | "mediaType">>;

function isAsNamed({ descriptor }: PulledManifest, { size = descriptor.size, mediaType = descriptor.mediaType }: Named): boolean {
  return descriptor.size === size && essenceOf(descriptor.mediaType) === essenceOf(mediaType);
}

/** Of what is contained, of what is attached, or of what is attached to that, and so on. */
export function tooLarge(): NotWhole {
  return new NotWhole(`more than ${MAX_MANIFESTS} manifests, or nested more than ${MAX_DEPTH} deep, are not exported`);
}

function notThere(digest: Digest): NotWhole {
  return new NotWhole(`${digest}, which belongs to it, is not there, or is something else than it says`);
}

function sum({ manifests, manifestBytes, statementBytes }: TreeSize, { bytes }: PulledManifest, manifest: Manifest): TreeSize {
  return {
    manifests: manifests + 1,
    manifestBytes: manifestBytes + bytes.length,
    statementBytes: statementLayers(manifest).reduce((all, { layer }) => all + layer.size, statementBytes),
  };
}
