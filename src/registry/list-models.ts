import { evidenceKind } from "../oci/evidence.ts";
import { keys, under } from "../storage/keys.ts";
import { loadManifest } from "./closure.ts";
import type { FoundArtifact } from "./find-artifact.ts";
import { type FoundModel, detailsOf, findRegistered } from "./find-model.ts";
import { seesAll, visibleArtifacts } from "./list-artifacts.ts";
import { rowsOf } from "./ordered-rows.ts";
import type { Caller, Services } from "./ports.ts";
import { tagsOf } from "./tags.ts";

type Needs = Pick<Services, "metadata" | "clock">;

const BATCH = 100;

/**
 * What the predecessor's API lists for a caller, found while it is used: registered names in their order, then artifacts that were pushed
 * by OCI. Signatures, reports and the like are no models.
 */
export async function* listModels(needs: Needs, caller: Caller): AsyncGenerator<FoundModel, void, undefined> {
  for await (const { key } of rowsOf(needs, [under(keys.modelNames(), BATCH)])) {
    const found = await findRegistered(needs, caller, String(key[1]));
    if (found !== undefined) yield found;
  }
  for await (const artifact of visibleArtifacts(needs, caller)) {
    // Under its name already, or what a name meant before.
    if ((await detailsOf(needs, artifact)) !== undefined || (await isEvidence(needs, artifact))) continue;
    yield { ...artifact, name: await nameOf(needs, artifact), details: undefined };
  }
}

async function isEvidence(needs: Needs, { repository, record }: FoundArtifact): Promise<boolean> {
  if (record.subject === null) return false;
  // What was attached to something and is deleted has nothing any more by which it could be a model.
  if (record.state === "deleted") return true;
  const manifest = await loadManifest(needs, repository, record);
  return manifest !== undefined && evidenceKind(manifest) !== undefined;
}

/** `<repository>:<tag>` where the caller sees a tag, else `<repository>@<digest>`. */
async function nameOf(needs: Needs, { repository, record, rights }: FoundArtifact): Promise<string> {
  const uses = await tagsOf(needs, repository, record.digest);
  const use = uses.find(({ pushed, promoted }) => (seesAll(rights) ? pushed : promoted));
  return use === undefined ? `${repository}@${record.names[0] ?? record.digest}` : `${repository}:${use.tag}`;
}
