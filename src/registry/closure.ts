import { setImmediate } from "node:timers/promises";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { type Manifest, parseManifest } from "../oci/manifest.ts";
import { essenceOf } from "../oci/media-types.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { keys } from "../storage/keys.ts";
import type { ManifestRecord } from "../storage/records.ts";
import type { Services } from "./ports.ts";
import { RecentlyUsed } from "./recently-used.ts";
import { findManifest, revokedEverywhere } from "./serving.ts";

type Needs = Pick<Services, "metadata">;

/** RULES 2: a closure beyond these is not promoted. */
const MAX_DEPTH = 8;
const MAX_MANIFESTS = 10_000;
const MAX_BLOBS = 100_000;
/** Manifests that are looked up, and parsed, before others have their turn in this process. */
const VISITS_AT_A_TIME = 16;

/** Manifests that are kept parsed, as one promotion reads each several times: of so many bytes together, and of at most so many each. */
const MAX_PARSED = 4 * 1_024 ** 2;
const MAX_PARSED_BYTES = 16 * 1_024;
/** What the bytes of a digest say as a manifest of a media type. */
const PARSED = new RecentlyUsed<Manifest>(MAX_PARSED);

/** A manifest as it was found. */
export interface LoadedManifest {
  readonly record: ManifestRecord;
  readonly version: number;
  readonly manifest: Manifest;
}

/**
 * Records as a change under way will leave them, by canonical digest, those whose revocation everywhere it lifts, and what was loaded and
 * found not to be revoked by a decision which the change is held to.
 */
export interface Overlay {
  readonly records: ReadonlyMap<Digest, ManifestRecord>;
  readonly lifted: ReadonlySet<Digest>;
  readonly loaded: ReadonlyMap<Digest, LoadedManifest>;
}
export const NO_OVERLAY: Overlay = { records: new Map(), lifted: new Set(), loaded: new Map() };

export interface ClosureManifest extends LoadedManifest {
  /** The manifests on the way here, the start first; empty for a start. */
  readonly via: readonly Digest[];
  /** The descriptor that led here; undefined for a start. */
  readonly named: Descriptor | undefined;
}

export interface ClosureBlob {
  readonly descriptor: Descriptor;
  /** The manifests on the way here, the one that names it last. */
  readonly via: readonly Digest[];
}

/** Everything that some manifests reach (RULES 2): `subject` reaches nothing. */
export interface Closure {
  /** By canonical digest. */
  readonly manifests: ReadonlyMap<Digest, ClosureManifest>;
  /** By digest as named, config, layers and blobs. */
  readonly blobs: ReadonlyMap<Digest, ClosureBlob>;
  /** Child manifests that the repository does not hold. */
  readonly missing: readonly Descriptor[];
  /** Descriptors that give another size than the manifest has, or than the first descriptor of the same blob gives. */
  readonly missized: readonly { readonly descriptor: Descriptor; readonly size: number }[];
  /** Descriptors that give another type than the manifest has: what is exported could not be read by them. */
  readonly mistyped: readonly { readonly descriptor: Descriptor; readonly mediaType: string }[];
  /** Where the walk stopped because `enter` said no: revoked branches. */
  readonly cut: readonly ClosureManifest[];
}

/** A closure that is larger than RULES 2 allows, so that nobody looks at the whole of it. `problem` says in which way. */
export class ClosureTooLarge extends RegistryError {
  readonly problem: string;

  constructor(problem: string) {
    super("CONFLICT", `the artifact ${problem}, which none may`);
    this.problem = problem;
  }
}

interface Visit {
  readonly digest: Digest;
  readonly via: readonly Digest[];
  readonly named: Descriptor | undefined;
}

/** A walk from some starts; `enter` decides for each manifest whether its branch is taken. */
export class ClosureWalk implements Closure {
  readonly manifests = new Map<Digest, ClosureManifest>();
  readonly blobs = new Map<Digest, ClosureBlob>();
  readonly missing: Descriptor[] = [];
  readonly missized: { readonly descriptor: Descriptor; readonly size: number }[] = [];
  readonly mistyped: { readonly descriptor: Descriptor; readonly mediaType: string }[] = [];
  readonly cut: ClosureManifest[] = [];
  readonly #needs: Needs;
  readonly #repository: RepositoryName;
  readonly #overlay: Overlay;
  #visits = 0;
  /** The manifest that a name led to, undefined where there is none: an index may name one as often as it has room. */
  readonly #visited = new Map<Digest, ManifestRecord | undefined>();

  constructor(needs: Needs, repository: RepositoryName, overlay: Overlay) {
    this.#needs = needs;
    this.#repository = repository;
    this.#overlay = overlay;
  }

  /** Follows the starts breadth first. Throws `ClosureTooLarge` when the tree is deeper or larger than RULES 2 allows; what was found stays. */
  async follow(starts: readonly Digest[], enter: (record: ManifestRecord) => Promise<boolean>): Promise<this> {
    let level: Visit[] = starts.map((digest) => ({ digest, via: [], named: undefined }));
    for (let depth = 0; level.length > 0; depth += 1) {
      if (depth > MAX_DEPTH) throw new ClosureTooLarge(`nests manifests more than ${MAX_DEPTH} deep`);
      const next: Visit[] = [];
      for (const visit of level) {
        if ((this.#visits += 1) % VISITS_AT_A_TIME === 0) await setImmediate();
        next.push(...(await this.#visit(visit, enter)));
      }
      level = next;
    }
    return this;
  }

  async #visit(visit: Visit, enter: (record: ManifestRecord) => Promise<boolean>): Promise<Visit[]> {
    if (this.#visited.has(visit.digest)) {
      this.#compare(visit, this.#visited.get(visit.digest));
      return [];
    }
    const found = await this.#load(visit.digest);
    this.#visited.set(visit.digest, found?.record);
    if (found === undefined) {
      if (visit.named !== undefined) this.missing.push(visit.named);
      return [];
    }
    const { digest } = found.record;
    this.#compare(visit, found.record);
    if (this.manifests.has(digest)) return [];
    const node = { ...found, via: visit.via, named: visit.named };
    if (!(await enter(found.record))) {
      this.cut.push(node);
      return [];
    }
    this.#keep(digest, node);
    const via = [...visit.via, digest];
    return found.manifest.manifestReferences.map((child) => ({ digest: child.digest, via, named: child }));
  }

  #compare({ named }: Visit, record: ManifestRecord | undefined): void {
    if (named === undefined || record === undefined) return;
    const { size, mediaType } = record;
    if (named.size !== size) this.missized.push({ descriptor: named, size });
    if (essenceOf(named.mediaType) !== essenceOf(mediaType)) this.mistyped.push({ descriptor: named, mediaType });
  }

  #keep(digest: Digest, node: ClosureManifest): void {
    this.manifests.set(digest, node);
    const via = [...node.via, digest];
    for (const descriptor of node.manifest.blobReferences) {
      const first = this.blobs.get(descriptor.digest)?.descriptor;
      if (first === undefined) this.blobs.set(descriptor.digest, { descriptor, via });
      else if (first.size !== descriptor.size) this.missized.push({ descriptor, size: first.size });
    }
    if (this.manifests.size > MAX_MANIFESTS || this.blobs.size > MAX_BLOBS) {
      throw new ClosureTooLarge(`reaches more than ${MAX_MANIFESTS} manifests or ${MAX_BLOBS} blobs`);
    }
  }

  async #load(named: Digest): Promise<LoadedManifest | undefined> {
    const loaded = this.#overlay.loaded.get(named);
    if (loaded !== undefined) return { ...loaded, record: this.#overlay.records.get(named) ?? loaded.record };
    const found = await findManifest(this.#needs, this.#repository, named);
    if (found === undefined) return undefined;
    const record = this.#overlay.records.get(found.record.digest) ?? found.record;
    if (record.state === "deleted") return undefined;
    const manifest = await loadManifest(this.#needs, this.#repository, record);
    return manifest && { record, version: found.version, manifest };
  }
}

/** The parsed manifest behind a record; undefined when its content is gone. */
export async function loadManifest(
  { metadata }: Needs,
  repository: RepositoryName,
  record: Pick<ManifestRecord, "digest" | "mediaType">,
): Promise<Manifest | undefined> {
  const content = await metadata.get(keys.manifestContent(repository, record.digest));
  return content?.value instanceof Uint8Array ? parsed(content.value, record) : undefined;
}

/** The manifest behind a record, if this process has it parsed. Of one that is not deleted the content is there, by the same changes. */
export function parsedManifest(record: Pick<ManifestRecord, "digest" | "mediaType">): Manifest | undefined {
  return PARSED.get(nameOf(record));
}

function parsed(bytes: Uint8Array, record: Pick<ManifestRecord, "digest" | "mediaType">): Manifest {
  const known = parsedManifest(record);
  if (known !== undefined) return known;
  const manifest = parseManifest(bytes, record.mediaType);
  if (bytes.length <= MAX_PARSED_BYTES) PARSED.set(nameOf(record), manifest, bytes.length);
  return manifest;
}

function nameOf({ digest, mediaType }: Pick<ManifestRecord, "digest" | "mediaType">): string {
  return `${digest} ${mediaType}`;
}

/** Is a manifest revoked, here or everywhere? A revoked node prunes its whole branch (RULES 5). */
export async function isRevoked(needs: Needs, record: ManifestRecord): Promise<boolean> {
  return record.state === "revoked" || (await revokedEverywhere(needs, record.digest)) !== undefined;
}
