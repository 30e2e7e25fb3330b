import { type Digest, algorithmOf, digestOf } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { type Manifest, parseManifest } from "../oci/manifest.ts";
import type { RepositoryName, Tag } from "../oci/reference.ts";
import { keys } from "../storage/keys.ts";
import type { Change, Expectation, Key, Put } from "../storage/metadata-store.ts";
import type { ManifestRecord } from "../storage/records.ts";
import { refuseLostEvidence } from "./append-only-tag.ts";
import { auditEvent } from "./audit-event.ts";
import { type Decided, decideAndCommit } from "./commit.ts";
import { inPortions } from "./in-portions.ts";
import { renewLink } from "./link-use.ts";
import { newManifestRows } from "./manifest-rows.ts";
import { lookAtEvidence } from "./look-at-evidence.ts";
import type { Caller, Services } from "./ports.ts";
import { ensureRepository } from "./repository.ts";
import { demandRoom } from "./reserve.ts";
import { refuseReservedTag, refuseRevival } from "./reserved-tag.ts";
import { giveWay } from "./right-of-way.ts";
import { type FoundManifest, findManifest, isRevokedContent, revokedEverywhere } from "./serving.ts";
import { refuseDigestLikeName } from "./start-upload.ts";
import { linkRow, nextLink } from "./statements.ts";
import { demandRoomForTags, movePointer, pushedPointer } from "./tags.ts";

type Needs = Pick<Services, "metadata" | "blobs" | "clock" | "newId" | "settings">;
type PushNeeds = Needs & Pick<Services, "log">;

/** Identities that may have put one artifact; more are refused, so that its record stays small. */
const MAX_UPLOADERS = 256;
/** Blobs that are looked up before others have their turn in this process. */
const BLOBS_AT_A_TIME = 64;

export interface ManifestPush {
  readonly repository: RepositoryName;
  /** The digest that the caller named, if it named one. */
  readonly digest: Digest | undefined;
  readonly tags: readonly Tag[];
  readonly contentType: string | undefined;
  readonly bytes: Uint8Array;
}

export interface PushedManifest {
  /** As the caller named it, else sha256. */
  readonly digest: Digest;
  readonly subject: Digest | undefined;
  /** What a person should know of the state it is in now. */
  readonly warning: string | undefined;
  readonly record: ManifestRecord;
  /** Is this a generation that the repository did not have before? */
  readonly isNew: boolean;
}

/** Takes a manifest in as `acquired` (distribution-spec §Pushing Manifests). What it names may be missing; promotion asks for it. */
export async function pushManifest(services: PushNeeds, caller: Caller, push: ManifestPush): Promise<PushedManifest> {
  refuseDigestLikeName(push);
  await demandRoom(services);
  const manifest = parseManifest(push.bytes, push.contentType);
  const sha256 = digestOf(push.bytes);
  const sha512 = digestOf(push.bytes, "sha512");
  const named = push.digest ?? sha256;
  if (named !== (algorithmOf(named) === "sha256" ? sha256 : sha512)) {
    throw new RegistryError("DIGEST_INVALID", "the manifest's bytes do not have the digest in the path", { detail: { digest: named } });
  }
  const pushed = await decideAndCommit(services, async () => {
    const free = [...(await refuseReservedTag(services, push)), ...(await refuseRevival(services, push.repository, sha256))];
    const { change, result } = await decideManifest(services, caller, { push, manifest, named, sha256, sha512 });
    return change === undefined ? { result } : { change: { ...change, expect: [...change.expect, ...free] }, result };
  });
  if (pushed.isNew && pushed.subject !== undefined) await lookAtEvidence(services, push.repository, sha256);
  return pushed;
}

export interface CheckedPush {
  readonly push: ManifestPush;
  readonly manifest: Manifest;
  readonly named: Digest;
  readonly sha256: Digest;
  readonly sha512: Digest;
}

/** The change that takes a manifest in, whoever sends it. */
export async function decideManifest(services: Needs, caller: Caller, checked: CheckedPush): Promise<Decided<PushedManifest>> {
  const { push, manifest, named, sha256 } = checked;
  const { repository } = push;
  const way = await giveWay(services, repository);
  const everywhere = await revokedEverywhere(services, sha256);
  if (everywhere !== undefined) {
    throw new RegistryError("DENIED", `this digest was revoked in every repository: ${everywhere}. Push a corrected artifact`);
  }
  const found = await findManifest(services, repository, sha256);
  const record = pushedRecord(services.clock(), caller, checked, found?.record);
  const isNew = found === undefined || found.record.state === "deleted";
  const result = { digest: named, subject: manifest.subject?.digest, warning: warningFor(record), record, isNew };
  const rows = await contentRows(services, caller, { ...checked, found, record });
  const tags = await tagRows(services, caller, { push, manifest: checked.manifest, record, named });
  if (rows.put.length + tags.put.length + tags.remove.length === 0) return { result };
  const key = keys.manifest(repository, sha256);
  const change: Change = {
    expect: [
      { key, version: found?.version ?? "absent" },
      { key: keys.revokedEverywhere(sha256), version: "absent" },
      way,
      ...rows.expect,
      ...tags.expect,
    ],
    // The record is put with its tags in any case (`movePointer`).
    put: [...(rows.put.length === 0 ? [{ key, value: record }] : rows.put), ...tags.put],
    remove: [...rows.remove, ...tags.remove],
    audit: [
      auditEvent(services, caller.actor, {
        type: "manifest.push",
        target: { kind: "artifact", name: repository, digest: named },
        before: found === undefined ? {} : { state: found.record.state },
        after: { state: record.state, tags: [...push.tags] },
      }),
    ],
  };
  return { change, result };
}

/** The record after the push; the same object when nothing about it changes. */
function pushedRecord(now: number, caller: Caller, checked: CheckedPush, old: ManifestRecord | undefined): ManifestRecord {
  if (old === undefined) return acquired(now, caller, checked, NEVER_HERE);
  if (old.state === "deleted") return acquired(now, caller, checked, old);
  if (old.mediaType !== checked.manifest.mediaType) {
    const type = `the repository already holds these bytes as ${old.mediaType}; the same bytes cannot be two types`;
    throw new RegistryError("MANIFEST_INVALID", type);
  }
  return old.statement ? old : withHands(caller.principal.countsAs, checked, old);
}

/** Whoever pushes the same bytes again is one of the uploaders, and a digest that it named is one of the names. */
function withHands(who: string, { push, named }: CheckedPush, old: ManifestRecord): ManifestRecord {
  const names = push.digest === undefined || old.names.includes(named) ? old.names : [...old.names, named];
  const uploaders = old.uploaders.includes(who) ? old.uploaders : [...old.uploaders, who];
  if (uploaders.length > MAX_UPLOADERS) throw new RegistryError("DENIED", `at most ${MAX_UPLOADERS} identities may push one artifact`);
  return names === old.names && uploaders === old.uploaders ? old : { ...old, names, uploaders };
}

/** What goes on from one generation to the next: the chain and an open revocation (RULES 12). */
type Past = Pick<ManifestRecord, "generation" | "sequence" | "previous" | "revocation">;
const NEVER_HERE: Past = { generation: 0, sequence: 0, previous: null, revocation: null };

function acquired(now: number, { principal }: Caller, checked: CheckedPush, past: Past): ManifestRecord {
  const { manifest, named, sha256, sha512, push } = checked;
  const size = push.bytes.byteLength;
  return {
    v: 1,
    digest: sha256,
    sha512,
    names: [named],
    mediaType: manifest.mediaType,
    artifactType: manifest.artifactType ?? null,
    size,
    closureBytes: closureBytesOf(manifest, size),
    subject: manifest.subject?.digest ?? null,
    statement: false,
    state: "acquired",
    generation: past.generation + 1,
    sequence: past.sequence,
    previous: past.previous,
    onceTrusted: false,
    revocation: past.revocation,
    uploaders: [principal.countsAs],
    pushedBy: principal.name,
    pushedAt: now,
    changedBy: principal.name,
    changedAt: now,
    reason: null,
    policy: null,
    decision: null,
  };
}

/** Bytes of a manifest and all that it names. Throws for sizes that no number can add up to exactly, which nothing could have. */
function closureBytesOf({ blobReferences, manifestReferences }: Manifest, own: number): number {
  const parts = new Map([...blobReferences, ...manifestReferences].map((each) => [each.digest, each.size]));
  const sum = [...parts.values()].reduce((all, each) => all + each, own);
  if (sum <= Number.MAX_SAFE_INTEGER) return sum;
  throw new RegistryError("MANIFEST_INVALID", `the manifest is invalid: its sizes add up to more than ${Number.MAX_SAFE_INTEGER}`);
}

interface Rows {
  readonly expect: readonly Expectation[];
  readonly put: readonly Put[];
  readonly remove: readonly Key[];
}

const NOTHING: Rows = { expect: [], put: [], remove: [] };

async function contentRows(
  services: Needs,
  caller: Caller,
  { push, manifest, record, found }: CheckedPush & { readonly record: ManifestRecord; readonly found: FoundManifest | undefined },
): Promise<Rows> {
  if (found?.record === record) return NOTHING;
  if (found !== undefined && found.record.state !== "deleted") {
    return { ...NOTHING, put: [{ key: keys.manifest(push.repository, record.digest), value: record }] };
  }
  const link = nextLink(services, push.repository, record, {
    everywhere: false,
    actor: caller.principal.name,
    permanent: false,
    inputs: [],
    at: record.pushedAt,
    reason: null,
    policy: null,
  });
  const chained = { ...record, sequence: link.sequence, previous: link.digest };
  const repository = await ensureRepository(services, push.repository);
  const closed = await closedBlobs(services, push.repository, manifest);
  const renewed = await renewedLinks(services, push.repository, manifest);
  return {
    expect: [...repository.expect, ...renewed.expect],
    put: [
      ...repository.put,
      ...renewed.put,
      ...newManifestRows({ repository: push.repository, record: chained, manifest }, push.bytes, closed),
      linkRow(push.repository, record.digest, link),
    ],
    remove: found === undefined ? [] : [keys.artifactState("deleted", push.repository, record.digest)],
  };
}

/** The blobs that the manifest names although they are revoked content: naming them opens them to nobody (RULES 14). */
async function closedBlobs(services: Needs, repository: RepositoryName, { blobReferences }: Manifest): Promise<ReadonlySet<Digest>> {
  const closed = new Set<Digest>();
  for await (const { digest } of inPortions(blobReferences, BLOBS_AT_A_TIME)) {
    if (await isRevokedContent(services, repository, digest)) closed.add(digest);
  }
  return closed;
}

/** The collector, which may be about to take away a link that nothing named so far, finds that it has been used. */
async function renewedLinks(
  services: Needs,
  repository: RepositoryName,
  { blobReferences }: Manifest,
): Promise<Pick<Change, "expect" | "put">> {
  const changes: Change[] = [];
  const digests = new Set(blobReferences.map((reference) => reference.digest));
  for await (const digest of inPortions(digests, BLOBS_AT_A_TIME)) {
    const { change } = await renewLink(services, repository, digest);
    if (change !== undefined) changes.push(change);
  }
  return { expect: changes.flatMap(({ expect }) => expect), put: changes.flatMap(({ put }) => put) };
}

/** A push moves what holders of `pull:any` see, never what readers see (DESIGN §1). */
async function tagRows(
  services: Needs,
  caller: Caller,
  { push, manifest, record, named }: Pick<CheckedPush, "push" | "manifest" | "named"> & { readonly record: ManifestRecord },
): Promise<Rows> {
  const rows = { expect: [] as Expectation[], put: [] as Put[], remove: [] as Key[] };
  if (push.tags.length > 0)
    await demandRoomForTags(services, { repository: push.repository, manifest: record.digest }, "pushed", push.tags);
  for (const tag of new Set(push.tags)) {
    const old = await pushedPointer(services, push.repository, tag);
    if (old?.record.digest === named && old.record.by === caller.principal.name) continue;
    await refuseLostEvidence(services, { repository: push.repository, tag, old }, manifest);
    const move = { repository: push.repository, tag, which: "pushed" as const, by: caller.principal.name, at: services.clock() };
    const moved = await movePointer(services, move, { digest: named, canonical: record.digest, trusted: record.state === "trusted" });
    rows.expect.push(...moved.expect);
    rows.put.push(...moved.put);
    rows.remove.push(...moved.remove);
  }
  return rows;
}

function warningFor(record: ManifestRecord): string | undefined {
  if (record.statement || record.state === "trusted") return undefined;
  if (record.state === "revoked") return "this artifact is revoked and stays so: not served";
  return `held as ${record.state}: not served until promoted`;
}
