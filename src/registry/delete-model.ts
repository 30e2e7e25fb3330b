import { deleteArtifact } from "./delete-artifact.ts";
import type { FoundModel } from "./find-model.ts";
import type { Caller, Services } from "./ports.ts";
import type { TransitionServices } from "./transition.ts";

/**
 * Deletes an artifact as the predecessor does: with the file that it was acquired from, unless another file has taken its place. A file
 * that cannot be removed is none of the registry's any more.
 */
export async function deleteModel(
  services: TransitionServices & Pick<Services, "files">,
  caller: Caller,
  found: FoundModel,
): Promise<void> {
  await deleteArtifact(services, caller, found, null);
  const { details } = found;
  if (details?.file === undefined || details.file === null) return;
  await services.files.removeIfSame(details.path, details.file).catch((error: unknown) => {
    services.log.warn({ err: error }, "the file of a deleted artifact could not be removed");
  });
}
