import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import { evidenceTags } from "../oci/evidence-tag.ts";
import type { Tag } from "../oci/reference.ts";
import { ImportSelection, type Selected } from "./import-selection.ts";
import { LayoutError } from "./layout-error.ts";
import { type LayoutManifest, type LayoutManifests, isManifestEntry, readManifests } from "./layout-manifests.ts";
import type { Layout } from "./layout.ts";

/** RULES 2: nothing deeper is promoted. */
const MAX_DEPTH = 8;

/** What an import pushes, in this order. */
export interface ImportPlan {
  /** What is held in quarantine. */
  readonly artifacts: readonly LayoutManifest[];
  /** The artifacts and their parts, each part before what contains it. */
  readonly content: readonly LayoutManifest[];
  /** What is attached to the content, and to what is attached, with the parts of that. */
  readonly attached: readonly LayoutManifest[];
  /** The tags by which cosign attaches things come last. */
  readonly tags: readonly { readonly tag: Tag; readonly manifest: LayoutManifest }[];
  readonly blobs: readonly Pick<Descriptor, "digest" | "size">[];
  /** Names in the layout that are no tags: what they name is imported without. */
  readonly noTags: readonly string[];
  readonly leftOut: readonly { readonly digest: Digest; readonly because: string }[];
}

/** Reads a layout whole and says what an import of it pushes; nothing of it is believed but what was held to its digest. Throws `LayoutError`. */
export async function planImport(layout: Layout, tag: Tag | undefined): Promise<ImportPlan> {
  const manifests = await readManifests(layout);
  const selection = new ImportSelection(layout.entries, manifests);
  const selected = selection.select(tag);
  const gathered = gather(manifests, selection, selected);
  const imported = new Set([...gathered.content, ...gathered.attached]);
  const blobs = blobsOf(imported);
  return {
    artifacts: selected.artifacts,
    ...gathered,
    tags: [...selected.tags.filter(({ manifest }) => imported.has(manifest)), ...gathered.tags],
    blobs,
    noTags: selected.noTags,
    leftOut: leftOutOf(layout, manifests, imported),
  };
}

function gather(
  manifests: LayoutManifests,
  selection: ImportSelection,
  { artifacts }: Selected,
): Pick<ImportPlan, "content" | "attached" | "tags"> {
  const order = new PushOrder(manifests);
  for (const artifact of artifacts) order.add(artifact);
  const parts = order.manifests.length;
  const referrers = referrersIn(manifests);
  const tags: { readonly tag: Tag; readonly manifest: LayoutManifest }[] = [];
  // Grows while it is walked: what is attached may have something attached to it.
  for (const subject of order.manifests) {
    for (const referrer of referrers.get(subject) ?? []) order.add(referrer);
    for (const tag of evidenceTags(subject.sha256)) {
      const manifest = selection.named(tag);
      if (manifest === undefined) continue;
      order.add(manifest);
      tags.push({ tag, manifest });
    }
  }
  return { content: order.manifests.slice(0, parts), attached: order.manifests.slice(parts), tags };
}

/** Manifests, each behind all that it contains. */
class PushOrder {
  readonly manifests: LayoutManifest[] = [];
  readonly #manifests: LayoutManifests;
  readonly #seen = new Set<LayoutManifest>();

  constructor(manifests: LayoutManifests) {
    this.#manifests = manifests;
  }

  add(manifest: LayoutManifest, depth = 0): void {
    if (this.#seen.has(manifest)) return;
    if (depth > MAX_DEPTH) throw new LayoutError("layout-too-large", `it has manifests that are nested more than ${MAX_DEPTH} deep`);
    this.#seen.add(manifest);
    for (const digest of manifest.manifests) {
      const child = this.#manifests.get(digest);
      if (child !== undefined) this.add(child, depth + 1);
    }
    this.manifests.push(manifest);
  }
}

function referrersIn(manifests: LayoutManifests): ReadonlyMap<LayoutManifest, readonly LayoutManifest[]> {
  const found = new Map<LayoutManifest, LayoutManifest[]>();
  for (const manifest of new Set(manifests.values())) {
    const subject = manifest.subject && manifests.get(manifest.subject);
    if (subject === undefined) continue;
    const others = found.get(subject);
    if (others === undefined) found.set(subject, [manifest]);
    else others.push(manifest);
  }
  return found;
}

function blobsOf(imported: ReadonlySet<LayoutManifest>): ImportPlan["blobs"] {
  const sizes = new Map<Digest, number>();
  for (const { blobs } of imported) {
    for (const { digest, size } of blobs) {
      if ((sizes.get(digest) ?? size) !== size) throw new LayoutError("blob-corrupt", `two manifests give different sizes of ${digest}`);
      sizes.set(digest, size);
    }
  }
  return [...sizes].map(([digest, size]) => ({ digest, size }));
}

function leftOutOf(layout: Layout, manifests: LayoutManifests, imported: ReadonlySet<LayoutManifest>): ImportPlan["leftOut"] {
  const leftOut = new Map<Digest, string>();
  for (const entry of layout.entries) {
    const manifest = isManifestEntry(entry) ? manifests.get(entry.digest) : undefined;
    if (manifest === undefined) leftOut.set(entry.digest, "it is no manifest");
    else if (!imported.has(manifest)) leftOut.set(entry.digest, whyLeftOut(manifest));
  }
  return [...leftOut].map(([digest, because]) => ({ digest, because }));
}

function whyLeftOut({ subject, isEvidence }: LayoutManifest): string {
  if (subject !== undefined) return "it is attached to what is not imported";
  return isEvidence ? "it is no artifact, and attached to nothing" : "it is not what was asked for";
}
