import { buffer } from "node:stream/consumers";
import { z } from "zod";
import type { State } from "../lifecycle/state.ts";
import { annotationOf } from "../oci/annotation.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { type Digest, digestSchema, isDigest } from "../oci/digest.ts";
import { JsonError, parseJson } from "../oci/json.ts";
import { type Manifest, parseManifest } from "../oci/manifest.ts";
import { type RepositoryName, isRepositoryName } from "../oci/reference.ts";
import { keys, under } from "../storage/keys.ts";
import type { ManifestRecord } from "../storage/records.ts";
import { type Provenance, readProvenance } from "../trust/slsa-provenance.ts";
import { type Subject, subjectOf } from "../trust/subject.ts";
import { type FoundArtifact, seenArtifact } from "./find-artifact.ts";
import { listReferrers } from "./list-referrers.ts";
import type { Caller } from "./ports.ts";
import { pullBlob } from "./pull-blob.ts";
import { pullManifest } from "./pull-manifest.ts";
import { findManifest } from "./serving.ts";
import { promotedPointer, tagsOf } from "./tags.ts";
import { Withheld, unlessWithheld } from "./unless-withheld.ts";

type Needs = Parameters<typeof pullBlob>[0];

/** An attested provenance, and the referrer that holds it. */
export interface AttestedProvenance {
  readonly manifest: Digest;
  readonly provenance: Provenance;
}

/** Another artifact that it has to do with. */
interface RelatedArtifact {
  readonly relation: "holds" | "is in" | "is attached to" | "carries" | "is the same as" | "is based on";
  readonly repository: RepositoryName;
  readonly digest: Digest;
  readonly state: State;
  readonly type: string;
}

/** Where an artifact comes from and where it went, as far as the caller may see it. */
export interface ArtifactProvenance {
  /** What annotations say, and a model's config, which anybody writes who pushes. */
  readonly annotated: Said;
  readonly configured: Said;
  readonly attested: readonly AttestedProvenance[];
  readonly related: readonly RelatedArtifact[];
  /** The tags by which runtimes find it; `at` is in epoch milliseconds. */
  readonly promotions: readonly { readonly tag: string; readonly by: string; readonly at: number }[];
  /** True when there is more than is looked for. */
  readonly isCut: boolean;
}

/** What somebody says that an artifact was made of. */
interface Said {
  readonly source?: string;
  readonly revision?: string;
  readonly base?: string;
}

/** Of the config of a model (ModelPack's docs/config.md). */
const MODEL_CONFIG = "application/vnd.cncf.model.config.v1+json";
const configSchema = z.looseObject({
  descriptor: z.looseObject({ sourceURL: z.string().max(2_048).exactOptional(), revision: z.string().max(512).exactOptional() }),
});

const IMAGE = "org.opencontainers.image.";
const MAX_REFERRERS = 40;
const MAX_ATTESTATIONS = 8;
const MAX_BYTES = 1_048_576;
const MAX_CONFIG = 65_536;
/** Types of layers that may hold an attestation. */
const ATTESTATION = /sigstore\.bundle|dsse|in-toto/;
const MAX_RELATED = 40;
/** Of what an index holds so many are looked up, seen or not. */
const MAX_HELD = 100;
const MAX_TAGS = 40;

/** Gathers it. What is attested is read and not verified: whether it counts, the decision of a promotion says. */
export async function provenanceOf(services: Needs, caller: Caller, artifact: FoundArtifact): Promise<ArtifactProvenance | undefined> {
  const content = await contentFor(services, caller, artifact.repository, artifact.record.digest);
  if (content instanceof Withheld) return undefined;
  const { repository, record } = artifact;
  const { manifest } = content;
  const page = { n: MAX_REFERRERS, last: undefined };
  const listed = await listReferrers(services, caller, { repository, subject: record.digest, artifactType: undefined, page });
  const referrers = listed.referrers.map(({ digest }) => digest);
  const attested = await attestationsIn(services, caller, repository, { referrers, subject: content });
  const look = new RelatedLook(services, caller, repository);
  await look.add("is based on", baseOf(manifest));
  for (const { digest } of manifest.manifests.slice(0, MAX_HELD)) await look.add("holds", digest);
  for (const digest of await parentsOf(services, repository, record)) await look.add("is in", digest);
  await look.add("is attached to", record.subject ?? undefined);
  for (const digest of referrers) await look.add("carries", digest);
  await look.addCopies(record);
  return {
    annotated: annotatedIn(manifest),
    configured: await configuredIn(services, caller, repository, manifest),
    attested,
    related: look.found,
    promotions: await promotionsOf(services, repository, record),
    isCut: look.isCut || manifest.manifests.length > MAX_HELD || listed.next !== undefined,
  };
}

function contentFor(services: Needs, caller: Caller, repository: RepositoryName, digest: Digest): Promise<Subject | Withheld> {
  return unlessWithheld(async () => {
    const pulled = await pullManifest(services, caller, repository, { digest });
    return subjectOf(await pulled.read(), pulled.mediaType);
  });
}

function imageAnnotation({ annotations }: Manifest, name: string): string | undefined {
  return annotationOf(annotations, IMAGE + name);
}

function annotatedIn(manifest: Manifest): Said {
  const [source, revision] = [imageAnnotation(manifest, "source"), imageAnnotation(manifest, "revision")];
  const base = imageAnnotation(manifest, "base.name") ?? imageAnnotation(manifest, "base.digest");
  return { ...(source !== undefined && { source }), ...(revision !== undefined && { revision }), ...(base !== undefined && { base }) };
}

async function configuredIn(services: Needs, caller: Caller, repository: RepositoryName, { config }: Manifest): Promise<Said> {
  if (config?.mediaType !== MODEL_CONFIG || config.size === 0 || config.size > MAX_CONFIG) return {};
  const said = await unlessWithheld(async () => {
    const blob = await pullBlob(services, caller, repository, config.digest);
    return saidIn(await buffer(await blob.open({ start: 0, end: config.size - 1 })));
  });
  return said instanceof Withheld ? {} : said;
}

function saidIn(config: Uint8Array): Said {
  try {
    const { sourceURL: source, revision } = configSchema.safeParse(parseJson(config)).data?.descriptor ?? {};
    return { ...(source !== undefined && { source }), ...(revision !== undefined && { revision }) };
  } catch (error) {
    if (error instanceof JsonError) return {};
    throw error;
  }
}

function baseOf(manifest: Manifest): Digest | undefined {
  const digest = imageAnnotation(manifest, "base.digest") ?? "";
  return isDigest(digest) ? digest : undefined;
}

/** What referrers attest of the build; each is read as a pull reads it. */
async function attestationsIn(
  services: Needs,
  caller: Caller,
  repository: RepositoryName,
  { referrers, subject }: { readonly referrers: readonly Digest[]; readonly subject: Subject },
): Promise<readonly AttestedProvenance[]> {
  const attested: AttestedProvenance[] = [];
  for (const digest of referrers) {
    if (attested.length === MAX_ATTESTATIONS) break;
    const provenance = await attestationIn(services, caller, repository, { digest, subject });
    if (provenance !== undefined && !(provenance instanceof Withheld)) attested.push({ manifest: digest, provenance });
  }
  return attested;
}

function attestationIn(
  services: Needs,
  caller: Caller,
  repository: RepositoryName,
  { digest, subject }: { readonly digest: Digest; readonly subject: Subject },
): Promise<Provenance | Withheld | undefined> {
  return unlessWithheld(async () => {
    const pulled = await pullManifest(services, caller, repository, { digest });
    const { layers } = parseManifest(await pulled.read(), pulled.mediaType);
    const [layer] = layers;
    if (layers.length !== 1 || layer === undefined || !isReadable(layer)) return undefined;
    const blob = await pullBlob(services, caller, repository, layer.digest);
    const bytes = await buffer(await blob.open({ start: 0, end: layer.size - 1 }));
    return readProvenance(bytes, subject);
  });
}

function isReadable({ mediaType, size }: Descriptor): boolean {
  return size > 0 && size <= MAX_BYTES && ATTESTATION.test(mediaType);
}

/** Indexes that hold it. */
async function parentsOf({ metadata }: Needs, repository: RepositoryName, { digest }: ManifestRecord): Promise<readonly Digest[]> {
  const rows = await metadata.list(under(keys.edges(repository, { kind: "manifest", digest }), MAX_RELATED));
  return rows.map(({ key }) => digestSchema.parse(key[4]));
}

/** Looks up other artifacts, of which the caller sees those that it would see on their own. */
class RelatedLook {
  readonly found: RelatedArtifact[] = [];
  isCut = false;
  readonly #services: Needs;
  readonly #caller: Caller;
  readonly #repository: RepositoryName;

  constructor(services: Needs, caller: Caller, repository: RepositoryName) {
    this.#services = services;
    this.#caller = caller;
    this.#repository = repository;
  }

  async add(relation: RelatedArtifact["relation"], digest: Digest | undefined, repository = this.#repository): Promise<void> {
    if (digest === undefined || this.isCut) return;
    const seen = await seenArtifact(this.#services, this.#caller, repository, digest);
    if (seen === undefined) return;
    // Not before: that there is more must not tell of what the caller may not see.
    this.isCut = this.found.length === MAX_RELATED;
    if (this.isCut) return;
    const { state, artifactType, mediaType } = seen.record;
    this.found.push({ relation, repository, digest, state, type: artifactType ?? mediaType });
  }

  /** The same manifest in other repositories. */
  async addCopies({ digest }: ManifestRecord): Promise<void> {
    for (const { key } of await this.#services.metadata.list(under(keys.manifestRepositories(digest), MAX_RELATED))) {
      const name = String(key[2]);
      if (isRepositoryName(name) && name !== this.#repository) await this.add("is the same as", digest, name);
    }
  }
}

async function promotionsOf(
  services: Needs,
  repository: RepositoryName,
  { digest }: ManifestRecord,
): Promise<ArtifactProvenance["promotions"]> {
  const promotions: { tag: string; by: string; at: number }[] = [];
  for (const { tag, promoted } of (await tagsOf(services, repository, digest)).slice(0, MAX_TAGS)) {
    const pointer = promoted ? await promotedPointer(services, repository, tag) : undefined;
    const means = pointer && (await findManifest(services, repository, pointer.record.digest));
    if (means?.record.digest === digest && pointer !== undefined) promotions.push({ tag, by: pointer.record.by, at: pointer.record.at });
  }
  return promotions;
}
