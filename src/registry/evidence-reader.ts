import { buffer } from "node:stream/consumers";
import { z } from "zod";
import type { Descriptor } from "../oci/descriptor.ts";
import { type Digest, algorithmOf, digestOf } from "../oci/digest.ts";
import type { Manifest } from "../oci/manifest.ts";
import type { RepositoryName } from "../oci/reference.ts";
import {
  type Candidate,
  EVIDENCE_FORMATS,
  type FoundCandidate,
  type Read,
  type Skipped,
  candidatesOf,
  evidenceLayers,
  ownCandidatesOf,
  ownSignatureLayers,
} from "../trust/candidate.ts";
import { VERIFIER, type Verdict, reasonSchema, verdictSchema } from "../trust/verdict.ts";
import { keys } from "../storage/keys.ts";
import type { Expectation } from "../storage/metadata-store.ts";
import { type ReadingRecord, readingRecord } from "../storage/policy-records.ts";
import { type ManifestRecord, blobRecord } from "../storage/records.ts";
import { loadManifest } from "./closure.ts";
import type { Services } from "./ports.ts";

type Needs = Pick<Services, "metadata" | "blobs">;

/** Bytes that are read of one manifest's evidence, and of all of it: nobody's large junk may take the place of others' evidence. */
const MAX_BYTES_OF_ONE = 4 * 1_048_576;
const MAX_BYTES = 64 * 1_048_576;

/** A candidate whose claim is read when it has to be verified, and not where the verdict is known. */
export interface HeldCandidate extends FoundCandidate {
  /** The verdict that was written down by a `verdictKey`, if one was. */
  readonly verdictBy: (key: Digest) => Verdict | undefined;
  /** Undefined when its bytes are not there any more. */
  readonly claimed: () => Promise<Candidate | undefined>;
}

/** What a manifest holds; undefined when its own content is gone. */
export interface ReadManifest {
  readonly candidates: readonly HeldCandidate[];
  readonly skipped: readonly Skipped[];
  /** The layers that were read, when those are all that may be evidence. */
  readonly layers: readonly Pick<Descriptor, "digest" | "size">[] | undefined;
}

/** Reads evidence within the bounds of one decision. */
export class EvidenceReader {
  readonly grounds = new Map<Digest, Expectation[]>();
  readonly #needs: Needs;
  readonly #repository: RepositoryName;
  readonly #readings = new Map<Digest, ReadingRecord>();
  #left = MAX_BYTES;

  constructor(needs: Needs, repository: RepositoryName) {
    this.#needs = needs;
    this.#repository = repository;
  }

  expect(manifest: Digest, expectation: Expectation): void {
    this.grounds.set(manifest, [...(this.grounds.get(manifest) ?? []), expectation]);
  }

  /** What is in a referrer or legacy tag: as it was read when it was attached, while its layers are there, else read now. */
  async read(record: ManifestRecord): Promise<ReadManifest | undefined> {
    return (await this.#readBefore(record)) ?? this.readNow(record);
  }

  /** Why nothing in a referrer is evidence, as it was found when it was attached; undefined where something was, or nobody looked. */
  async heldNothing(manifest: Digest): Promise<readonly Skipped[] | undefined> {
    const reading = await this.#readingOf(manifest);
    return reading === undefined || reading.candidates.length > 0 ? undefined : reading.skipped.map((each) => skippedOf(manifest, each));
  }

  /** What is in a referrer or legacy tag, from its bytes. */
  async readNow(record: ManifestRecord): Promise<ReadManifest | undefined> {
    const manifest = await loadManifest(this.#needs, this.#repository, record);
    if (manifest === undefined) return undefined;
    const layers = evidenceLayers(manifest);
    const blobs = await this.#load(record.digest, layers);
    const isWhole = layers.every(({ digest }) => blobs.has(digest));
    return { ...held(candidatesOf({ digest: record.digest, manifest, blobs })), layers: isWhole ? layers : undefined };
  }

  /** Files of the artifact that are signatures of itself. */
  async readOwn({ digest }: ManifestRecord, manifest: Manifest): Promise<ReadManifest> {
    const blobs = await this.#load(digest, ownSignatureLayers(manifest));
    return { ...held(ownCandidatesOf({ digest, manifest, blobs })), layers: undefined };
  }

  async #readBefore(record: ManifestRecord): Promise<ReadManifest | undefined> {
    const reading = await this.#readingOf(record.digest);
    if (reading === undefined) return undefined;
    for (const layer of new Map(reading.layers.map((each) => [each.digest, each])).values())
      if (!(await this.#isThere(record.digest, layer))) return undefined;
    const { digest: manifest } = record;
    const now = once(async () => (await this.readNow(record))?.candidates ?? []);
    return {
      candidates: reading.candidates.map((candidate) => ({
        ...placeOf(manifest, candidate),
        verdictBy: verdictsOf(candidate),
        claimed: async () => (await now()).find(({ id, blob }) => id === candidate.id && blob === candidate.blob)?.claimed(),
      })),
      skipped: reading.skipped.map((each) => skippedOf(manifest, each)),
      layers: reading.layers,
    };
  }

  async #readingOf(manifest: Digest): Promise<ReadingRecord | undefined> {
    const known = this.#readings.get(manifest);
    if (known !== undefined) return known;
    const entry = await this.#needs.metadata.get(keys.reading(this.#repository, manifest));
    const reading = entry && readingRecord.parse(entry.value);
    if (reading?.verifier !== VERIFIER) return undefined;
    this.#readings.set(manifest, reading);
    return reading;
  }

  /** The bytes of those of a manifest's layers that the repository has, intact and as large as they are said to be. */
  async #load(manifest: Digest, layers: readonly Descriptor[]): Promise<ReadonlyMap<Digest, Uint8Array>> {
    const loaded = new Map<Digest, Uint8Array>();
    let left = MAX_BYTES_OF_ONE;
    for (const { digest, size } of layers) {
      if (loaded.has(digest) || size > Math.min(left, this.#left)) continue;
      const bytes = await this.#bytesOf(manifest, { digest, size });
      if (bytes === undefined) continue;
      left -= size;
      this.#left -= size;
      loaded.set(digest, bytes);
    }
    return loaded;
  }

  async #bytesOf(manifest: Digest, layer: Pick<Descriptor, "digest" | "size">): Promise<Uint8Array | undefined> {
    if (!(await this.#isThere(manifest, layer))) return undefined;
    const { digest, size } = layer;
    // Of a stream of unknown length the store reads far more at a time than evidence has.
    const bytes = await buffer(await this.#needs.blobs.open(digest, { start: 0, end: Math.max(0, size - 1) }));
    return digestOf(bytes, algorithmOf(digest)) === digest ? bytes : undefined;
  }

  async #isThere(manifest: Digest, { digest, size }: Pick<Descriptor, "digest" | "size">): Promise<boolean> {
    const { metadata } = this.#needs;
    const [link, blob] = [await metadata.get(keys.link(this.#repository, digest)), await metadata.get(keys.blob(digest))];
    if (link === undefined || blob === undefined) return false;
    const { damaged, status, size: stored } = blobRecord.parse(blob.value);
    if (damaged || status !== "present" || stored !== size) return false;
    this.expect(manifest, { key: link.key, version: link.version });
    return true;
  }
}

function held({ candidates, skipped }: Read): Pick<ReadManifest, "candidates" | "skipped"> {
  return { candidates: candidates.map((each) => ({ ...each, verdictBy: noVerdict, claimed: () => Promise.resolve(each) })), skipped };
}

function noVerdict(): undefined {
  return undefined;
}

function once<T>(work: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | undefined;
  return () => (result ??= work());
}

type ReadCandidate = ReadingRecord["candidates"][number];
const formatSchema = z.enum(EVIDENCE_FORMATS);

function placeOf(manifest: Digest, { format, blob, id }: ReadCandidate): FoundCandidate {
  return { format: formatSchema.parse(format), manifest, blob, id };
}

/** Each is read when it is asked for: this process remembers most of them. */
function verdictsOf({ verdicts }: ReadCandidate): HeldCandidate["verdictBy"] {
  return (key) => {
    const known = verdicts.find(({ of }) => of === key);
    return known && verdictSchema.parse(JSON.parse(known.verdict));
  };
}

function skippedOf(manifest: Digest, { blob, code, message }: ReadingRecord["skipped"][number]): Skipped {
  return { manifest, blob: blob ?? undefined, code: reasonSchema.parse(code), message };
}
