import { digestOf, type Digest } from "../../src/oci/digest.ts";
import { OCI_IMAGE } from "../../src/oci/media-types.ts";
import type { RepositoryName, Tag } from "../../src/oci/reference.ts";
import { LAST, isOperational, keys } from "../../src/storage/keys.ts";
import type { Key, MetadataStore, Put } from "../../src/storage/metadata-store.ts";
import { type ManifestRecord, manifestRecord } from "../../src/storage/records.ts";

const EVENT = { id: "1", time: 0, type: "test.rows", actor: { principal: "test", kind: "system" as const }, outcome: "allow" as const };

/** Puts rows as they are, and removes some, for tests of what reads them. */
export async function putRows(metadata: MetadataStore, put: readonly Put[], remove: readonly Key[] = []): Promise<void> {
  await metadata.commit({ expect: [], put, remove, audit: [EVENT] });
}

/** Every row of a store but the operational ones, by its key, as JSON. */
export async function allRows(metadata: MetadataStore): Promise<ReadonlyMap<string, string>> {
  const rows = await metadata.list({ start: ["a"], end: [LAST], limit: 1_000_000 });
  return new Map(rows.filter(({ key }) => !isOperational(key)).map(({ key, value }) => [JSON.stringify(key), JSON.stringify(value)]));
}

/** The record of a manifest with some content, in some state. */
export function recordOf(content: string, over: Partial<ManifestRecord> = {}): ManifestRecord {
  const digest = digestOf(content);
  return manifestRecord.parse({
    v: 1,
    digest,
    sha512: digestOf(content, "sha512"),
    names: [digest],
    mediaType: OCI_IMAGE,
    artifactType: null,
    size: content.length,
    closureBytes: content.length,
    subject: null,
    statement: false,
    state: "acquired",
    generation: 1,
    sequence: 1,
    previous: null,
    onceTrusted: over.state === "trusted",
    revocation: null,
    uploaders: [],
    pushedBy: "test",
    pushedAt: 0,
    changedBy: "test",
    changedAt: 0,
    reason: null,
    policy: null,
    decision: null,
    ...over,
  });
}

/** The rows by which the gate knows a manifest. */
export function manifestRows(repository: RepositoryName, record: ManifestRecord): readonly Put[] {
  const { digest, sha512 } = record;
  const reach = {
    key: keys.reach(repository, { kind: "manifest", digest }, digest),
    value: { v: 1, via: [], statement: record.statement },
  };
  return [
    { key: keys.manifest(repository, digest), value: record },
    { key: keys.manifestName(repository, sha512), value: digest },
    ...(record.state === "trusted" ? [reach] : []),
  ];
}

/** The value of a tag's pointer. */
function pointerTo(digest: Digest): object {
  return { v: 1, digest, by: "test", at: 0 };
}

/** A tag that was pushed as a digest, and with `listed` one that readers see. */
export function tagRows(repository: RepositoryName, tag: Tag, digest: Digest, { listed = false } = {}): readonly Put[] {
  const value = pointerTo(digest);
  return [{ key: keys.tagPushed(repository, tag), value }, ...(listed ? [{ key: keys.tagListed(repository, tag), value }] : [])];
}

/** The row of a repository, and with `trusted` that of the readers' catalog. */
export function repositoryRows(repository: RepositoryName, trusted: boolean): readonly Put[] {
  return [
    { key: keys.repository(repository), value: { v: 1, createdAt: 0, trusted: Number(trusted) } },
    ...(trusted ? [{ key: keys.trustedRepository(repository), value: {} }] : []),
  ];
}
