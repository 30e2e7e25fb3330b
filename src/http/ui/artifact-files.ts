import { buffer } from "node:stream/consumers";
import { annotationOf } from "../../oci/annotation.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { type Digest, isDigest } from "../../oci/digest.ts";
import { type Packing, isArchive, isReadme, packingOf, titleOf } from "../../oci/layer-file.ts";
import type { Manifest } from "../../oci/manifest.ts";
import { formatOf } from "../../oci/model-name.ts";
import type { ModelInsides } from "../../registry/model-insides.ts";
import { type PulledBlob, pullBlob } from "../../registry/pull-blob.ts";
import { Withheld, unlessWithheld } from "../../registry/unless-withheld.ts";
import type { Card } from "../../ui/card.ts";
import { type LookInside, type ShownInside, insideTab } from "../../ui/inside.ts";
import type { Html } from "../../ui/html.ts";
import type { ArtifactPageServices, Look } from "./artifact-at.ts";
import { wholeNumber } from "./whole-number.ts";

const DESCRIPTION = "org.opencontainers.image.description";
const KIT_DOCS = "application/vnd.kitops.modelkit.docs.";
const MODELPACK_DOC = "application/vnd.cncf.model.doc.";
/** So many archives are looked into for a card. */
const MAX_ARCHIVES = 4;
/** Of a card so many bytes are read. */
const MAX_CARD = 65_536;

/** A layer that is an archive. */
interface PackedLayer {
  readonly digest: Digest;
  readonly packing: Packing;
}

/** The blob by the question that a pull asks; or why the caller, who reads the manifest, does not get it. */
function blobFor(services: ArtifactPageServices, look: Look, { digest }: Descriptor): Promise<PulledBlob | Withheld> {
  return unlessWithheld(() => pullBlob(services, look.caller, look.artifact.repository, digest));
}

/** The header of the file that the address names; undefined where it names none of this artifact. */
export async function insideOf(
  services: ArtifactPageServices,
  insides: ModelInsides,
  look: Look,
  manifest: Manifest,
): Promise<Html | undefined> {
  const asked = look.c.req.query("inside");
  const layer = [...manifest.layers, ...manifest.blobs].find(({ digest }) => digest === asked);
  if (asked === undefined || layer === undefined || !isDigest(asked)) return undefined;
  return insideTab({
    artifact: look.shown,
    digest: asked,
    title: titleOf(layer),
    member: packingOf(layer) && memberOf(look),
    ...(await shownInside(services, insides, look, layer)),
    filesFrom: placeIn(look.c.req.query("files")),
    metadataFrom: placeIn(look.c.req.query("metadata")),
    tensorsFrom: placeIn(look.c.req.query("tensors")),
    room: look.room,
  });
}

/** What is inside, and the path of the file where it is one of an archive. */
type Shown = Pick<LookInside, "inside" | "path">;

async function shownInside(services: ArtifactPageServices, insides: ModelInsides, look: Look, layer: Descriptor): Promise<Shown> {
  const blob = await blobFor(services, look, layer);
  if (blob instanceof Withheld) return { inside: { why: blob.why } };
  blob.noteRead();
  const packing = packingOf(layer);
  if (packing !== undefined) return insideArchive(insides, look, { digest: layer.digest, packing });
  return { inside: shownDetails(await insides.of(look.caller, layer.digest, titleOf(layer) ?? "")) };
}

/** Which file of an archive the address names, by its place in the list. */
function memberOf({ c }: Look): number | undefined {
  return wholeNumber(c.req.query("member"), 6);
}

/** The files in an archive, or the one of them that the address names. */
async function insideArchive(insides: ModelInsides, look: Look, { digest, packing }: PackedLayer): Promise<Shown> {
  const { caller } = look;
  const found = await insides.filesIn(caller, digest, packing);
  if (found === "under-way") return { inside: found };
  if ("unreadable" in found) return { inside: { why: found.unreadable } };
  const { files, isWhole } = found;
  const asked = memberOf(look);
  if (asked === undefined) {
    return { inside: { files: files.map(({ path, size }) => ({ path, size, isModelFile: formatOf(path) !== undefined })), isWhole } };
  }
  const file = files[asked];
  if (file === undefined) return { inside: { why: "the archive has fewer files than that" } };
  return { inside: shownDetails(await insides.inArchive(caller, digest, { packing, file })), path: file.path };
}

function shownDetails(inside: Awaited<ReturnType<ModelInsides["of"]>>): LookInside["inside"] {
  if (inside === "under-way") return inside;
  if ("unreadable" in inside) return { why: inside.unreadable };
  const { facts, metadata, metadataCount, tensors } = inside;
  const { format, architecture, quantization, parameters, tensorCount, suspicions } = facts;
  const shown: ShownInside = { format, architecture, quantization, parameters, tensorCount, suspicions, metadata, metadataCount, tensors };
  return shown;
}

/** A place in a list, as an address says it. */
export function placeIn(text: string | undefined): number {
  return wholeNumber(text, 6) ?? 0;
}

/** The model card of an artifact: its README, else what an annotation says of it. */
export async function cardOf(services: ArtifactPageServices, insides: ModelInsides, look: Look, manifest: Manifest): Promise<Card> {
  const { repository, host } = look.head;
  const layers = [...manifest.layers, ...manifest.blobs];
  const readme = layers.filter(isReadmeFile).toSorted((a, b) => (titleOf(a)?.length ?? 0) - (titleOf(b)?.length ?? 0))[0];
  if (readme !== undefined) {
    const command = `oras blob fetch --output README.md ${host}/${repository}@${readme.digest}`;
    return cardIn(await blobFor(services, look, readme), { from: titleOf(readme) ?? "README.md", command });
  }
  const description = annotationOf(manifest.annotations, DESCRIPTION);
  if (description !== undefined && description.trim() !== "") {
    return { kind: "card", text: description, from: `the annotation ${DESCRIPTION}`, isCut: false, command: undefined };
  }
  const documents = layers.filter((layer) => isDocument(layer.mediaType) && isArchive(layer));
  if (documents.length === 0) return { kind: "none" };
  const found = await packedCard(services, insides, look, documents);
  return found ?? { kind: "packed", layers: documents.length, command: unpackCommand(look, documents) };
}

/** The README in one of the archives of documents: the first few are looked into, and each once, while a page may wait. */
async function packedCard(
  services: ArtifactPageServices,
  insides: ModelInsides,
  look: Look,
  documents: readonly Descriptor[],
): Promise<Card | undefined> {
  const until = performance.now() + insides.patience;
  for (const layer of documents.slice(0, MAX_ARCHIVES)) {
    const packing = packingOf(layer);
    if (packing === undefined) continue;
    const blob = await blobFor(services, look, layer);
    if (blob instanceof Withheld) return { kind: "unreadable", from: "an archive of documents", why: blob.why };
    blob.noteRead();
    const found = await insides.cardIn(look.caller, { digest: layer.digest, packing }, until - performance.now());
    if (found === "under-way")
      return { kind: "unreadable", from: "an archive of documents", why: "it is still being read: look again in some seconds" };
    if ("unreadable" in found) continue;
    const { path, bytes, isCut } = found;
    return {
      kind: "card",
      text: textOf(bytes, isCut),
      from: `${path}, which is packed with other documents`,
      isCut,
      command: unpackCommand(look, documents),
    };
  }
  return undefined;
}

function unpackCommand({ head: { repository, digest, host } }: Look, documents: readonly Descriptor[]): string {
  const isKit = documents.some(({ mediaType }) => mediaType.startsWith(KIT_DOCS));
  return `${isKit ? "kit unpack --filter=docs" : "oras pull"} ${host}/${repository}@${digest}`;
}

function isReadmeFile(descriptor: Descriptor): boolean {
  return !isArchive(descriptor) && isReadme(titleOf(descriptor) ?? "");
}

function isDocument(mediaType: string): boolean {
  return mediaType.startsWith(KIT_DOCS) || mediaType.startsWith(MODELPACK_DOC);
}

async function cardIn(blob: PulledBlob | Withheld, { from, command }: { readonly from: string; readonly command: string }): Promise<Card> {
  if (blob instanceof Withheld) return { kind: "unreadable", from, why: blob.why };
  const bytes = blob.size === 0 ? Buffer.alloc(0) : await buffer(await blob.open({ start: 0, end: Math.min(blob.size, MAX_CARD) - 1 }));
  const isCut = blob.size > MAX_CARD;
  return { kind: "card", text: textOf(bytes, isCut), from, isCut, command };
}

/** Of what was cut, a character at its end may be cut, too. */
function textOf(bytes: Uint8Array, isCut: boolean): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes, { stream: isCut });
}
