import { digestSchema } from "../../oci/digest.ts";
import { RegistryError } from "../../oci/errors.ts";
import { tagSchema } from "../../oci/reference.ts";
import type { PromotionRequest } from "../../registry/evaluate.ts";
import { seenArtifact } from "../../registry/find-artifact.ts";
import { listReferrers } from "../../registry/list-referrers.ts";
import { requestOfPage } from "../../registry/possible-changes.ts";
import { COVER_FIELD, MAX_OFFERED, type PromotionChoice, TAG_FIELD } from "../../ui/promotion-choice.ts";
import type { ArtifactPageServices, Look } from "./artifact-at.ts";

const MAX_REFERRERS = 50;

/** What a promotion from a page is asked for: by the address of a page, or by its form. Throws INVALID for what is no tag or digest. */
export function chosenRequest(fields: URLSearchParams): PromotionRequest {
  const [tags, covers] = [fields.getAll(TAG_FIELD), fields.getAll(COVER_FIELD)];
  if (tags.length > MAX_OFFERED || covers.length > MAX_OFFERED) {
    throw new RegistryError("INVALID", `a promotion from a page moves and covers at most ${MAX_OFFERED}: securectl promote takes more`);
  }
  const [asTags, asDigests] = [tagSchema.array().safeParse(tags), digestSchema.array().safeParse(covers)];
  if (!asTags.success || !asDigests.success) throw new RegistryError("INVALID", "a choice is of tags and digests: load the page again");
  return { ...requestOfPage, tags: [...new Set(asTags.data)], covers: [...new Set(asDigests.data)] };
}

/** What a look at the page asks for. */
export function requestOfLook({ c }: Look): PromotionRequest {
  return chosenRequest(new URL(c.req.url).searchParams);
}

/** What can be chosen of a promotion besides. */
export async function choiceOf(
  services: ArtifactPageServices,
  { caller, artifact }: Look,
  { tags, covers }: PromotionRequest,
  fault: string | undefined,
): Promise<PromotionChoice> {
  const { repository, record } = artifact;
  const page = { n: MAX_REFERRERS, last: undefined };
  const { referrers } = await listReferrers(services, caller, { repository, subject: record.digest, artifactType: undefined, page });
  const coverable: PromotionChoice["coverable"][number][] = [];
  for (const { digest, artifactType, mediaType } of referrers) {
    const found = await seenArtifact(services, caller, repository, digest);
    if (found !== undefined && found.record.state !== "revoked") coverable.push({ digest, type: artifactType ?? mediaType });
  }
  return { tags, covers, coverable, fault };
}
