import { buffer } from "node:stream/consumers";
import { annotationOf } from "../../oci/annotation.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { isDigest } from "../../oci/digest.ts";
import { isArchive, titleOf } from "../../oci/layer-file.ts";
import type { Manifest } from "../../oci/manifest.ts";
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
/** Of a card so many bytes are read. */
const MAX_CARD = 65_536;

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
    inside: await shownInside(services, insides, look, layer),
    metadataFrom: placeIn(look.c.req.query("metadata")),
    tensorsFrom: placeIn(look.c.req.query("tensors")),
    room: look.room,
  });
}

async function shownInside(
  services: ArtifactPageServices,
  insides: ModelInsides,
  look: Look,
  layer: Descriptor,
): Promise<LookInside["inside"]> {
  const blob = await blobFor(services, look, layer);
  if (blob instanceof Withheld) return { why: blob.why };
  blob.noteRead();
  const inside = await insides.of(look.caller, layer.digest, titleOf(layer) ?? "");
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
export async function cardOf(services: ArtifactPageServices, look: Look, manifest: Manifest): Promise<Card> {
  const { repository, digest, host } = look.head;
  const layers = [...manifest.layers, ...manifest.blobs];
  const readme = layers.filter(isReadme).toSorted((a, b) => (titleOf(a)?.length ?? 0) - (titleOf(b)?.length ?? 0))[0];
  if (readme !== undefined) {
    const command = `oras blob fetch --output README.md ${host}/${repository}@${readme.digest}`;
    return cardIn(await blobFor(services, look, readme), { from: titleOf(readme) ?? "README.md", command });
  }
  const description = annotationOf(manifest.annotations, DESCRIPTION);
  if (description !== undefined && description.trim() !== "") {
    return { kind: "card", text: description, from: `the annotation ${DESCRIPTION}`, isCut: false, command: undefined };
  }
  const packed = layers.filter((layer) => isDocument(layer.mediaType) && isArchive(layer)).length;
  if (packed === 0) return { kind: "none" };
  const isKit = layers.some(({ mediaType }) => mediaType.startsWith(KIT_DOCS));
  return { kind: "packed", layers: packed, command: `${isKit ? "kit unpack --filter=docs" : "oras pull"} ${host}/${repository}@${digest}` };
}

function isReadme(descriptor: Descriptor): boolean {
  const title = titleOf(descriptor) ?? "";
  return !isArchive(descriptor) && /(?:^|\/)readme(?:\.md|\.markdown|\.txt)?$/i.test(title);
}

function isDocument(mediaType: string): boolean {
  return mediaType.startsWith(KIT_DOCS) || mediaType.startsWith(MODELPACK_DOC);
}

async function cardIn(blob: PulledBlob | Withheld, { from, command }: { readonly from: string; readonly command: string }): Promise<Card> {
  if (blob instanceof Withheld) return { kind: "unreadable", from, why: blob.why };
  const bytes = blob.size === 0 ? Buffer.alloc(0) : await buffer(await blob.open({ start: 0, end: Math.min(blob.size, MAX_CARD) - 1 }));
  const isCut = blob.size > MAX_CARD;
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes, { stream: isCut });
  return { kind: "card", text, from, isCut, command };
}
