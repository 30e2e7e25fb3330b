import type { Realm } from "../../identity/realm.ts";
import { RegistryError } from "../../oci/errors.ts";
import { parseArtifactReference } from "../../oci/reference.ts";
import { type FoundArtifact, findArtifact } from "../../registry/find-artifact.ts";
import type { DeletionServices } from "../../registry/delete-artifact.ts";
import type { Caller, Services } from "../../registry/ports.ts";
import type { RefusalLog } from "../../registry/refusals.ts";
import { type ShownArtifact, showArtifact } from "../../registry/show-artifact.ts";
import type { ArtifactHead } from "../../ui/artifact.ts";
import type { Ask } from "../route.ts";

/** What the pages of artifacts need. */
export type ArtifactPageServices = DeletionServices &
  Pick<Services, "secretFor" | "random" | "inspector" | "log"> & { readonly refusals: Pick<RefusalLog, "note"> };

/** One look at a tab. */
export interface Look {
  readonly c: Ask;
  readonly caller: Caller;
  readonly artifact: FoundArtifact;
  readonly shown: ShownArtifact;
  readonly head: ArtifactHead;
  /** Bytes that the page has for the tab. */
  readonly room: number;
}

type Needs = Pick<Services, "metadata" | "clock">;

/** A repository's name, then `@` and a digest or `:` and a tag, as in the native API. */
export const ARTIFACT = "/ui/artifacts/:ref{[^@:]+(?:[@:]|%40|%3[Aa])[^/]+}";

/** The artifact that the address names, when the caller may see it: by the question that `/v1/artifacts/<ref>` asks. */
export async function artifactAt(services: Needs, c: Ask, caller: Caller): Promise<FoundArtifact> {
  const at = parseArtifactReference(c.req.param("ref") ?? "");
  if (at === undefined) throw new RegistryError("NOT_FOUND", "no such artifact, or none that you may see");
  return findArtifact(services, caller, at, "seen");
}

/** The artifact as the native API shows it to this caller. */
export function shownArtifact(services: Needs, { repository, record, rights }: FoundArtifact): Promise<ShownArtifact> {
  return showArtifact(services, repository, record, { pushedTags: rights.has("pull:any") || rights.has("audit"), full: true });
}

/** What stands above every tab. */
export function headOf({ record }: FoundArtifact, shown: ShownArtifact, realm: Realm): ArtifactHead {
  const { revocation } = shown;
  return {
    repository: shown.repository,
    digest: shown.digest,
    state: record.state,
    tags: shown.tags,
    promotedTags: shown.promoted_tags,
    type: shown.artifact_type ?? shown.media_type,
    size: shown.size_bytes,
    pushedBy: shown.pushed_by,
    pushedAt: shown.pushed_at,
    changedBy: shown.changed_by,
    changedAt: shown.changed_at,
    reason: shown.reason,
    revocation: revocation && { isPermanent: revocation.permanent, isEverywhere: revocation.everywhere, reason: revocation.reason },
    subject: shown.subject,
    host: realm.service,
  };
}
