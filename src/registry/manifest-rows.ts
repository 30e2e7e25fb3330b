import type { Digest } from "../oci/digest.ts";
import type { Manifest } from "../oci/manifest.ts";
import { referrerDescriptor, referrerRank } from "../oci/referrer.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { formatKeys, waitingKeys } from "./artifact-index.ts";
import { type Content, keys } from "../storage/keys.ts";
import type { Key, Put } from "../storage/metadata-store.ts";
import type { EdgeRecord, ManifestRecord } from "../storage/records.ts";

/** What a manifest is written from. */
export interface WrittenManifest {
  readonly repository: RepositoryName;
  readonly record: ManifestRecord;
  readonly manifest: Manifest;
}

/**
 * The rows that hold a manifest which the repository did not have, or had deleted; its record included. `closed` are the blobs that it
 * names and does not open to anybody.
 */
export function newManifestRows(
  { repository, record, manifest }: WrittenManifest,
  bytes: Uint8Array,
  closed: ReadonlySet<Digest>,
): readonly Put[] {
  const { digest, sha512 } = record;
  const put: Put[] = [
    { key: keys.manifest(repository, digest), value: record },
    { key: keys.manifestContent(repository, digest), value: bytes },
    { key: keys.manifestName(repository, sha512), value: digest },
    { key: keys.manifestRepository(digest, repository), value: {} },
    ...edgesOf({ repository, record, manifest }).map((child) => ({
      key: keys.edge(repository, child, digest),
      value: (child.kind === "blob" && closed.has(child.digest) ? { closed: true } : {}) satisfies EdgeRecord,
    })),
  ];
  const referrer = referrerRow({ repository, record, manifest });
  if (referrer !== undefined) put.push(referrer);
  if (record.statement) return put;
  const turn = referrerTurnKey({ repository, record, manifest });
  const indexed = [
    ...waitingKeys(repository, record),
    ...formatKeys({ repository, record, manifest }),
    ...(turn === undefined ? [] : [turn]),
  ];
  return [...put, { key: keys.artifactState(record.state, repository, digest), value: {} }, ...indexed.map((key) => ({ key, value: {} }))];
}

/** The keys to remove when a manifest's content goes; its record, chain and decisions stay (DESIGN §2). */
export function contentKeys({ repository, record, manifest }: WrittenManifest): readonly Key[] {
  const { digest } = record;
  const referrer = referrerRow({ repository, record, manifest });
  const turn = referrerTurnKey({ repository, record, manifest });
  return [
    keys.manifestContent(repository, digest),
    keys.reading(repository, digest),
    ...formatKeys({ repository, record, manifest }),
    ...edgesOf({ repository, record, manifest }).flatMap((child) => [
      keys.edge(repository, child, digest),
      keys.deadEdge(repository, child, digest),
    ]),
    ...(referrer === undefined ? [] : [referrer.key, servedReferrerKey(referrer.key)]),
    ...(turn === undefined ? [] : [turn]),
  ];
}

/** What a manifest names: its blobs and child manifests, each once. */
export function edgesOf({ manifest }: WrittenManifest): readonly Content[] {
  const [blobs, children] = [manifest.blobReferences, manifest.manifestReferences].map(
    (references) => new Set(references.map(({ digest }) => digest)),
  );
  return [
    ...[...(blobs ?? [])].map((digest) => ({ kind: "blob", digest }) as const),
    ...[...(children ?? [])].map((digest) => ({ kind: "manifest", digest }) as const),
  ];
}

/** The row that lists a manifest under its subject; undefined for one without. */
export function referrerRow({ repository, record, manifest }: WrittenManifest): Put | undefined {
  if (record.subject === null) return undefined;
  const rank = referrerRank(manifest, record.statement);
  const descriptor = referrerDescriptor(manifest, record.names[0] ?? record.digest, record.size);
  return { key: keys.referrer(repository, record.subject, rank, record.digest), value: { v: 1, descriptor } };
}

/** The row of a referrer among those of who attached it; undefined for statements, and for what has no subject. */
export function referrerTurnKey({ repository, record, manifest }: WrittenManifest): Key | undefined {
  if (record.subject === null || record.statement) return undefined;
  const { subject, digest, pushedAt } = record;
  return keys.referrerBy(repository, subject, personOf(record), [referrerRank(manifest, false), pushedAt, digest]);
}

/** Who attached it first, as a person (RULES 17). */
export function personOf({ uploaders, pushedBy }: Pick<ManifestRecord, "uploaders" | "pushedBy">): string {
  return uploaders[0] ?? pushedBy;
}

/** The readers' twin of a referrer row. */
export function servedReferrerKey(referrer: Key): Key {
  return ["referrer-served", ...referrer.slice(1)];
}
