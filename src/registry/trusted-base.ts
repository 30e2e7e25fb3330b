import { rightsOn } from "../identity/authorize.ts";
import { type Digest, digestSchema } from "../oci/digest.ts";
import type { RepositoryName, Tag } from "../oci/reference.ts";
import { keys, under } from "../storage/keys.ts";
import type { ManifestRecord } from "../storage/records.ts";
import { seesAll } from "./list-artifacts.ts";
import type { Caller, Services } from "./ports.ts";
import { findManifest } from "./serving.ts";
import { promotedPointer, tagsOf } from "./tags.ts";

type Needs = Pick<Services, "metadata">;

/** What an artifact would take the place of. */
export interface TrustedBase {
  readonly record: ManifestRecord;
  /** The tag by which runtimes find it now, and which was pushed to the artifact; undefined: it is the newest trusted one of the repository. */
  readonly tag: Tag | undefined;
}

/** So many tags, and trusted artifacts, are looked at. */
const MAX_TAGS = 20;
const MAX_TRUSTED = 200;

/**
 * What is trusted now under a tag of the artifact, else the newest other trusted artifact of the repository that is attached to none. Which
 * tags were pushed to it is known to those alone who see what is not trusted.
 */
export async function trustedBase(
  needs: Needs,
  { principal }: Caller,
  repository: RepositoryName,
  artifact: Digest,
): Promise<TrustedBase | undefined> {
  const self = (await findManifest(needs, repository, artifact))?.record.digest;
  if (self === undefined) return undefined;
  const byTag = seesAll(rightsOn(principal, repository)) ? await trustedByTag(needs, repository, self) : undefined;
  if (byTag !== undefined) return byTag;
  const newest = await newestTrusted(needs, repository, self);
  return newest && { record: newest, tag: undefined };
}

async function trustedByTag(needs: Needs, repository: RepositoryName, self: Digest): Promise<TrustedBase | undefined> {
  for (const { tag, pushed } of (await tagsOf(needs, repository, self)).slice(0, MAX_TAGS)) {
    const promoted = pushed ? await promotedPointer(needs, repository, tag) : undefined;
    const found = promoted && (await findManifest(needs, repository, promoted.record.digest));
    if (found?.record.state === "trusted" && found.record.digest !== self) return { record: found.record, tag };
  }
  return undefined;
}

async function newestTrusted(needs: Needs, repository: RepositoryName, besides: Digest): Promise<ManifestRecord | undefined> {
  const rows = await needs.metadata.list(under(keys.artifactsIn("trusted", repository), MAX_TRUSTED));
  let newest: ManifestRecord | undefined;
  for (const { key } of rows) {
    const digest = digestSchema.parse(key[3]);
    const record = digest === besides ? undefined : (await findManifest(needs, repository, digest))?.record;
    if (record === undefined || record.subject !== null || record.state !== "trusted") continue;
    if (newest === undefined || record.changedAt > newest.changedAt) newest = record;
  }
  return newest;
}
