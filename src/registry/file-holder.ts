import type { RepositoryName } from "../oci/reference.ts";
import { keys } from "../storage/keys.ts";
import type { Entry } from "../storage/metadata-store.ts";
import { modelDetailsRecord, modelFileRecord, modelNameRecord } from "../storage/records.ts";
import type { Services } from "./ports.ts";
import { type FoundManifest, findManifest } from "./serving.ts";

type Needs = Pick<Services, "metadata">;

/** The artifact that a registered name means. */
export interface HeldArtifact extends FoundManifest {
  readonly name: string;
  readonly repository: RepositoryName;
}

/** The live artifact that holds a file, by the file's row: is its name's artifact, not deleted, and still registered with it. */
export async function fileHolder(needs: Needs, fileRow: Entry, path: string): Promise<HeldArtifact | undefined> {
  const { name } = modelFileRecord.parse(fileRow.value);
  const nameRow = await needs.metadata.get(keys.modelName(name));
  const held = nameRow && (await heldBy(needs, nameRow));
  if (held === undefined || held.record.state === "deleted") return undefined;
  const details = await needs.metadata.get(keys.model(held.repository, held.record.digest));
  return details !== undefined && modelDetailsRecord.parse(details.value).path === path ? { ...held, name } : undefined;
}

/** What the row of a name means now. */
export async function heldBy(needs: Needs, nameRow: Entry): Promise<Omit<HeldArtifact, "name"> | undefined> {
  const { repository, digest } = modelNameRecord.parse(nameRow.value);
  const found = await findManifest(needs, repository, digest);
  return found && { repository, ...found };
}
