import { keys } from "../storage/keys.ts";
import { type ModelDetails, modelFileRecord } from "../storage/records.ts";
import { deleteArtifact } from "./delete-artifact.ts";
import type { FoundModel } from "./find-model.ts";
import type { Caller, Services } from "./ports.ts";
import type { TransitionServices } from "./transition.ts";

/**
 * Deletes an artifact as the predecessor does: with the file that it was acquired from, unless another file has taken its place, or
 * another name has taken it over. A file that cannot be removed is none of the registry's any more.
 */
export async function deleteModel(
  services: TransitionServices & Pick<Services, "files">,
  caller: Caller,
  found: FoundModel,
): Promise<void> {
  await deleteArtifact(services, caller, found, null);
  const { details } = found;
  if (details?.file === undefined || details.file === null || !(await isItsFile(services, details))) return;
  await services.files.removeIfSame(details.path, details.file).catch((error: unknown) => {
    services.log.warn({ err: error }, "the file of a deleted artifact could not be removed");
  });
}

/** Is the name the last one that the file was registered under? */
async function isItsFile({ metadata }: Pick<Services, "metadata">, { path, name }: ModelDetails): Promise<boolean> {
  const entry = await metadata.get(keys.modelFile(path));
  return entry !== undefined && modelFileRecord.parse(entry.value).name === name;
}
