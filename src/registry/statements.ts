import { type StatementFacts, statementConfig, statementManifest, statementPayload } from "../lifecycle/statement.ts";
import { type Digest, digestOf } from "../oci/digest.ts";
import { type Manifest, parseManifest } from "../oci/manifest.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { type Content, keys } from "../storage/keys.ts";
import type { Expectation, Key, Put } from "../storage/metadata-store.ts";
import { type ManifestRecord, type StatementRecord, manifestRecord, statementRecord } from "../storage/records.ts";
import { contentKeys, newManifestRows, referrerRow, servedReferrerKey } from "./manifest-rows.ts";
import { REGISTRY_ITSELF, publishOwnBlobs } from "./own-blobs.ts";
import type { Services } from "./ports.ts";

type Needs = Pick<Services, "metadata" | "blobs" | "clock" | "newId" | "settings">;

/** What a transition says; the chain adds sequence and previous. */
export type Said = Pick<StatementFacts, "everywhere" | "actor" | "permanent" | "inputs" | "at" | "reason" | "policy">;

/** The link that follows in an artifact's chain, as a payload only: what a push commits (RULES 28). */
export function nextLink(
  needs: Pick<Services, "settings">,
  repository: RepositoryName,
  record: Pick<ManifestRecord, "digest" | "sha512" | "state" | "sequence" | "previous">,
  said: Said,
): StatementRecord & { readonly sequence: number } {
  const sequence = record.sequence + 1;
  const payload = statementPayload({
    registry: needs.settings.publicUrl,
    repository,
    subject: { sha256: record.digest, sha512: record.sha512 },
    state: record.state,
    sequence,
    previous: record.previous,
    ...said,
  });
  const { at, actor, reason } = said;
  return { v: 1, payload, digest: digestOf(payload), manifest: null, state: record.state, at, actor, reason, sequence };
}

/** The row of a link. */
export function linkRow(
  repository: RepositoryName,
  artifact: Digest,
  { sequence, ...link }: StatementRecord & { readonly sequence: number },
): Put {
  return { key: keys.statement(repository, artifact, sequence), value: link };
}

export interface WrittenStatements {
  readonly expect: readonly Expectation[];
  readonly put: readonly Put[];
  readonly remove: readonly Key[];
  /** What is written now. */
  readonly contents: readonly Content[];
  readonly sequence: number;
  readonly previous: Digest;
}

/**
 * The next link of an artifact's chain, with its manifest, and with that of the link before when it was not written yet. `after` is the
 * record as the transition leaves it, but for sequence and previous, which are still those of the last link.
 */
export async function writeStatements(
  needs: Needs,
  repository: RepositoryName,
  after: ManifestRecord,
  said: Said,
): Promise<WrittenStatements> {
  const link = nextLink(needs, repository, after, said);
  const links = [...(await unwritten(needs, repository, after)), link];
  const written = links.map((each) => writtenLink(repository, after, each));
  const blobs = await publishOwnBlobs(
    needs,
    repository,
    written.flatMap(({ manifest }) => [manifest.config, manifest.payload]),
  );
  const put = [...blobs.put];
  const expect = [...blobs.expect];
  const remove: Key[] = [];
  for (const { link: each, manifest, digest } of written) {
    put.push(linkRow(repository, after.digest, { ...each, manifest: digest }));
    const known = await needs.metadata.get(keys.manifest(repository, digest));
    expect.push({ key: keys.manifest(repository, digest), version: known?.version ?? "absent" });
    const rows = statementRows(repository, after, { link: each, bytes: manifest.manifest });
    put.push(...rows.put);
    if (known !== undefined) remove.push(...pushedRows(repository, manifestRecord.parse(known.value), rows.manifest));
  }
  return {
    expect,
    put,
    remove,
    contents: written.flatMap(({ link: each, digest }) => statementContents(repository, digest, each.digest)),
    sequence: link.sequence,
    previous: link.digest,
  };
}

/** What a statement consists of, as content of its repository. */
export function statementContents(repository: RepositoryName, manifest: Digest, payload: Digest): readonly Content[] {
  return [
    { kind: "manifest", digest: manifest },
    { kind: "blob", digest: payload },
    { kind: "blob", digest: digestOf(statementConfig(repository)) },
  ];
}

type Link = StatementRecord & { readonly sequence: number };

async function unwritten(needs: Needs, repository: RepositoryName, record: ManifestRecord): Promise<readonly Link[]> {
  if (record.sequence === 0) return [];
  const entry = await needs.metadata.get(keys.statement(repository, record.digest, record.sequence));
  const last = entry && statementRecord.parse(entry.value);
  return last === undefined || last.manifest !== null ? [] : [{ ...last, sequence: record.sequence }];
}

function writtenLink(
  repository: RepositoryName,
  subject: ManifestRecord,
  link: Link,
): { link: Link; manifest: ReturnType<typeof statementManifest>; digest: Digest } {
  const named = { mediaType: subject.mediaType, digest: subject.names[0] ?? subject.digest, size: subject.size };
  const manifest = statementManifest(link.payload, named, { repository, ...link });
  return { link, manifest, digest: digestOf(manifest.manifest) };
}

function statementRows(
  repository: RepositoryName,
  subject: ManifestRecord,
  { link, bytes }: { readonly link: Link; readonly bytes: Uint8Array },
): { readonly put: readonly Put[]; readonly manifest: Manifest } {
  const manifest = parseManifest(bytes, undefined);
  const digest = digestOf(bytes);
  const record: ManifestRecord = manifestRecord.parse({
    v: 1,
    digest,
    sha512: digestOf(bytes, "sha512"),
    names: [digest],
    mediaType: manifest.mediaType,
    artifactType: manifest.artifactType ?? null,
    size: bytes.byteLength,
    closureBytes: bytes.byteLength + manifest.blobReferences.reduce((sum, { size }) => sum + size, 0),
    subject: subject.names[0] ?? subject.digest,
    statement: true,
    state: "acquired",
    generation: 1,
    sequence: 0,
    previous: null,
    onceTrusted: false,
    revocation: null,
    uploaders: [],
    pushedBy: REGISTRY_ITSELF,
    pushedAt: link.at,
    changedBy: REGISTRY_ITSELF,
    changedAt: link.at,
    reason: null,
    policy: null,
    decision: null,
  });
  const written = { repository, record, manifest };
  const referrer = referrerRow(written);
  const served = referrer === undefined ? [] : [{ key: servedReferrerKey(referrer.key), value: referrer.value }];
  return { put: [...newManifestRows(written, bytes, new Set()), ...served], manifest };
}

/** The rows of an artifact that somebody pushed with the very bytes of the statement, before it was written: there is one of them only. */
function pushedRows(repository: RepositoryName, record: ManifestRecord, manifest: Manifest): readonly Key[] {
  return [keys.artifactState(record.state, repository, record.digest), ...contentKeys({ repository, record, manifest })];
}
