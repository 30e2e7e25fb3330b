import { keys } from "../storage/keys.ts";
import type { Entry } from "../storage/metadata-store.ts";
import { modelDetailsRecord, modelFileRecord } from "../storage/records.ts";
import { type NamedArtifact, namedBy } from "./find-meant.ts";
import type { Services } from "./ports.ts";

type Needs = Pick<Services, "metadata">;

/** The artifact that holds a file, and its name. */
export interface HeldArtifact extends NamedArtifact {
  readonly name: string;
}

/** The live artifact that holds a file, by the file's row: is its name's artifact, not deleted, and still registered with it. */
export async function fileHolder(needs: Needs, fileRow: Entry, path: string): Promise<HeldArtifact | undefined> {
  const { name } = modelFileRecord.parse(fileRow.value);
  const nameRow = await needs.metadata.get(keys.modelName(name));
  const held = nameRow && (await namedBy(needs, nameRow));
  if (held === undefined || held.record.state === "deleted") return undefined;
  const details = await needs.metadata.get(keys.model(held.repository, held.record.digest));
  return details !== undefined && modelDetailsRecord.parse(details.value).path === path ? { ...held, name } : undefined;
}
