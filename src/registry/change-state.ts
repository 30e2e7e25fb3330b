import type { AuditEvent } from "../audit/event.ts";
import type { Digest } from "../oci/digest.ts";
import type { Manifest } from "../oci/manifest.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { keys } from "../storage/keys.ts";
import type { Change, Expectation, Key, Put } from "../storage/metadata-store.ts";
import { type ManifestRecord, type ModelDetails, coversRecord, modelDetailsRecord, repositoryRecord } from "../storage/records.ts";
import { waitingKeys } from "./artifact-index.ts";
import type { Overlay } from "./closure.ts";
import type { Covers } from "./covers.ts";
import { fileRemovalRows } from "./file-removal.ts";
import { type ExpectedArtifact, stillMeant } from "./find-artifact.ts";
import { liftedSummaries } from "./lifted-summaries.ts";
import { contentKeys, edgesOf } from "./manifest-rows.ts";
import { modelEventRows } from "./model-events.ts";
import { registeredView } from "./model-view.ts";
import type { Services } from "./ports.ts";
import { type ReachChange, addStatements, changeReach, removeReach, rootsOf } from "./reach.ts";
import { pendingFolder } from "./runtime-folders.ts";
import { findManifest } from "./serving.ts";
import { revokedContentRows } from "./shared-content.ts";
import { type Said, type WrittenStatements, writeStatements } from "./statements.ts";
import { tagsOf } from "./tags.ts";

type Needs = Pick<Services, "metadata" | "blobs" | "tree" | "clock" | "newId" | "settings" | "signing" | "log">;

/** A transition that was decided: the record before, and as it will be (sequence and previous are still those of the last link). */
export interface DecidedTransition {
  readonly repository: RepositoryName;
  readonly before: ExpectedArtifact;
  readonly after: ManifestRecord;
  readonly manifest: Manifest;
  readonly said: Said;
  /** What the promotion covers, as its decision found it; undefined: as before. */
  readonly covers?: Pick<Covers, "digests" | "loaded">;
  /** What the predecessor's API keeps of the artifact from now on, by what it keeps now; undefined: the same. */
  readonly details?: ChangeDetails | undefined;
  /** More that belongs to the change, such as the pointers of tags. */
  readonly also?: Rows;
  readonly audit: readonly AuditEvent[];
}

/** Makes of what the predecessor's API keeps of an artifact what it is to keep. */
export type ChangeDetails = (now: ModelDetails) => ModelDetails;

export interface Rows {
  readonly expect: readonly Expectation[];
  readonly put: readonly Put[];
  readonly remove: readonly Key[];
}

/** What changes, and whose folders in `trusted/` follow once it is committed. */
export interface BuiltTransition {
  /** Undefined when there is nothing to change. */
  readonly change: Change | undefined;
  readonly record: ManifestRecord;
  readonly folders: ReadonlySet<Digest>;
  /** Names the rows that say so until it is done. */
  readonly pending: string;
}

/**
 * The one change of a transition (DESIGN §1, "one truth"): record, statement, reach rows of every root that it touches, the readers' tags
 * and catalog, the pending folders of `trusted/`, and the audit event. Nothing is visible before it is committed, and all of it is then.
 */
export async function buildTransition(services: Needs, decided: DecidedTransition): Promise<BuiltTransition> {
  const { repository, before, after } = decided;
  const statements = await writeStatements(services, repository, after, decided.said);
  const record = { ...after, sequence: statements.sequence, previous: statements.previous };
  const reach = await reachRows(services, { ...decided, after: record }, statements);
  const folders = new Set(reach.flatMap(({ manifests }) => [...manifests]));
  const rows = [
    recordRows(repository, before, record),
    edgeRows(decided),
    revocationRows(decided),
    coverRows(decided),
    await tagListRows(services, decided),
    await repositoryRows(services, decided),
    await modelRows(services, decided),
    await summaryRows(services, decided),
    decided.also ?? NOTHING,
  ];
  const now = services.clock();
  const pending = services.newId();
  const change: Change = {
    expect: [...statements.expect, ...rows.flatMap(({ expect }) => expect)],
    put: [
      ...statements.put,
      ...reach.flatMap(({ put }) => put),
      ...rows.flatMap(({ put }) => put),
      ...[...folders].map((manifest) => pendingFolder(services, { repository, manifest }, pending)),
      { key: keys.servingEpoch(), value: { at: now } },
    ],
    remove: [...reach.flatMap(({ remove }) => remove), ...rows.flatMap(({ remove }) => remove)],
    audit: decided.audit,
  };
  return { change, record, folders, pending };
}

const NOTHING: Rows = { expect: [], put: [], remove: [] };

function recordRows(repository: RepositoryName, before: ExpectedArtifact, record: ManifestRecord): Rows {
  const key = keys.manifest(repository, record.digest);
  const old = keys.artifactState(before.record.state, repository, record.digest);
  const recalled = keys.artifactRecalled(repository, record.digest);
  const isRecalled = record.state === "revoked" && record.onceTrusted;
  return {
    expect: stillMeant(repository, before),
    put: [
      { key, value: record },
      { key: keys.artifactState(record.state, repository, record.digest), value: {} },
      ...waitingKeys(repository, record).map((waiting) => ({ key: waiting, value: {} })),
      ...(isRecalled ? [{ key: recalled, value: {} }] : []),
    ],
    remove: [
      ...(before.record.state === record.state ? [] : [old]),
      ...waitingKeys(repository, before.record),
      ...(isRecalled ? [] : [recalled]),
    ],
  };
}

/** The rows of every root that the transition touches: the artifact itself, and those that reach it when its branch opens or closes. */
async function reachRows(services: Needs, decided: DecidedTransition, statements: WrittenStatements): Promise<readonly ReachChange[]> {
  const { repository, before, after } = decided;
  const own = after.digest;
  const overlay = overlayOf(decided);
  const changes: ReachChange[] = [];
  if (after.state === "deleted") return [await removeReach(services, repository, own)];
  const newStatements = statements.contents;
  if (after.onceTrusted) {
    const covers = decided.covers?.digests ?? (await coversOf(services, repository, own));
    changes.push(await changeReach(services, repository, { record: after, covers, newStatements }, overlay));
  }
  const branchChanges = (before.record.state === "revoked") !== (after.state === "revoked");
  for (const root of await rootsOf(services, repository, own)) {
    if (root === own) continue;
    const found = branchChanges ? await findManifest(services, repository, root) : undefined;
    const covers = found === undefined ? [] : await coversOf(services, repository, root);
    changes.push(
      found === undefined
        ? addStatements(repository, root, newStatements)
        : await changeReach(services, repository, { record: found.record, covers, newStatements }, overlay),
    );
  }
  return changes;
}

function overlayOf({ after, covers }: DecidedTransition): Overlay {
  const lifted = new Set(after.state === "trusted" ? [after.digest] : []);
  return { records: new Map([[after.digest, after]]), lifted, loaded: covers?.loaded ?? new Map() };
}

/** What the last promotion of a root covers, by canonical digest. */
export async function coversOf(
  { metadata }: Pick<Services, "metadata">,
  repository: RepositoryName,
  root: Digest,
): Promise<readonly Digest[]> {
  const entry = await metadata.get(keys.covers(repository, root));
  return entry === undefined ? [] : coversRecord.parse(entry.value).digests;
}

function coverRows({ repository, after, covers }: DecidedTransition): Rows {
  const key = keys.covers(repository, after.digest);
  if (after.state === "deleted") return { ...NOTHING, remove: [key] };
  return covers === undefined ? NOTHING : { ...NOTHING, put: [{ key, value: { v: 1, digests: [...covers.digests] } }] };
}

/** Edges of a revoked manifest are dead: what only they name is revoked content (RULES 14). Those of a deleted one are gone. */
function edgeRows({ repository, before, after, manifest }: DecidedTransition): Rows {
  const written = { repository, record: after, manifest };
  if (after.state === "deleted") return { ...NOTHING, remove: contentKeys(written) };
  if ((before.record.state === "revoked") === (after.state === "revoked")) return NOTHING;
  const children = edgesOf(written);
  const alive = children.map((child) => keys.edge(repository, child, after.digest));
  const dead = children.map((child) => keys.deadEdge(repository, child, after.digest));
  const [put, remove] = after.state === "revoked" ? [dead, alive] : [alive, dead];
  return { ...NOTHING, put: put.map((key) => ({ key, value: {} })), remove };
}

/** What tells of a revocation elsewhere changes with it alone: a revocation outlives the deletion of what was revoked (RULES 12). */
function revocationRows({ repository, before, after, manifest }: DecidedTransition): Rows {
  const isAsBefore = after.revocation === before.record.revocation || (after.revocation === null && before.record.revocation === null);
  return after.state === "deleted" || isAsBefore ? NOTHING : { ...NOTHING, ...revokedContentRows(repository, after, manifest) };
}

/** A promotion that lifts a revocation takes its summary off the list of referrers. */
async function summaryRows(services: Needs, { repository, before, after }: DecidedTransition): Promise<Rows> {
  const isLifting = before.record.revocation !== null && after.revocation === null;
  return isLifting ? { ...NOTHING, remove: await liftedSummaries(services, repository, after.digest) } : NOTHING;
}

/** A registered artifact's transition is a link of the predecessor's chain too, whichever door it came by. */
async function modelRows(services: Needs, { repository, before, after, details: change }: DecidedTransition): Promise<Rows> {
  const key = keys.model(repository, after.digest);
  const entry = await services.metadata.get(key);
  if (entry === undefined) return NOTHING;
  const now = modelDetailsRecord.parse(entry.value);
  const details = change?.(now) ?? now;
  const { expect, put } = await modelEventRows(services, {
    action: ACTIONS[after.state],
    from: before.record.state,
    view: registeredView(details, after),
  });
  const file = after.state === "deleted" ? await fileRemovalRows(services, { repository, digest: after.digest }, details) : NOTHING;
  return {
    expect: [...expect, { key, version: entry.version }, ...file.expect],
    put: [...put, ...(change === undefined ? [] : [{ key, value: details }]), ...file.put],
    remove: [],
  };
}

const ACTIONS = { acquired: "acquire", quarantined: "quarantine", trusted: "promote", revoked: "revoke", deleted: "delete" } as const;

/** The readers' tag list follows the state of the digest that a tag was promoted to; a deleted digest loses its tags. */
async function tagListRows(services: Needs, decided: DecidedTransition): Promise<Rows> {
  const { repository, before, after } = decided;
  if (after.state === "deleted") return tagsGone(services, repository, after);
  const isTrusted = after.state === "trusted";
  if (isTrusted === (before.record.state === "trusted")) return NOTHING;
  const promoted = (await tagsOf(services, repository, after.digest)).filter((use) => use.promoted);
  const listed = promoted.map(({ tag }) => keys.tagListed(repository, tag));
  const value = { v: 1, digest: after.names[0] ?? after.digest, by: after.changedBy, at: after.changedAt };
  const expect = promoted.map(({ unmoved }) => unmoved);
  return isTrusted ? { expect, put: listed.map((key) => ({ key, value })), remove: [] } : { expect, put: [], remove: listed };
}

async function tagsGone(services: Needs, repository: RepositoryName, { digest }: ManifestRecord): Promise<Rows> {
  const uses = await tagsOf(services, repository, digest);
  const remove = uses.flatMap(({ tag, pushed, promoted }) => [
    keys.tagOf(repository, digest, tag),
    ...(pushed ? [keys.tagPushed(repository, tag)] : []),
    ...(promoted ? [keys.tagPromoted(repository, tag), keys.tagListed(repository, tag)] : []),
  ]);
  return { expect: uses.map(({ unmoved }) => unmoved), put: [], remove };
}

/**
 * The number of trusted artifacts of a repository, and its row in the readers' catalog. Every transition puts the repository's record:
 * what rests on how roots reach anything there expects it unchanged.
 */
async function repositoryRows({ metadata }: Needs, { repository, before, after }: DecidedTransition): Promise<Rows> {
  const change = Number(after.state === "trusted") - Number(before.record.state === "trusted");
  const key = keys.repository(repository);
  const entry = await metadata.get(key);
  if (entry === undefined) return NOTHING;
  const record = repositoryRecord.parse(entry.value);
  const trusted = record.trusted + change;
  const row = keys.trustedRepository(repository);
  return {
    expect: [{ key, version: entry.version }],
    put: [{ key, value: { ...record, trusted } }, ...(trusted > 0 ? [{ key: row, value: {} }] : [])],
    remove: trusted > 0 ? [] : [row],
  };
}
