import { rightsOnRegistered } from "../identity/authorize.ts";
import type { ModelView } from "../audit/model-event.ts";
import { RegistryError } from "../oci/errors.ts";
import { isModelName } from "../oci/model-name.ts";
import { parseArtifactReference } from "../oci/reference.ts";
import { keys } from "../storage/keys.ts";
import { type ModelDetails, modelDetailsRecord } from "../storage/records.ts";
import { loadManifest } from "./closure.ts";
import { type FoundArtifact, type TagMeaning, findArtifact } from "./find-artifact.ts";
import { findMeant } from "./find-meant.ts";
import { pushedView, registeredView } from "./model-view.ts";
import type { Caller, Services } from "./ports.ts";
import { readerOf, serveManifest } from "./serving.ts";

type Needs = Pick<Services, "metadata">;

/** An artifact as the predecessor's API finds it: by a registered name, or by a reference. */
export interface FoundModel extends FoundArtifact {
  /** As it was asked for. */
  readonly name: string;
  /** Undefined for what was pushed by OCI. */
  readonly details: ModelDetails | undefined;
}

/** As much of it as is shown. */
export type ShownModel = Pick<FoundModel, "name" | "repository" | "record" | "details">;

/**
 * The artifact that a name means (RULES 27): an exact registered name first, then `<repository>:<tag>` or `<repository>@<digest>`. What
 * the caller may not see is NOT_FOUND, as what does not exist.
 */
export async function findModel(needs: Needs, caller: Caller, name: string, meaning: TagMeaning): Promise<FoundModel> {
  const registered = isModelName(name) ? await findRegistered(needs, caller, name) : undefined;
  if (registered !== undefined) return registered;
  const at = parseArtifactReference(name);
  if (at === undefined) throw unknown();
  const found = await findArtifact(needs, caller, at, meaning).catch((error: unknown) => {
    throw error instanceof RegistryError && error.code === "NOT_FOUND" ? unknown() : error;
  });
  return { ...found, name, details: await detailsOf(needs, found) };
}

function unknown(): RegistryError {
  return new RegistryError("NOT_FOUND", "model not found");
}

/** The artifact of a registered name, deleted or not; undefined when the caller may not know of it. */
export async function findRegistered(needs: Needs, { principal }: Caller, name: string): Promise<FoundModel | undefined> {
  const found = await findMeant(needs, keys.modelName(name));
  if (found === undefined) return undefined;
  const rights = rightsOnRegistered(principal, found.repository);
  const serving = await serveManifest(needs, readerOf(rights), found.repository, found.record);
  if (serving.effect === "absent" && !rights.has("pull:any") && !rights.has("audit")) return undefined;
  const artifact = { ...found, rights, refTag: undefined };
  return { ...artifact, name, details: await detailsOf(needs, artifact) };
}

/** What the predecessor's API keeps of an artifact; undefined for one that was pushed by OCI. */
export async function detailsOf(
  { metadata }: Needs,
  { repository, record }: Pick<FoundArtifact, "repository" | "record">,
): Promise<ModelDetails | undefined> {
  const entry = await metadata.get(keys.model(repository, record.digest));
  return entry && modelDetailsRecord.parse(entry.value);
}

/** The artifact as the predecessor's API shows it. */
export async function viewOf(needs: Needs, { name, details, repository, record }: ShownModel): Promise<ModelView> {
  if (details !== undefined) return registeredView(details, record);
  return pushedView(name, record, record.state === "deleted" ? undefined : await loadManifest(needs, repository, record));
}
