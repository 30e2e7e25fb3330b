import { exportedKey, exportedRevocation, exportedSnapshot, unsignedLink } from "../lifecycle/exported-statement.ts";
import type { Digest } from "../oci/digest.ts";
import type { ExportContent } from "./export-content.ts";
import type { ExportPlan } from "./export-plan.ts";
import { MovedOn } from "./moved-on.ts";
import type { PulledManifest, Repository } from "./registry-client.ts";

type Descriptors = ReadonlyMap<Digest, PulledManifest["descriptor"]>;
type Link = ExportPlan["answer"]["chains"][number]["links"][number];

/**
 * Adds every statement of the plan: those that are listed as they are; the summary of a revocation that was lifted without its subject, since
 * no client may find it with the artifact any more and the proof needs it all the same (trust.md §7.2); and what was only pushed unsigned,
 * since the snapshot vouches for it.
 */
export async function addStatements(
  repository: Repository,
  plan: ExportPlan,
  gathered: Descriptors,
  content: ExportContent,
): Promise<void> {
  for (const { digest, links } of plan.answer.chains) {
    for (const link of links) await addLink(repository, content, link, gathered.get(digest));
  }
  for (const { held, payload } of plan.keyStatements) await content.addStatement(exportedKey(held.bytes, payload, plan.said.repository));
  for (const { held, payload } of plan.revocations)
    await content.addStatement(exportedRevocation(held.bytes, payload, plan.said.repository));
  const root = gathered.get(plan.answer.digest);
  if (root === undefined) throw new MovedOn("the artifact is another one by now");
  const times = { takenAt: plan.said.takenAt, expiresAt: plan.said.expires };
  await content.addStatement(exportedSnapshot(plan.snapshot, { repository: plan.said.repository, ...root }, times));
}

async function addLink(
  repository: Repository,
  content: ExportContent,
  { manifest, payload, summary }: Link,
  subject: PulledManifest["descriptor"] | undefined,
): Promise<void> {
  if (manifest !== null) await content.addManifest(await repository.fetchManifest(manifest), "listed");
  else if (subject === undefined || payload === undefined) throw new MovedOn("a part of the artifact is not there any more");
  else await content.addStatement(unsignedLink(payload, { repository: repository.name, ...subject }));
  if (summary === null) return;
  const pulled = await repository.fetchManifest(summary.manifest);
  if (summary.listed) await content.addManifest(pulled, "listed");
  else await content.addDetached(pulled);
}
