import { z } from "zod";
import { stateSchema } from "../../lifecycle/state.ts";
import { RegistryError } from "../../oci/errors.ts";
import { MODEL_FORMATS } from "../../oci/model-name.ts";
import { findSigners } from "../../registry/find-signers.ts";
import type { Caller, Services } from "../../registry/ports.ts";
import { type ArtifactSearch, type FoundPage, searchArtifacts } from "../../registry/search-artifacts.ts";
import type { ShownArtifact } from "../../registry/show-artifact.ts";
import { type Found, type ListedArtifact, type SearchFields, VERDICTS, explorePage, searchFields } from "../../ui/explore.ts";
import type { Ask, Door } from "../route.ts";
import type { Pages } from "./page.ts";

type Needs = Pick<Services, "metadata" | "clock" | "random" | "secretFor">;

const PAGE = 20;

/** The page to look for artifacts on. */
export function exploreDoors(services: Needs, pages: Pages): readonly Door[] {
  return [
    {
      method: "GET",
      path: "/ui/explore",
      action: "session",
      handle: async (c, caller) => {
        const fields = searchFields((name) => c.req.query(name));
        const { fault, artifacts, next, signers } = await search(services, c, caller, fields);
        const main = explorePage({ fields, artifacts: artifacts.map(listed), next, signers, fault });
        return pages.show(c, { title: "Explore", section: "/ui/explore", main, status: fault === undefined ? 200 : 400 });
      },
    },
  ];
}

type Searched = FoundPage & Pick<Found, "signers" | "fault">;

const NOTHING: Searched = { artifacts: [], next: null, signers: [], fault: undefined };
const FORMAT = z.enum(MODEL_FORMATS);
const VERDICT = z.enum(VERDICTS);

/** What was found, or why nothing could be looked for: a person types it, and tries again. */
async function search(services: Needs, c: Ask, caller: Caller, fields: SearchFields): Promise<Searched> {
  const text = fields.signer.trim();
  const signers = text === "" ? [] : await findSigners(services, caller, text);
  if (text !== "" && signers.length === 0) return { ...NOTHING, fault: NO_SIGNER };
  if (signers.length > 1) return { ...NOTHING, signers };
  try {
    const wanted = { ...wantedBy(fields), signer: signers[0]?.hash, cursor: c.req.query("cursor") };
    const found = await searchArtifacts(services, caller, wanted);
    return { ...found, signers: [], fault: undefined };
  } catch (error) {
    if (error instanceof RegistryError && error.code === "INVALID") return { ...NOTHING, fault: error.message };
    throw error;
  }
}

function wantedBy({ name, digest, type, state, format, verdict }: SearchFields): Omit<ArtifactSearch, "cursor"> {
  return {
    name: name.trim(),
    digest: digest.trim(),
    type: type.trim(),
    state: stateSchema.safeParse(state).data,
    format: FORMAT.safeParse(format).data,
    verdict: VERDICT.safeParse(verdict).data,
    limit: PAGE,
  };
}

const NO_SIGNER =
  "no signer is known to you by that: give the fingerprint of a key (sha256:…), or of an identity the issuer, a space, and the subject";

function listed(artifact: ShownArtifact): ListedArtifact {
  return {
    repository: artifact.repository,
    digest: artifact.digest,
    tags: artifact.tags,
    type: artifact.artifact_type ?? artifact.media_type,
    state: stateSchema.parse(artifact.state),
    size: artifact.size_bytes,
    changedAt: artifact.changed_at,
  };
}
