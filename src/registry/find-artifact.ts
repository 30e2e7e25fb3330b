import type { Permission, Rights } from "../identity/permission.ts";
import { liveRightsOn, mayResolvePushedTags, rightsOn, rightsOnRegistered } from "../identity/authorize.ts";
import type { Digest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import type { Reference, RepositoryName, Tag } from "../oci/reference.ts";
import { keys } from "../storage/keys.ts";
import { type ManifestRecord, manifestRecord } from "../storage/records.ts";
import type { Expectation } from "../storage/metadata-store.ts";
import { findMeant } from "./find-meant.ts";
import type { Caller, Services } from "./ports.ts";
import { type FoundManifest, findManifest, readerFor, readerOf, serveManifest } from "./serving.ts";
import { promotedPointer, pushedPointer } from "./tags.ts";

type Needs = Pick<Services, "metadata">;

/**
 * `pushed`: transitions mean what was pushed last. `seen`: whatever the caller sees. `served`: what readers get. `only`: refused when the two
 * pointers differ (RULES 9).
 */
export type TagMeaning = "pushed" | "seen" | "served" | "only";

/** An artifact that the caller may see, with its rights there. */
export interface FoundArtifact extends FoundManifest {
  readonly repository: RepositoryName;
  readonly rights: Rights;
  readonly refTag: Tag | undefined;
  /** That the registered name by which it was found means it; absent for what was found by a reference. */
  readonly meant?: Expectation;
}

/**
 * The artifact that a reference means to this caller. What the caller may not see is NOT_FOUND, in the same words as what does not
 * exist; holders of `audit` see records and statements of all (RULES 14).
 */
export async function findArtifact(
  needs: Needs,
  { principal }: Caller,
  at: { readonly repository: RepositoryName; readonly reference: Reference },
  meaning: TagMeaning,
): Promise<FoundArtifact> {
  const { repository, reference } = at;
  const rights = rightsOn(principal, repository);
  const reader = readerFor(principal, repository);
  const resolved = await resolve(needs, { ...at, resolvesPushed: reader.pullAny && mayResolvePushedTags(principal, repository) }, meaning);
  const found = resolved && (await findManifest(needs, repository, resolved));
  const serving = await serveManifest(needs, reader, repository, found?.record);
  if (found === undefined || found.record.statement || (serving.effect === "absent" && !seesRecord(rights, reader.pullAny))) {
    throw new RegistryError("NOT_FOUND", "no such artifact, or none that you may see");
  }
  const granted =
    principal.kind === "service-token" ? await rightsOfServiceToken(needs, principal, { repository, record: found.record }) : rights;
  return { ...found, repository, rights: granted, refTag: "tag" in reference ? reference.tag : undefined };
}

/** The same for what is shown beside something else: undefined where the caller may not see it. What the registry wrote itself is no artifact. */
export async function seenArtifact(
  needs: Needs,
  caller: Caller,
  repository: RepositoryName,
  digest: Digest,
): Promise<FoundArtifact | undefined> {
  try {
    return await findArtifact(needs, caller, { repository, reference: { digest } }, "seen");
  } catch (error) {
    if (error instanceof RegistryError && error.code === "NOT_FOUND") return undefined;
    throw error;
  }
}

/** What was registered through `/v1` is the service token's by whichever door it comes (RULES 21). */
async function rightsOfServiceToken(
  { metadata }: Needs,
  principal: Caller["principal"],
  { repository, record }: { readonly repository: RepositoryName; readonly record: ManifestRecord },
): Promise<Rights> {
  const registered = await metadata.get(keys.model(repository, record.digest));
  return registered === undefined ? rightsOn(principal, repository) : rightsOnRegistered(principal, repository);
}

/**
 * The manifest that a DELETE on `/v2` names (distribution-spec end-9): absent in the words of a pull, and denied when its reader is.
 * What the caller may know of is decided by its live roles, since a token for DELETE need not cover reads.
 */
export async function findContent(needs: Needs, { principal }: Caller, repository: RepositoryName, digest: Digest): Promise<FoundArtifact> {
  const rights = rightsOn(principal, repository);
  const found = await findManifest(needs, repository, digest);
  const serving = await serveManifest(needs, readerOf(liveRightsOn(principal, repository)), repository, found?.record);
  if (serving.effect === "denied") throw new RegistryError("DENIED", serving.reason);
  if (found === undefined || serving.effect === "absent") throw new RegistryError("MANIFEST_UNKNOWN");
  return { ...found, repository, rights, refTag: undefined };
}

/** Holders of `pull:any` see the record of what was deleted, holders of `audit` every record. */
function seesRecord(rights: Rights, pullAny: boolean): boolean {
  return pullAny || rights.has("audit");
}

async function resolve(
  needs: Needs,
  at: { readonly repository: RepositoryName; readonly reference: Reference; readonly resolvesPushed: boolean },
  meaning: TagMeaning,
): Promise<Digest | undefined> {
  const { repository, reference } = at;
  if ("digest" in reference) return reference.digest;
  const promoted = (await promotedPointer(needs, repository, reference.tag))?.record.digest;
  if (!at.resolvesPushed || (meaning === "served" && promoted !== undefined)) return promoted;
  const pushed = (await pushedPointer(needs, repository, reference.tag))?.record.digest;
  if (meaning === "only") refuseTwoMeanings(reference.tag, pushed, promoted);
  return pushed ?? (meaning === "pushed" ? undefined : promoted);
}

function refuseTwoMeanings(tag: Tag, pushed: Digest | undefined, promoted: Digest | undefined): void {
  if (pushed === undefined || promoted === undefined || pushed === promoted) return;
  const message = `the tag ${tag} was pushed as ${pushed} and promoted as ${promoted}: name the digest that you mean`;
  throw new RegistryError("CONFLICT", message, { detail: { pushed, promoted } });
}

/** Refuses what the caller has no right to; what it may not even see was answered as absent before. */
export function demand(rights: Rights, permission: Permission, what: string): void {
  if (!rights.has(permission)) throw new RegistryError("DENIED", `${what} needs the permission ${permission} on this repository`);
}

/** The same artifact, loaded anew; of one that was found by a registered name, what the name means by now. */
export async function reload<Artifact extends FoundArtifact>(needs: Needs, artifact: Artifact): Promise<Artifact> {
  const { repository, record, meant } = artifact;
  const found = meant === undefined ? await findManifest(needs, repository, record.digest) : await findMeant(needs, meant.key);
  return found === undefined ? artifact : { ...artifact, ...found };
}

/** For every change of an artifact to expect: that it is still the one that was found. */
export function stillMeant(repository: RepositoryName, { record, version, meant }: ExpectedArtifact): readonly Expectation[] {
  return [{ key: keys.manifest(repository, record.digest), version }, ...(meant === undefined ? [] : [meant])];
}

/** What a change rests on. */
export type ExpectedArtifact = Pick<FoundArtifact, "record" | "version" | "meant">;

/** A record with what a transition changes; checked, so that no field is forgotten. */
export function changed(
  record: ManifestRecord,
  by: string,
  changes: Partial<ManifestRecord> & { readonly changedAt: number },
): ManifestRecord {
  return manifestRecord.parse({ ...record, ...changes, changedBy: by });
}
