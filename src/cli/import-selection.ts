import { annotationOf } from "../oci/annotation.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { isEvidenceTag } from "../oci/evidence-tag.ts";
import { type Tag, isTag } from "../oci/reference.ts";
import { CliError, EXIT } from "./failure.ts";
import { LayoutError } from "./layout-error.ts";
import type { LayoutManifest, LayoutManifests } from "./layout-manifests.ts";

/** What names an entry (image-spec §Pre-Defined Annotation Keys). */
const NAME = "org.opencontainers.image.ref.name";
/** The tag of a list of referrers, in registries that make none themselves (distribution-spec §Referrers Tag Schema). */
const REFERRERS_TAG = /^sha(?:256-[0-9a-f]{64}|512-[0-9a-f]{64})$/;
const MAX_NAMES_TOLD = 20;

/** What an import is asked for. */
export interface Selected {
  readonly artifacts: readonly LayoutManifest[];
  readonly tags: readonly { readonly tag: Tag; readonly manifest: LayoutManifest }[];
  readonly noTags: readonly string[];
}

/** Says which manifests of a layout are its artifacts: those with a name, or else those that nothing contains and that are no evidence. */
export class ImportSelection {
  readonly #manifests: LayoutManifests;
  readonly #listed: ReadonlySet<LayoutManifest>;
  readonly #names: ReadonlyMap<string, LayoutManifest>;

  constructor(entries: readonly Descriptor[], manifests: LayoutManifests) {
    this.#manifests = manifests;
    this.#listed = new Set(entries.flatMap(({ digest }) => manifests.get(digest) ?? []));
    this.#names = namesIn(entries, manifests);
  }

  /** What an entry with this name is. */
  named(name: string): LayoutManifest | undefined {
    return this.#names.get(name);
  }

  /** With a tag: the artifact of that name, else the only one, which gets it. Throws a usage error when that leaves it open which one is meant. */
  select(tag: Tag | undefined): Selected {
    const found = tag && this.#names.get(tag);
    const artifacts = found === undefined ? this.#artifacts(tag === undefined) : [found];
    if (artifacts.length === 0) throw new LayoutError("layout-invalid", "it holds no artifact: name the one that is meant by its tag");
    if (tag === undefined) return { artifacts, ...this.#tags() };
    const [only, another] = artifacts;
    if (only === undefined || another !== undefined) throw new CliError(EXIT.usage, this.#whichOne(tag));
    return { artifacts: [only], tags: [{ tag, manifest: only }], noTags: [] };
  }

  /** Parts of an artifact, and what is attached to one, are imported with it. What has a name is one; without, what nothing contains. */
  #artifacts(all: boolean): readonly LayoutManifest[] {
    const named = new Set([...this.#names].filter(([name]) => isArtifactName(name)).map(([, manifest]) => manifest));
    const inNamed = this.#containedIn(named);
    const found = new Set([...named].filter((manifest) => !inNamed.has(manifest)));
    if (all || named.size === 0) {
      const byTag = new Set([...this.#names].filter(([name]) => !isArtifactName(name)).map(([, manifest]) => manifest));
      const others = [...this.#listed].filter((manifest) => isArtifact(manifest) && !byTag.has(manifest));
      const contained = this.#containedIn(new Set(this.#manifests.values()));
      for (const manifest of others) if (!contained.has(manifest)) found.add(manifest);
    }
    return [...found].filter((manifest) => !this.#isAttached(manifest));
  }

  #isAttached({ subject }: LayoutManifest): boolean {
    return subject !== undefined && this.#manifests.has(subject);
  }

  #containedIn(manifests: ReadonlySet<LayoutManifest>): ReadonlySet<LayoutManifest> {
    const found = new Set<LayoutManifest>();
    const rest = [...manifests];
    for (let manifest = rest.pop(); manifest !== undefined; manifest = rest.pop()) {
      for (const digest of manifest.manifests) {
        const child = this.#manifests.get(digest);
        if (child === undefined || found.has(child)) continue;
        found.add(child);
        rest.push(child);
      }
    }
    return found;
  }

  #tags(): Pick<Selected, "tags" | "noTags"> {
    const tags: { readonly tag: Tag; readonly manifest: LayoutManifest }[] = [];
    const noTags: string[] = [];
    for (const [name, manifest] of this.#names) {
      if (!isArtifactName(name)) continue;
      if (isTag(name)) tags.push({ tag: name, manifest });
      else noTags.push(name);
    }
    return { tags, noTags };
  }

  #whichOne(tag: Tag): string {
    const names = [...this.#names.keys()].filter(isArtifactName);
    const told = names.slice(0, MAX_NAMES_TOLD).join(", ") + (names.length > MAX_NAMES_TOLD ? ", …" : "");
    return `the layout has nothing of the name ${tag}, and more than one artifact: ${told === "" ? "leave the tag out" : `name one of ${told}`}`;
  }
}

function namesIn(entries: readonly Descriptor[], manifests: LayoutManifests): ReadonlyMap<string, LayoutManifest> {
  const names = new Map<string, LayoutManifest>();
  for (const { digest, annotations } of entries) {
    const name = annotationOf(annotations, NAME);
    const manifest = manifests.get(digest);
    if (name === undefined || manifest === undefined) continue;
    if ((names.get(name) ?? manifest) !== manifest)
      throw new LayoutError("layout-invalid", `two entries have the name ${JSON.stringify(name)}`);
    names.set(name, manifest);
  }
  return names;
}

function isArtifactName(name: string): boolean {
  return !REFERRERS_TAG.test(name) && !(isTag(name) && isEvidenceTag(name));
}

function isArtifact({ subject, isEvidence }: LayoutManifest): boolean {
  return subject === undefined && !isEvidence;
}
