import { decisionAnswer } from "../../api/decision.ts";
import { promotionNow } from "../../registry/possible-changes.ts";
import { type ArtifactProvenance, type AttestedProvenance, provenanceOf } from "../../registry/provenance.ts";
import type { Html } from "../../ui/html.ts";
import { type ShownProvenanceNode, provenanceTab } from "../../ui/provenance.ts";
import { withheld } from "../../ui/raw.ts";
import type { ArtifactPageServices, Look } from "./artifact-at.ts";

/** Where the artifact comes from and where it went. */
export async function provenanceTabOf(services: ArtifactPageServices, look: Look): Promise<Html> {
  const found = await provenanceOf(services, look.caller, look.artifact);
  if (found === undefined) return withheld("Provenance", "What it consists of is gone, or is not for you to read.");
  const verified = await verifiedIn(services, look);
  return provenanceTab({
    nodes: [
      ...saidNodes(found.annotated, ANNOTATED),
      ...saidNodes(found.configured, CONFIGURED),
      ...found.attested.flatMap((attested) => attestedNodes(attested, verified.get(attested.manifest))),
      artifactNode(look),
      ...relatedNodes(found),
      ...promotionNodes(found),
    ],
    isCut: found.isCut,
    room: look.room,
  });
}

/** The authority whose evidence a decision takes, by the referrer that holds it. */
async function verifiedIn(services: ArtifactPageServices, { artifact, shown }: Look): Promise<ReadonlyMap<string, string>> {
  const decision = (await promotionNow(services, artifact))?.decision ?? shown.decision;
  const policies = decisionAnswer.safeParse(decision).data?.policies ?? [];
  const accepted = policies.flatMap(({ requirements }) => requirements.flatMap((requirement) => requirement.accepted));
  return new Map(accepted.map(({ manifest, authority }) => [manifest, authority]));
}

type Standing = Pick<ShownProvenanceNode, "standing" | "by">;

const ANNOTATED: Standing = { standing: "claimed", by: "by an annotation of whoever pushed it" };
const RECORDED: Standing = { standing: "recorded", by: "by this registry" };

const CONFIGURED: Standing = { standing: "claimed", by: "by the config of whoever pushed it" };

function saidNodes({ source, revision, base }: ArtifactProvenance["annotated"], standing: Standing): readonly ShownProvenanceNode[] {
  const made = source ?? revision;
  return [
    ...(made === undefined
      ? []
      : [{ stage: "source" as const, title: made, detail: source === undefined ? "" : (revision ?? ""), ...standing, link: undefined }]),
    ...(base === undefined ? [] : [{ stage: "source" as const, title: base, detail: "base", ...standing, link: undefined }]),
  ];
}

function attestedNodes({ manifest, provenance }: AttestedProvenance, authority: string | undefined): readonly ShownProvenanceNode[] {
  const standing: Standing =
    authority === undefined
      ? { standing: "claimed", by: "by an attestation that no policy takes" }
      : { standing: "verified", by: `by ${authority}` };
  const { builder, buildType, sources } = provenance;
  return [
    ...sources.map(({ uri, digest = "" }) => ({ stage: "source" as const, title: uri, detail: digest, ...standing, link: undefined })),
    {
      stage: "build" as const,
      title: builder ?? "an unnamed builder",
      detail: buildType ?? "",
      ...standing,
      by: `${standing.by}, in ${manifest.slice(0, 19)}`,
      link: undefined,
    },
  ];
}

function artifactNode({ head }: Look): ShownProvenanceNode {
  const { repository, digest, state } = head;
  return { stage: "artifact", title: repository, detail: state, ...RECORDED, link: { repository, digest } };
}

function relatedNodes({ related }: ArtifactProvenance): readonly ShownProvenanceNode[] {
  return related.map(({ relation, repository, digest, state, type }) => ({
    stage: relation === "is based on" ? ("source" as const) : ("related" as const),
    title: relation === "is the same as" ? repository : type,
    detail: `${relation}; ${state}`,
    // That it is here the registry knows; that this one was made of it, somebody says.
    ...(relation === "is based on" ? ANNOTATED : RECORDED),
    link: { repository, digest },
  }));
}

function promotionNodes({ promotions }: ArtifactProvenance): readonly ShownProvenanceNode[] {
  return promotions.map(({ tag, by, at }) => ({
    stage: "promotion" as const,
    title: tag,
    detail: `${new Date(at).toISOString().slice(0, 16).replace("T", " ")} by ${by}`,
    ...RECORDED,
    link: undefined,
  }));
}
