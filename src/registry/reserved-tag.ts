import type { Digest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { type RepositoryName, type Tag, tagSchema } from "../oci/reference.ts";
import { keys } from "../storage/keys.ts";
import type { Expectation } from "../storage/metadata-store.ts";
import type { Services } from "./ports.ts";
import { findManifest } from "./serving.ts";

type Needs = Pick<Services, "metadata">;

/** The tag that says what a name of `/v1` means, in the repository that belongs to the name (RULES 27). */
export const RESERVED_TAG = tagSchema.parse("latest");

/** Refuses to move that tag by any other way than the name's own; whoever moves it is held to there being no such name yet. */
export async function refuseReservedTag(
  { metadata }: Needs,
  { repository, tags }: { readonly repository: RepositoryName; readonly tags: readonly Tag[] },
): Promise<readonly Expectation[]> {
  if (!tags.includes(RESERVED_TAG)) return [];
  const key = keys.modelRepository(repository);
  if ((await metadata.get(key)) === undefined) return [{ key, version: "absent" }];
  const rule = `the tag ${RESERVED_TAG} of this repository belongs to the artifact that was registered through /v1: use another tag`;
  throw new RegistryError("DENIED", rule);
}

/** Refuses to bring back what was registered and deleted: another artifact may have its name or its file by now, which a push cannot tell. */
export async function refuseRevival(needs: Needs, repository: RepositoryName, manifest: Digest): Promise<readonly Expectation[]> {
  const key = keys.model(repository, manifest);
  const registered = await needs.metadata.get(key);
  if (registered === undefined) return [{ key, version: "absent" }];
  const found = await findManifest(needs, repository, manifest);
  if (found?.record.state !== "deleted") return [{ key, version: registered.version }];
  throw new RegistryError("DENIED", "this artifact was registered through /v1 and deleted: acquire it again there");
}
