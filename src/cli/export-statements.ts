import { exportedKey, exportedRevocation, exportedSnapshot, unsignedLink } from "../lifecycle/exported-statement.ts";
import { openStatement } from "../lifecycle/proof-bundle.ts";
import { linkSchema } from "../lifecycle/proof-statement.ts";
import { type Digest, digestSchema } from "../oci/digest.ts";
import { parseManifest } from "../oci/manifest.ts";
import type { ExportContent } from "./export-content.ts";
import type { ExportPlan } from "./export-plan.ts";
import { MovedOn } from "./moved-on.ts";
import type { PulledManifest, Repository } from "./registry-client.ts";
import { MAX_STATEMENT_BYTES, heldIn, statementLayers } from "./statement-layers.ts";

type Descriptors = ReadonlyMap<Digest, PulledManifest["descriptor"]>;
type Link = ExportPlan["answer"]["chains"][number]["links"][number];

/**
 * Adds every statement of the plan: those that are listed as they are; the summary of a revocation that was lifted without its subject, since
 * no client may find it with the artifact any more and the proof needs it all the same (trust.md §7.2); and what was only pushed unsigned,
 * since the snapshot vouches for it. Answers the decisions that promotions of the artifact named, the earliest first.
 */
export async function addStatements(
  repository: Repository,
  plan: ExportPlan,
  gathered: Descriptors,
  content: ExportContent,
): Promise<readonly Digest[]> {
  const decisions: Digest[] = [];
  for (const { digest, links } of plan.answer.chains) {
    for (const link of links) {
      const pulled = await addLink(repository, content, link, gathered.get(digest));
      if (pulled !== undefined && digest === plan.answer.digest) decisions.push(...(await decisionIn(pulled, content)));
    }
  }
  for (const { held, payload } of plan.keyStatements) await content.addStatement(exportedKey(held.bytes, payload, plan.said.repository));
  for (const { held, payload } of plan.revocations)
    await content.addStatement(exportedRevocation(held.bytes, payload, plan.said.repository));
  const root = gathered.get(plan.answer.digest);
  if (root === undefined) throw new MovedOn("the artifact is another one by now");
  const times = { takenAt: plan.said.takenAt, expiresAt: plan.said.expires };
  await content.addStatement(exportedSnapshot(plan.snapshot, { repository: plan.said.repository, ...root }, times));
  return decisions;
}

/** The decision that a link names when it is a promotion: first among what that rested on. */
async function decisionIn({ descriptor, bytes }: PulledManifest, content: ExportContent): Promise<readonly Digest[]> {
  const manifest = parseManifest(bytes, descriptor.mediaType);
  const decisions: Digest[] = [];
  for (const { layer, form } of statementLayers(manifest)) {
    const held = heldIn(manifest, descriptor.digest, form, await content.smallBlob(layer, MAX_STATEMENT_BYTES));
    const { data } = linkSchema.safeParse(openStatement(held)?.statement);
    const input = data?.predicate.state === "trusted" ? data.predicate.inputs[0]?.digest["sha256"] : undefined;
    if (input !== undefined) decisions.push(digestSchema.parse(`sha256:${input}`));
  }
  return decisions;
}

/** Answers the manifest of the signed statement, if there is one. */
async function addLink(
  repository: Repository,
  content: ExportContent,
  { manifest, payload, summary }: Link,
  subject: PulledManifest["descriptor"] | undefined,
): Promise<PulledManifest | undefined> {
  const signed = manifest === null ? undefined : await repository.fetchManifest(manifest);
  if (signed !== undefined) await content.addManifest(signed, "listed");
  else if (subject === undefined || payload === undefined) throw new MovedOn("a part of the artifact is not there any more");
  else await content.addStatement(unsignedLink(payload, { repository: repository.name, ...subject }));
  if (summary === null) return signed;
  const pulled = await repository.fetchManifest(summary.manifest);
  if (summary.listed) await content.addManifest(pulled, "listed");
  else await content.addDetached(pulled);
  return signed;
}
