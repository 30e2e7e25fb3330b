import { type StatementLabel, statementManifest } from "../lifecycle/statement.ts";
import { type Digest, digestOf } from "../oci/digest.ts";
import { type Manifest, parseManifest } from "../oci/manifest.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { STATEMENT_RANK } from "../oci/referrer.ts";
import { keys } from "../storage/keys.ts";
import type { Expectation, Key, Put } from "../storage/metadata-store.ts";
import { type ManifestRecord, manifestRecord } from "../storage/records.ts";
import { newManifestRows, referrerRow, servedReferrerKey } from "./manifest-rows.ts";
import { REGISTRY_ITSELF } from "./own-blobs.ts";
import type { Services } from "./ports.ts";

/** A signed statement with what it is attached to. */
export interface SignedStatement {
  readonly repository: RepositoryName;
  readonly artifact: ManifestRecord;
  readonly bundle: Uint8Array;
  readonly label: StatementLabel;
}

/** A statement as it is stored: a referrer of its artifact, listed for readers too. */
export interface StoredStatement {
  readonly manifest: Digest;
  readonly bundle: Digest;
  /** Bytes of its blobs. */
  readonly blobs: readonly Uint8Array[];
  /** Nobody can have pushed the same bytes before: its signature is new. */
  readonly expect: readonly Expectation[];
  readonly put: readonly Put[];
}

/** The manifest of a signed statement, and the rows that hold it. */
export function storedStatement({ repository, artifact, bundle, label }: SignedStatement): StoredStatement {
  const digest = artifact.names[0] ?? artifact.digest;
  const subject = { repository, mediaType: artifact.mediaType, digest, size: artifact.size };
  const { manifest: bytes, config } = statementManifest(bundle, subject, label);
  const manifest = parseManifest(bytes, undefined);
  const record = recordOf(bytes, manifest, { subject: digest, at: label.at });
  const written = { repository, record, manifest };
  const referrer = referrerRow(written);
  const served = referrer === undefined ? [] : [{ key: servedReferrerKey(referrer.key), value: referrer.value }];
  return {
    manifest: record.digest,
    bundle: digestOf(bundle),
    blobs: [config, bundle],
    expect: [{ key: keys.manifest(repository, record.digest), version: "absent" }],
    put: [...newManifestRows(written, bytes, new Set()), ...served],
  };
}

/** The rows that list a statement; without them it is there for whoever knows its digest, and may read it. */
export async function listingOf(
  { metadata }: Pick<Services, "metadata">,
  repository: RepositoryName,
  statement: Digest,
): Promise<readonly Key[]> {
  const entry = await metadata.get(keys.manifest(repository, statement));
  const { subject } = manifestRecord.parse(entry?.value);
  if (subject === null) return [];
  const row = keys.referrer(repository, subject, STATEMENT_RANK, statement);
  return [row, servedReferrerKey(row)];
}

function recordOf(
  bytes: Uint8Array,
  { mediaType, artifactType, blobReferences }: Manifest,
  { subject, at }: { readonly subject: Digest; readonly at: number },
): ManifestRecord {
  const digest = digestOf(bytes);
  return manifestRecord.parse({
    v: 1,
    digest,
    sha512: digestOf(bytes, "sha512"),
    names: [digest],
    mediaType,
    artifactType: artifactType ?? null,
    size: bytes.byteLength,
    closureBytes: bytes.byteLength + blobReferences.reduce((sum, { size }) => sum + size, 0),
    subject,
    statement: true,
    state: "acquired",
    generation: 1,
    sequence: 0,
    previous: null,
    onceTrusted: false,
    revocation: null,
    uploaders: [],
    pushedBy: REGISTRY_ITSELF,
    pushedAt: at,
    changedBy: REGISTRY_ITSELF,
    changedAt: at,
    reason: null,
    policy: null,
    decision: null,
  });
}
