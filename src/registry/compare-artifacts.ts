import { type ComparedFile, type FilesDiff, type NamedValue, type ValueChange, diffFiles, diffValues } from "../formats/artifact-diff.ts";
import type { ModelDetails } from "../formats/model-details.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import { isModelFile, titleOf } from "../oci/layer-file.ts";
import { type Manifest, parseManifest } from "../oci/manifest.ts";
import type { RepositoryName } from "../oci/reference.ts";
import type { ModelInsides } from "./model-insides.ts";
import type { Caller } from "./ports.ts";
import { pullBlob } from "./pull-blob.ts";
import { pullManifest } from "./pull-manifest.ts";
import type { TrustedBase } from "./trusted-base.ts";
import { Withheld, unlessWithheld } from "./unless-withheld.ts";

type ManifestNeeds = Parameters<typeof pullManifest>[0];
type BlobNeeds = Parameters<typeof pullBlob>[0];

/** What two manifests of a repository say, compared. */
export interface Comparison extends FilesDiff {
  readonly counts: Readonly<Record<"added" | "removed" | "changed" | "renamed", number>>;
  readonly annotations: readonly ValueChange[];
  /** Changed model files whose headers can be compared. */
  readonly pairs: readonly ModelPair[];
}

/** A model file, and the one whose place it takes. */
export interface ModelPair {
  readonly from: Descriptor;
  readonly to: Descriptor;
}

/** Compares a manifest to what is trusted, as far as the caller reads both; undefined where it does not. `most` is in bytes of a manifest. */
export async function compareToTrusted(
  services: ManifestNeeds,
  caller: Caller,
  at: { readonly repository: RepositoryName; readonly digest: Digest; readonly base: TrustedBase },
  most: number,
): Promise<Comparison | undefined> {
  const from = await manifestFor(services, caller, { ...at, digest: at.base.record.digest, most });
  const to = from && (await manifestFor(services, caller, { ...at, most }));
  return from && to && comparison(from, to);
}

async function manifestFor(
  services: ManifestNeeds,
  caller: Caller,
  { repository, digest, most }: { readonly repository: RepositoryName; readonly digest: Digest; readonly most: number },
): Promise<Manifest | undefined> {
  const manifest = await unlessWithheld(async () => {
    const pulled = await pullManifest(services, caller, repository, { digest });
    return pulled.size > most ? undefined : parseManifest(await pulled.read(), pulled.mediaType);
  });
  return manifest instanceof Withheld ? undefined : manifest;
}

function comparison(from: Manifest, to: Manifest): Comparison {
  const files = diffFiles(filesOf(from), filesOf(to));
  const counts = { added: 0, removed: 0, changed: 0, renamed: 0 };
  for (const { change } of files.changes) counts[change] += 1;
  return { ...files, counts, annotations: diffValues(annotationsOf(from), annotationsOf(to)), pairs: pairsOf(from, to, files) };
}

function filesOf({ config, layers, blobs, manifests }: Manifest): readonly ComparedFile[] {
  const files = [...layers, ...blobs, ...manifests].map(fileOf);
  return config === undefined ? files : [{ ...fileOf(config), path: "(config)" }, ...files];
}

function fileOf(descriptor: Descriptor): ComparedFile {
  return { path: titleOf(descriptor) ?? "", digest: descriptor.digest, size: descriptor.size };
}

function annotationsOf({ annotations }: Manifest): readonly NamedValue[] {
  return Object.entries(annotations).map(([name, value]) => ({ name, value }));
}

/** Files of one name, and where each side has only one model file that differs, these two, whatever they are called. */
function pairsOf(from: Manifest, to: Manifest, { changes }: FilesDiff): readonly ModelPair[] {
  const [before, after] = [modelFilesOf(from), modelFilesOf(to)];
  const pairs = changes.flatMap((change): readonly ModelPair[] => {
    const [old, now] = [before.get(change.from?.digest ?? ""), after.get(change.to?.digest ?? "")];
    return change.change === "changed" && old !== undefined && now !== undefined ? [{ from: old, to: now }] : [];
  });
  if (pairs.length > 0) return pairs;
  const gone = changes.flatMap(({ change, from: old }) => (change === "removed" ? (before.get(old?.digest ?? "") ?? []) : []));
  const come = changes.flatMap(({ change, to: now }) => (change === "added" ? (after.get(now?.digest ?? "") ?? []) : []));
  const [old, now] = [gone[0], come[0]];
  return gone.length === 1 && come.length === 1 && old !== undefined && now !== undefined ? [{ from: old, to: now }] : [];
}

function modelFilesOf({ layers, blobs }: Manifest): ReadonlyMap<string, Descriptor> {
  return new Map([...layers, ...blobs].filter(isModelFile).map((layer) => [layer.digest, layer]));
}

/** The headers of two model files, compared. */
export interface InsideComparison {
  readonly path: string;
  readonly tensors: readonly ValueChange[];
  readonly metadata: readonly ValueChange[];
  /** False when the files hold more than is listed of them. */
  readonly isComplete: boolean;
}

/** Compares the headers of two files that the caller may read; or why not. */
export async function compareInside(
  { services, insides }: { readonly services: BlobNeeds; readonly insides: ModelInsides },
  caller: Caller,
  repository: RepositoryName,
  { from, to }: ModelPair,
): Promise<InsideComparison | { readonly why: string } | "under-way"> {
  const found: ModelDetails[] = [];
  for (const layer of [from, to]) {
    const withheld = await unlessWithheld(async () => (await pullBlob(services, caller, repository, layer.digest)).noteRead());
    if (withheld instanceof Withheld) return { why: withheld.why };
    const inside = await insides.of(caller, layer.digest, titleOf(layer) ?? "");
    if (inside === "under-way") return inside;
    if ("unreadable" in inside) return { why: inside.unreadable };
    found.push(inside);
  }
  const [old, now] = found;
  if (old === undefined || now === undefined) return { why: "one of them is not there" };
  return {
    path: titleOf(to) ?? to.digest,
    tensors: old.tensorsHash === now.tensorsHash ? [] : diffValues(tensorsOf(old), tensorsOf(now)),
    metadata: diffValues(metadataOf(old), metadataOf(now)),
    isComplete: [old, now].every(
      ({ facts, tensors, metadata, metadataCount }) => facts.tensorCount === tensors.length && metadataCount === metadata.length,
    ),
  };
}

function tensorsOf({ tensors }: ModelDetails): readonly NamedValue[] {
  return tensors.map(({ name, type, shape }) => ({ name, value: `${type} ${shape.length === 0 ? "scalar" : shape.join(" × ")}` }));
}

/** What is shown of a long value may be the same while it differs. */
function metadataOf({ metadata }: ModelDetails): readonly NamedValue[] {
  return metadata.map(({ key, type, value, hash }) => ({
    name: key,
    value: hash === "" ? `${type} ${value}` : `${type} ${hash.slice(0, 16)}… ${value}`,
  }));
}
