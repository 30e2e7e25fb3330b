import type { Digest } from "../oci/digest.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { keys } from "../storage/keys.ts";
import { linkRecord, linkUseRecord } from "../storage/records.ts";
import type { Decided } from "./commit.ts";
import type { Services } from "./ports.ts";

/** A use is written down once in this part of the grace, so that uploads and checks of what is there seldom cost a write. */
const PART = 4;

/**
 * Holds the collector off a link for its grace, for somebody who found the blob there and relies on it; false when there is no link. The
 * link itself stays as it was: it is still whose it was (RULES 11), and no promotion that rests on it has to decide again.
 */
export async function renewLink(
  { metadata, clock, settings }: Pick<Services, "metadata" | "clock" | "settings">,
  repository: RepositoryName,
  digest: Digest,
): Promise<Decided<boolean>> {
  const link = await metadata.get(keys.link(repository, digest));
  if (link === undefined) return { result: false };
  const now = clock();
  const recently = now - settings.collectGrace / PART;
  if (linkRecord.parse(link.value).at > recently) return { result: true };
  const key = keys.linkUse(repository, digest);
  const use = await metadata.get(key);
  if (use !== undefined && linkUseRecord.parse(use.value).at > recently) return { result: true };
  const expect = [{ key: link.key, version: link.version }];
  return { change: { expect, put: [{ key, value: { v: 1, at: now } }], remove: [], audit: [] }, result: true };
}
