import { RegistryError } from "../oci/errors.ts";
import { type RepositoryName, type Tag, tagSchema } from "../oci/reference.ts";
import { keys } from "../storage/keys.ts";
import type { Services } from "./ports.ts";

/** The tag that says what a name of `/v1` means, in the repository that belongs to the name (RULES 27). */
export const RESERVED_TAG = tagSchema.parse("latest");

/** Refuses to move that tag by any other way than the name's own. */
export async function refuseReservedTag(
  { metadata }: Pick<Services, "metadata">,
  { repository, tags }: { readonly repository: RepositoryName; readonly tags: readonly Tag[] },
): Promise<void> {
  if (!tags.includes(RESERVED_TAG) || (await metadata.get(keys.modelRepository(repository))) === undefined) return;
  const rule = `the tag ${RESERVED_TAG} of this repository belongs to the artifact that was registered through /v1: use another tag`;
  throw new RegistryError("DENIED", rule);
}
