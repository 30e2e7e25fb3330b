import type { FoundArtifact } from "../../src/registry/find-artifact.ts";
import { keys } from "../../src/storage/keys.ts";
import type { MetadataStore } from "../../src/storage/metadata-store.ts";

/** The text of an artifact's manifest. */
export async function manifestContentOf(
  metadata: MetadataStore,
  { repository, record }: Pick<FoundArtifact, "repository" | "record">,
): Promise<string> {
  const entry = await metadata.get(keys.manifestContent(repository, record.digest));
  if (!(entry?.value instanceof Uint8Array)) throw new Error("it has no content");
  return Buffer.from(entry.value).toString("utf8");
}
