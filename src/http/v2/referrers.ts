import { isDigest } from "../../oci/digest.ts";
import { RegistryError } from "../../oci/errors.ts";
import { OCI_INDEX } from "../../oci/media-types.ts";
import { MAX_PAGE, nextLink, parsePage } from "../../oci/page.ts";
import type { RepositoryName } from "../../oci/reference.ts";
import { type ReferrersQuery, listReferrers } from "../../registry/list-referrers.ts";
import type { Services } from "../../registry/ports.ts";
import type { Ask, Door } from "../route.ts";

/** The door to the referrers of a manifest (distribution-spec end-12): 200 for every digest, never 404. */
export function referrerDoors(services: Pick<Services, "metadata">): readonly Door[] {
  return [
    {
      method: "GET",
      path: "/v2/:name/referrers/:digest",
      action: "pull",
      inRepository: true,
      handle: async (c, caller, repository) => {
        const query = queryOf(c, repository);
        const { subject, artifactType, page } = query;
        const { referrers, next } = await listReferrers(services, caller, query);
        if (artifactType !== undefined) c.header("OCI-Filters-Applied", "artifactType");
        if (next !== undefined)
          c.header("Link", nextLink(`/v2/${repository}/referrers/${subject}`, { artifactType, n: page.n, last: next }));
        const index = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: referrers };
        return c.body(JSON.stringify(index), 200, { "Content-Type": OCI_INDEX, "Cache-Control": "private, no-store" });
      },
    },
  ];
}

function queryOf(c: Ask, repository: RepositoryName): ReferrersQuery {
  const subject = c.req.param("digest") ?? "";
  if (!isDigest(subject)) throw new RegistryError("DIGEST_INVALID", "a digest is sha256:<64 lower-case hex digits> or sha512:<128>");
  // As much as a page may hold unless less is asked for: clients that never follow Link are to see all that they can.
  const page = parsePage(c.req.query("n") ?? String(MAX_PAGE), c.req.query("last"));
  return { repository, subject, artifactType: c.req.query("artifactType") || undefined, page };
}
