import { nextLink, parsePage } from "../../oci/page.ts";
import { listTags } from "../../registry/list-tags.ts";
import type { Services } from "../../registry/ports.ts";
import type { Door } from "../route.ts";

/** The door to the tags of a repository (distribution-spec end-8). */
export function tagDoors(services: Pick<Services, "metadata">): readonly Door[] {
  return [
    {
      method: "GET",
      path: "/v2/:name/tags/list",
      action: "pull",
      inRepository: true,
      handle: async (c, caller, repository) => {
        const page = parsePage(c.req.query("n"), c.req.query("last"));
        const { tags, next } = await listTags(services, caller, repository, page);
        if (next !== undefined) c.header("Link", nextLink(`/v2/${repository}/tags/list`, { n: page.n, last: next }));
        return c.json({ name: repository, tags }, 200, { "Cache-Control": "private, no-store" });
      },
    },
  ];
}
