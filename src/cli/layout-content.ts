import type { Proven } from "../lifecycle/proof.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { type Digest } from "../oci/digest.ts";
import { LayoutError } from "./layout-error.ts";
import { type ListedContent, readManifest } from "./layout-statements.ts";
import type { Layout } from "./layout.ts";

/** RULES 2: no artifact that was promoted is deeper. */
const MAX_DEPTH = 8;
/** As many as an index may have entries. */
const MAX_MANIFESTS = 50_000;

/** How much of a layout was found with the right bytes. */
export interface CheckedBytes {
  readonly blobs: number;
  readonly bytes: number;
  readonly faults: readonly LayoutError[];
}

/** Reads every blob of a layout once and holds it to its digest, whether anything names it or not. */
export async function checkBytes(layout: Layout, progress: (bytes: number) => void): Promise<CheckedBytes> {
  const faults: LayoutError[] = [];
  let [blobs, done] = [0, 0];
  for (const digest of layout.digests()) {
    const size = layout.sizeOf(digest) ?? 0;
    const fault = await faultIn(layout.check({ digest, size }, (bytes) => progress(done + bytes)));
    if (fault === undefined) blobs += 1;
    else faults.push(fault);
    done += size;
  }
  return { blobs, bytes: done, faults };
}

/**
 * What is missing of what the snapshot tells of: the artifact, all that it contains, and what its promotion covers. What is revoked or
 * deleted may be missing, with all that it contains: readers do not get that any more.
 */
export async function missingContent(layout: Layout, proven: Proven, listed: ListedContent): Promise<readonly LayoutError[]> {
  const walk = new ContentWalk(layout, proven);
  for (const [digest, { descriptor }] of listed.manifests) if (walk.isSubject(digest)) await walk.from(descriptor);
  return walk.end();
}

class ContentWalk {
  readonly #layout: Layout;
  readonly #proven: Proven;
  readonly #seen = new Set<Digest>();
  /** What the snapshot tells of and was found, by sha256. */
  readonly #found = new Set<string>();
  readonly #faults: LayoutError[] = [];

  constructor(layout: Layout, proven: Proven) {
    this.#layout = layout;
    this.#proven = proven;
  }

  isSubject(digest: Digest): boolean {
    return this.#stateOf(digest) !== undefined;
  }

  async from(start: Descriptor): Promise<void> {
    let level: readonly Descriptor[] = [start];
    for (let depth = 0; level.length > 0; depth += 1) {
      const next: Descriptor[] = [];
      for (const descriptor of level) next.push(...(await this.#visit(descriptor, depth)));
      level = next;
    }
  }

  end(): readonly LayoutError[] {
    for (const name of Object.keys(this.#proven.snapshot?.subjects ?? {})) {
      const digest = name.slice(name.indexOf("@") + 1);
      const isFound = this.#found.has(digest) || this.#isGone(digest);
      if (!isFound) this.#faults.push(new LayoutError("blob-missing", `${digest}, which the snapshot tells of, is not there`));
    }
    return this.#faults;
  }

  async #visit(descriptor: Descriptor, depth: number): Promise<readonly Descriptor[]> {
    const { digest } = descriptor;
    const isMissing = this.#layout.sizeOf(digest) === undefined;
    if (this.#seen.has(digest) || (isMissing && this.#isGone(digest))) return [];
    this.#seen.add(digest);
    try {
      if (depth > MAX_DEPTH || this.#seen.size > MAX_MANIFESTS) throw new LayoutError("layout-too-large", "it contains too many manifests");
      const { manifest, digest: canonical } = await readManifest(this.#layout, descriptor);
      this.#found.add(canonical);
      for (const blob of manifest.blobReferences) this.#checkPresence(blob);
      return manifest.manifestReferences;
    } catch (error) {
      if (!(error instanceof LayoutError)) throw error;
      this.#faults.push(error);
      return [];
    }
  }

  #checkPresence({ digest, size }: Descriptor): void {
    const present = this.#layout.sizeOf(digest);
    if (present === undefined) this.#faults.push(new LayoutError("blob-missing", `${digest} is named and not there`));
    else if (present !== size) this.#faults.push(new LayoutError("blob-corrupt", `${digest} has another size than it should have`));
  }

  #isGone(digest: string): boolean {
    const state = this.#stateOf(digest);
    return state === "revoked" || state === "deleted";
  }

  #stateOf(digest: string): string | undefined {
    const { snapshot } = this.#proven;
    return snapshot?.subjects[`${snapshot.repository}@${digest}`]?.state;
  }
}

async function faultIn(check: Promise<void>): Promise<LayoutError | undefined> {
  try {
    await check;
    return undefined;
  } catch (error) {
    if (error instanceof LayoutError) return error;
    throw error;
  }
}
