import { stateSchema } from "../../lifecycle/state.ts";
import { RegistryError } from "../../oci/errors.ts";
import type { Caller, Services } from "../../registry/ports.ts";
import { type FoundPage, searchArtifacts } from "../../registry/search-artifacts.ts";
import type { ShownArtifact } from "../../registry/show-artifact.ts";
import { type ListedArtifact, type SearchFields, explorePage, searchFields } from "../../ui/explore.ts";
import type { Ask, Door } from "../route.ts";
import type { Pages } from "./page.ts";

type Needs = Pick<Services, "metadata" | "clock">;

const PAGE = 40;

/** The page to look for artifacts on. */
export function exploreDoors(services: Needs, pages: Pages): readonly Door[] {
  return [
    {
      method: "GET",
      path: "/ui/explore",
      action: "session",
      handle: async (c, caller) => {
        const fields = searchFields((name) => c.req.query(name));
        const { fault, artifacts, next } = await search(services, c, caller, fields);
        const main = explorePage({ fields, artifacts: artifacts.map(listed), next, fault });
        return pages.show(c, { title: "Explore", section: "/ui/explore", main, status: fault === undefined ? 200 : 400 });
      },
    },
  ];
}

/** What was found, or why nothing could be looked for: a person types it, and tries again. */
async function search(
  services: Needs,
  c: Ask,
  caller: Caller,
  fields: SearchFields,
): Promise<FoundPage & { readonly fault: string | undefined }> {
  const { name, digest, type } = fields;
  const state = stateSchema.safeParse(fields.state);
  try {
    const cursor = c.req.query("cursor");
    const found = await searchArtifacts(services, caller, {
      name: name.trim(),
      digest: digest.trim(),
      type: type.trim(),
      state: state.data,
      cursor,
      limit: PAGE,
    });
    return { ...found, fault: undefined };
  } catch (error) {
    if (error instanceof RegistryError && error.code === "INVALID") return { artifacts: [], next: null, fault: error.message };
    throw error;
  }
}

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
