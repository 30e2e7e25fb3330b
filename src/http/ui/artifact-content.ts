import type { Descriptor } from "../../oci/descriptor.ts";
import { isModelFile, packingOf, titleOf } from "../../oci/layer-file.ts";
import { type Manifest, parseManifest } from "../../oci/manifest.ts";
import { seenArtifact } from "../../registry/find-artifact.ts";
import { listReferrers } from "../../registry/list-referrers.ts";
import type { Services } from "../../registry/ports.ts";
import { pullManifest } from "../../registry/pull-manifest.ts";
import { Withheld, unlessWithheld } from "../../registry/unless-withheld.ts";
import { type ManifestEntry, contentsTab } from "../../ui/contents.ts";
import type { Html } from "../../ui/html.ts";
import { rawTab, withheld } from "../../ui/raw.ts";
import { type Referrer, referrersTab } from "../../ui/referrers.ts";
import { decisionAnswer } from "../../api/decision.ts";
import type { ModelInsides } from "../../registry/model-insides.ts";
import { cardTab } from "../../ui/card.ts";
import type { ArtifactPageServices, Look } from "./artifact-at.ts";
import { cardOf, insideOf, placeIn } from "./artifact-files.ts";

const MAX_ENTRIES = 60;
const MAX_ANNOTATIONS = 20;
/** At their longest they fill a page. */
const MAX_REFERRERS = 15;
const TITLE = "org.opencontainers.image.title";
/** The first of these annotations says what a referrer is. */
const SAYING = [
  "dev.ai-model-registry.lifecycle.state",
  "dev.sigstore.bundle.predicateType",
  TITLE,
  "org.opencontainers.image.description",
];

interface Content {
  readonly bytes: Uint8Array;
  readonly mediaType: string;
}

/** The manifest's bytes by the question that a pull asks; or why the caller, who sees the record, does not read them. */
function contentFor(services: ArtifactPageServices, { caller, artifact, shown }: Look): Promise<Content | Withheld> {
  return unlessWithheld(async () => {
    const pulled = await pullManifest(services, caller, artifact.repository, { digest: shown.digest });
    return { bytes: await pulled.read(), mediaType: pulled.mediaType };
  });
}

/** The manifest as it was pushed. */
export async function rawOf(services: ArtifactPageServices, look: Look): Promise<Html> {
  const content = await contentFor(services, look);
  if (content instanceof Withheld) return withheld("Manifest", content.why);
  const { repository, digest, host } = look.head;
  return rawTab({
    mediaType: content.mediaType,
    text: Buffer.from(content.bytes).toString("utf8"),
    size: content.bytes.length,
    room: look.room,
    command: `oras manifest fetch ${host}/${repository}@${digest}`,
  });
}

/** What its publisher says of it. */
export async function cardTabOf(services: ArtifactPageServices, look: Look, insides: ModelInsides): Promise<Html> {
  const content = await contentFor(services, look);
  if (content instanceof Withheld) return withheld("Model card", content.why);
  return cardTab(await cardOf(services, insides, look, parseManifest(content.bytes, content.mediaType)), look.room);
}

/** What the manifest names, or what is in one of the files. */
export async function contentsOf(services: ArtifactPageServices, look: Look, insides: ModelInsides): Promise<Html> {
  const content = await contentFor(services, look);
  if (content instanceof Withheld) return withheld("Contents", content.why);
  const manifest = parseManifest(content.bytes, content.mediaType);
  const inside = await insideOf(services, insides, look, manifest);
  if (inside !== undefined) return inside;
  const all = entriesOf(manifest);
  const from = Math.min(placeIn(look.c.req.query("from")), all.length);
  const annotations = Object.entries(manifest.annotations);
  const entries = all.slice(from, from + MAX_ENTRIES);
  return contentsTab({
    artifact: look.shown,
    entries: await Promise.all(entries.map((entry) => withState(services, look, entry))),
    from,
    total: all.length,
    annotations: annotations.slice(0, MAX_ANNOTATIONS),
    moreAnnotations: Math.max(0, annotations.length - MAX_ANNOTATIONS),
    room: look.room,
  });
}

type Named = Omit<ManifestEntry, "state"> & { readonly descriptor: Descriptor };

function entriesOf({ config, layers, blobs, manifests }: Manifest): readonly Named[] {
  return [
    ...(config === undefined ? [] : [named("config", config)]),
    ...layers.map((each) => named("layer", each)),
    ...blobs.map((each) => named("blob", each)),
    ...manifests.map((each) => named("manifest", each)),
  ];
}

function named(role: ManifestEntry["role"], descriptor: Descriptor): Named {
  const { digest, mediaType, size } = descriptor;
  const isFile = role === "layer" || role === "blob";
  const hasInside = isFile && (isModelFile(descriptor) || packingOf(descriptor) !== undefined);
  return { role, digest, mediaType, size, title: titleOf(descriptor), hasInside, descriptor };
}

/** What an index holds has states of its own, which the caller sees where it sees the artifact. */
async function withState(services: Pick<Services, "metadata">, { caller, artifact }: Look, entry: Named): Promise<ManifestEntry> {
  const { descriptor, ...shown } = entry;
  if (entry.role !== "manifest") return { ...shown, state: undefined };
  const found = await seenArtifact(services, caller, artifact.repository, descriptor.digest);
  return { ...shown, state: found?.record.state };
}

/** What is attached to the artifact, as the list of referrers shows it to the caller. */
export async function referrersOf(services: ArtifactPageServices, { c, caller, artifact, shown }: Look): Promise<Html> {
  const { repository, record } = artifact;
  const page = { n: MAX_REFERRERS, last: c.req.query("last") };
  const { referrers, next } = await listReferrers(services, caller, { repository, subject: record.digest, artifactType: undefined, page });
  const covers = new Set<string>(decisionAnswer.safeParse(shown.decision).data?.covers);
  const rows = referrers.map(async ({ digest, mediaType, artifactType, size, annotations = {} }): Promise<Referrer> => {
    const said = SAYING.find((key) => Object.hasOwn(annotations, key));
    // What the registry wrote itself is listed and is no artifact; whatever annotations say, others did not.
    const isArtifact = (await seenArtifact(services, caller, repository, digest)) !== undefined;
    return {
      digest,
      size,
      type: artifactType ?? mediaType,
      says: said === undefined ? "" : (annotations[said] ?? ""),
      standing: isArtifact ? (covers.has(digest) ? "covered" : "attached later") : "the registry's statement",
    };
  });
  return referrersTab(shown, await Promise.all(rows), next);
}
